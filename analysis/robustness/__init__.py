"""Accuracy and loss under noise, rounding, unlike neurons and faulty spikes."""

from .command import NAMES, Config, main, measure, run
from .perturbing import perturbed

__all__ = ["NAMES", "Config", "main", "measure", "perturbed", "run"]
