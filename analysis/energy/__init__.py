"""What a network spends: operations counted, and joules for them."""

from .command import Config, main, measure, run

__all__ = ["Config", "main", "measure", "run"]
