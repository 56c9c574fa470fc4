"""Whether measures order the networks of a sweep as their generalization gaps do, factor by factor; from tables."""

from .command import Config, main, run, save
from .shown import table

__all__ = ["Config", "main", "run", "save", "table"]
