"""What loss surfaces are asked with."""

from dataclasses import dataclass, replace
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
    """Root mean square error wanted of a surface, relative to its range, for which points and images are chosen and the
    rest is interpolated; None evaluates all points on all images."""
    seconds: float | None = None
    """With --tolerance: time for each network, of which a surface gets as much as its points are of all."""
    recalibrate: bool = False
    """Take BatchNorm's statistics anew at every point, from training images."""

    def on_few(self, images: int, chunk: int) -> "Config":
        """The same on all points: how many a tolerance takes is found on the way, and they are fewer."""
        return replace(super().on_few(images, chunk), tolerance=None)
