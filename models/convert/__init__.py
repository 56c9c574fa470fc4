"""Make a checkpoint of weights that were trained elsewhere."""

from typing import TYPE_CHECKING

from tables import command_line, later

from .flags import Config

if TYPE_CHECKING:
    from .command import converted, run
else:
    __getattr__ = later.names(__name__, "command")

__all__ = ["Config", "converted", "main", "run"]

main = command_line.of(__name__, Config)
