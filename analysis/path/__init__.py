"""Paths between two checkpoints, and the barriers on them."""

from .command import TABLES, Config, main, measure, run

__all__ = ["TABLES", "Config", "main", "measure", "run"]
