"""Tables of many checkpoints compared: measures, differences, correlations, doubts."""

from typing import TYPE_CHECKING

from tables import command_line, later

from .flags import Config

if TYPE_CHECKING:
    from .command import run
    from .shown import table, verdict
    from .spoken import brief
else:
    __getattr__ = later.names(__name__, "shown", "spoken", "command")  # what shows needs least

__all__ = ["Config", "brief", "main", "run", "table", "verdict"]

main = command_line.of(__name__, Config)
