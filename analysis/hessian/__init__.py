"""Curvature: eigenvalues, trace, density, by layer and by timestep, and the true loss at a radius."""

from .command import TABLES, main, measure, run
from .curvature import Config

__all__ = ["TABLES", "Config", "main", "measure", "run"]
