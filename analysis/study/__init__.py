"""The whole way in one command: train by several methods over seeds, measure, compare, draw."""

from .command import analyses, main, run
from .trainings import Config, trainings

__all__ = ["Config", "analyses", "main", "run", "trainings"]
