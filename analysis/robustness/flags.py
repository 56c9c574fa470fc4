"""What robustness is asked with."""

from dataclasses import dataclass
from typing import Literal

from ..flags import BothSplits

Shift = Literal["all", "gaussian_noise", "defocus_blur", "contrast", "brightness", "pixelate", "translation"]


@dataclass(frozen=True)
class Config(BothSplits):
    """Accuracy and loss of checkpoints under noise, rounding, unlike neurons, faulty spikes and shifted images."""

    split: Literal["train", "test", "both"] = "test"
    """Images to measure on."""
    draws: int = 10
    """Draws of everything random."""
    seconds: float | None = None
    """Time for each network: draws as far as they get, two at least."""
    weight_noise: tuple[float, ...] = (0.05, 0.1, 0.2, 0.4)
    """Noise on the weights, relative to each filter's norm. None given: left out, as with each of the following."""
    rounding: tuple[int, ...] = (8, 6, 4, 3)
    """Bits of the rounded weights."""
    threshold_spread: tuple[float, ...] = (0.05, 0.1, 0.2, 0.4)
    """Relative spread of the thresholds."""
    decay_spread: tuple[float, ...] = (0.1, 0.2, 0.4, 0.8)
    """Relative spread of the decays."""
    lost_spikes: tuple[float, ...] = (0.05, 0.1, 0.2, 0.4)
    """Probability that a spike is lost."""
    spurious_spikes: tuple[float, ...] = (0.01, 0.02, 0.05, 0.1)
    """Probability that a silent neuron is seen to spike."""
    input_noise: tuple[float, ...] = (0.1, 0.2, 0.5, 1.0)
    """Noise on the pixels, relative to their standard deviation."""
    shifts: tuple[Shift, ...] = ()
    """Images shifted as in CIFAR-10-C, and translated (models.data.shifts): some, or all of these."""
    severities: tuple[int, ...] = (1, 2, 3, 4, 5)
    """Of every shift, 1 to 5."""
    pixels: tuple[float, ...] = ()
    """What black and white are in the inputs, for data that don't say: two numbers, or blacks of all channels and then
    whites."""
