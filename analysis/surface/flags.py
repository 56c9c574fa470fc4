"""What loss surfaces are asked with."""

from dataclasses import dataclass
from typing import Literal

from ..flags import BothSplits


@dataclass(frozen=True)
class Config(BothSplits):
    """1D and 2D loss surfaces of checkpoints."""

    split: Literal["train", "test", "both"] = "train"
    """Images to measure on."""
    directions: Literal["random", "top", "trajectory", "gradient", "adam"] = "random"
    """Random, filter by filter; top eigenvectors; principal components of the snapshots; the gradient; Adam's step."""
    draws: int = 3
    """Independent random directions for the lines."""
    plane_draws: int = 1
    """Independent pairs of random directions for the planes; 0 leaves planes out."""
    points: int = 41
    """Points of a line."""
    plane_points: int = 21
    """Points of a plane along each axis."""
    extent: float = 1.0
    """Largest alpha and beta; at 1 a filter has moved by its own norm. A trajectory has its own range."""
    tolerance: float | None = None
    """Standard error wanted of L(α, β) − L(0, 0), relative to the surface's range; None takes all images everywhere."""
    recalibrate: bool = False
    """Take BatchNorm's statistics anew at every point, from training images."""
