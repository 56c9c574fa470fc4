"""Accuracy, confidence and agreement against the number of timesteps."""

from .command import Config, horizon, main, measure, run

__all__ = ["Config", "horizon", "main", "measure", "run"]
