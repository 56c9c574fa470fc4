"""What paths between checkpoints are asked with."""

from dataclasses import dataclass
from pathlib import Path as File
from typing import Literal

import tyro

from ..flags import BothSplits


@dataclass(frozen=True)
class Config(BothSplits):
    """Loss and accuracy along paths between pairs of checkpoints, and the barriers."""

    checkpoints: tyro.conf.Positional[tuple[File, ...]] = ()
    """Checkpoint files in pairs: A B, or A B C D."""
    kind: Literal["line", "bezier", "both"] = "both"
    """Straight, or a curve trained to keep the loss low, under each loss asked for."""
    points: int = 21
    """Points of a path, both ends included."""
    recalibrate: bool = True
    """BatchNorm statistics from the training images at every point; else interpolated, on the line alone."""
    steps: int = 300
    """Training steps of a curve."""
    learning_rate: float = 0.01
    """Of the curve's training, by Adam."""
    batch_size: int = 50
    """Images a step of the curve's training."""
