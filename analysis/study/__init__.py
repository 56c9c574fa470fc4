"""The whole way in one command: train by several methods over seeds, measure, compare, draw."""

from typing import TYPE_CHECKING

from tables import command_line, later

from .flags import Config

if TYPE_CHECKING:
    from .command import analyses, run
else:
    __getattr__ = later.names(__name__, "command")

__all__ = ["Config", "analyses", "main", "run"]

main = command_line.of(__name__, Config)
