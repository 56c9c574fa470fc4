"""What the rise against the radius is asked with."""

from dataclasses import dataclass
from typing import Literal

from ..flags import OneSplit


@dataclass(frozen=True)
class Config(OneSplit):
    """Rise of the loss against the radius, as it is and with logits at one scale."""

    along: tuple[Literal["line", "plane", "noise"], ...] = ("line", "plane", "noise")
    """What lies at a radius."""
    radii: tuple[float, ...] = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
    """Distances from the weights, ascending; at 1 every filter has moved by its own norm."""
    draws: int = 6
    """Random directions, or pairs of them, of each."""
    seconds: float | None = None
    """Time for each network: draws as far as they get, two at least, of line, plane and noise alike."""
    angles: int = 8
    """Points of a plane's circle."""
    scale: float = 1.0
    """Root mean square that logits of one scale are brought to. It matters: try 1, and one near the networks' own."""
    centred: bool = True
    """Take the root mean square of logits about their mean over classes, which softmax doesn't see; else about zero."""
