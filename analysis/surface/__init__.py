"""Loss surfaces: lines and planes through checkpoints, and numbers for their shape."""

from .command import Config, main, measure, metrics, run

__all__ = ["Config", "main", "measure", "metrics", "run"]
