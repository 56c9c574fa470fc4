"""A subject's images under the shifts of :mod:`models.data.shifts`: taken back to black and white, and forth again."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from landscape.evaluation import described
from models.data.shifts import DRAWN, SHIFTS, SMALLEST, shifted
from models.perturbation.draws import key

from ..subject import Batch, Subject
from ..subject.examples import Unsuited

__all__ = ["DRAWN", "SHIFTS", "Pixels", "pixels_of", "under"]
_ROUNDING = 0.01  # of the range: what standardising in bfloat16 leaves of it


@dataclass(frozen=True)
class Pixels:
    """What a black and a white pixel are in a network's inputs, by channel."""

    black: Float[Tensor, "*channel"]
    white: Float[Tensor, "*channel"]

    def plain(self, inputs: Float[Tensor, "image channel height width"]) -> Tensor:
        """The inputs as images in float64, black 0 and white 1."""
        black, white = (each.to(inputs.device).view(-1, 1, 1) for each in (self.black, self.white))
        return (inputs.double() - black) / (white - black)

    def inputs(self, images: Float[Tensor, "image channel height width"], like: Tensor) -> Tensor:
        """Images as the network takes them."""
        black, white = (each.to(images.device).view(-1, 1, 1) for each in (self.black, self.white))
        return (black + (white - black) * images).to(like.dtype)


def pixels_of(subject: Subject, given: Sequence[float]) -> Pixels:
    """What black and white are: as ``given`` (blacks of all channels, then whites), else as its data set says.

    Raises Unsuited for inputs that aren't images, or whose range isn't known; ValueError for numbers that can't be it.
    """
    inputs = subject.batches(subject.there[0], 1, 1)[0][0]
    still = isinstance(inputs, Tensor) and inputs.ndim == 4 and inputs.is_floating_point() and subject.axis == 0
    if not still or min(inputs.shape[2:]) < SMALLEST or (subject.dataset and subject.dataset.steps):
        raise Unsuited(
            f"{subject.title}: --shifts are of images [image, channel, height, width] of {SMALLEST} pixels a side or "
            f"more; its input is {described(inputs)}"
        )
    if given:
        return _given(given, inputs.shape[1])
    data = subject.dataset
    if data is None or data.white is None or not data.test.mean:
        raise Unsuited(
            f"{subject.title}: what black and white are in its inputs isn't known: give --pixels BLACK WHITE, as in "
            "--pixels 0 1, or black of each channel and then white of each"
        )
    mean, std = (torch.tensor(each, dtype=torch.float64) for each in (data.test.mean, data.test.std))
    return Pixels((0 - mean) / std, (data.white - mean) / std)


def _given(numbers: Sequence[float], channels: int) -> Pixels:
    count = len(numbers) // 2
    if len(numbers) not in (2, 2 * channels):
        raise ValueError(f"--pixels takes 2 numbers, or {2 * channels} for {channels} channels, got {len(numbers)}")
    black, white = torch.tensor(numbers, dtype=torch.float64).split(count)
    if not torch.isfinite(black + white).all() or (black == white).any():
        raise ValueError(f"--pixels: black and white must be finite and differ, got {list(numbers)}")
    return Pixels(black, white)


def under(
    batches: Sequence[Batch], name: str, severity: int, *, pixels: Pixels, seed: Sequence[int], title: str = ""
) -> list[Batch]:
    """The batches under the shift ``name``, the same however the images are split into them.

    Raises ValueError for inputs beyond black or white.
    """
    generator, found = np.random.default_rng(key(seed)), []
    for inputs, target in batches:
        images = pixels.plain(inputs)
        low, high = float(images.min()), float(images.max())
        if not -_ROUNDING <= low <= high <= 1 + _ROUNDING:
            raise ValueError(
                f"{title}: inputs from {float(inputs.min()):.4g} to {float(inputs.max()):.4g} go beyond black or white "
                f"({_words(pixels.black)} and {_words(pixels.white)}): give --pixels BLACK WHITE as they are"
            )
        moved = shifted(images.clamp(0, 1), name, severity, seed=generator)
        found.append((pixels.inputs(moved, inputs), target))
    return found


def _words(numbers: Tensor) -> str:
    return ", ".join(f"{number:.4g}" for number in numbers.tolist())
