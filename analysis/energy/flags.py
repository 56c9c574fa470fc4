"""What energy is asked with."""

from dataclasses import dataclass
from typing import Literal

from ..flags import OneSplit


@dataclass(frozen=True)
class Config(OneSplit):
    """Spikes, additions, multiplications and joules per image, for every T up to the largest."""

    split: Literal["train", "test"] = "test"
    """Images to measure on; the others where a subject has none of these."""
    images: int | None = 500
    """How many of them, the first ones; None takes all."""
    max_timesteps: int | None = None
    """The largest T; by default twice the trained one, for events the stream's, and 1 without spikes."""
    add_pj: float = 0.9
    """Energy of an addition in picojoules."""
    multiply_pj: float = 4.6
    """Energy of a multiplication, with the addition after it, in picojoules."""
    update_pj: float = 0.0
    """Energy of a membrane update in picojoules: 0 as in the paper; a multiplication and an addition would be 4.6."""
    first_layer: Literal["every-step", "once"] = "every-step"
    """Whether a static image costs the first layer's multiplications at every step, or once."""
