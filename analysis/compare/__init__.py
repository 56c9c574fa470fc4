"""Tables of many checkpoints compared: measures, differences, correlations, doubts."""

from .command import Config, main, read, run, table

__all__ = ["Config", "main", "read", "run", "table"]
