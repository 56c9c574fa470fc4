"""Controls whose answers are known beforehand, put to every measure: which pass, and by how much."""

from typing import TYPE_CHECKING

from tables import command_line, later

from .flags import Config

if TYPE_CHECKING:
    from .command import run
    from .shown import table
else:
    __getattr__ = later.names(__name__, "command", "shown")

__all__ = ["Config", "main", "run", "table"]

main = command_line.of(__name__, Config)
