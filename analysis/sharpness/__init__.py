"""How far the loss rises when weights are moved, and norms of the weights."""

from .command import main, measure, run
from .rises import Config

__all__ = ["Config", "main", "measure", "run"]
