"""What sharpness is asked with."""

from dataclasses import dataclass
from typing import Literal

from ..flags import OneSplit

Measure = Literal["average", "worst", "adaptive", "m", "pac-bayes", "relative-flatness", "fisher-rao", "norms"]


@dataclass(frozen=True)
class Config(OneSplit):
    """Sharpness of checkpoints: average, worst and adaptive rises, PAC-Bayes, relative flatness, Fisher-Rao, norms."""

    measures: tuple[Measure, ...] = (
        "average", "worst", "adaptive", "m", "pac-bayes", "relative-flatness", "fisher-rao", "norms",
    )  # fmt: skip
    """What to measure."""
    noise: tuple[float, ...] = (0.05, 0.1, 0.2, 0.5)
    """Radii of the average: noise relative to each filter's norm."""
    magnitude: tuple[float, ...] = (0.2,)
    """Radii of the average under noise relative to each weight."""
    absolute: tuple[float, ...] = (0.02,)
    """Radii of the average under noise of this standard deviation on every weight."""
    draws: int = 20
    """Noise draws, in antithetic pairs."""
    worst: tuple[float, ...] = (0.05, 0.1, 0.2)
    """Radii of the worst case, absolute."""
    adaptive: tuple[float, ...] = (0.005, 0.01, 0.02)
    """Radii of the adaptive worst case, relative to the weights' norm."""
    steps: int = 20
    """Ascent steps."""
    restarts: int = 2
    """Starting points of the ascent: the weights, and random points of the sphere."""
    m: tuple[int, ...] = (20,)
    """Images in a group of m-sharpness, each at every radius of --m-radii."""
    m_radii: tuple[float, ...] = (0.1,)
    """Radii of m-sharpness, absolute."""
    rise: float = 0.1
    """How far pac-bayes lets the mean rise."""
    rise_of: Literal["loss", "error"] = "loss"
    """Of what: the landscape's loss, or the share of wrong answers as in the papers."""
    sigma_draws: int = 10
    """Noise draws of pac-bayes, in antithetic pairs, at every σ that the search tries."""
    layer: str | None = None
    """Whose relative flatness; by default the output layer's."""
    probes: int = 20
    """Random vectors for the relative flatness of a layer too large to be summed exactly."""
