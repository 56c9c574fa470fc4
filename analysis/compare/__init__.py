"""Tables of many checkpoints compared: measures, differences, correlations, doubts."""

from .command import Config, main, run, save
from .shown import table, verdict

__all__ = ["Config", "main", "run", "save", "table", "verdict"]
