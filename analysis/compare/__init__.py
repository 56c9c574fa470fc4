"""Tables of many checkpoints compared: measures, differences, correlations, doubts."""

from .command import Config, main, run
from .shown import table, verdict

__all__ = ["Config", "main", "run", "table", "verdict"]
