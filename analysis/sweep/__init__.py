"""Networks of all combinations of a plan's factors, trained to one criterion and measured cheaply."""

from typing import TYPE_CHECKING

from tables import command_line, later

from .flags import Config

if TYPE_CHECKING:
    from .command import run
    from .plan import Plan, Run, read
else:
    __getattr__ = later.names(__name__, "command", "plan")

__all__ = ["Config", "Plan", "Run", "main", "read", "run"]

main = command_line.of(__name__, Config)
