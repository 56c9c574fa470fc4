"""Gradients by timestep, what momentum keeps of them, and whether the loss follows."""

from .command import Config, draw_batches, main, measure, run

__all__ = ["Config", "draw_batches", "main", "measure", "run"]
