"""Images as they might come instead of the test set's: noisy, out of focus, flat, bright, coarse, moved.

Images are [image, channel, height, width] with black 0 and white 1, *not* standardised, and stay in that range. Five
severities each, by the constants c of CIFAR-10-C (Hendrycks and Dietterich, ICLR 2019, "Benchmarking neural network
robustness to common corruptions and perturbations"; their ``make_cifar_c.py``), which are for 32 × 32 pixels; only the
last is this project's own::

    gaussian_noise    x + c ν, clipped, ν standard normal          c = 0.04, 0.06, 0.08, 0.09, 0.10
    defocus_blur      x ∗ disk of radius r, smoothed by a          (r, σ) = (0.3, 0.4), (0.4, 0.5), (0.5, 0.6),
                      Gaussian σ cut to 3 × 3                               (1, 0.2), (1.5, 0.1)
    contrast          m + c (x − m), m each channel's mean         c = 0.75, 0.5, 0.4, 0.3, 0.15
    brightness        V + c, clipped, of HSV                       c = 0.05, 0.1, 0.15, 0.2, 0.3
    pixelate          to c of the side and back, by box filters    c = 0.95, 0.9, 0.85, 0.75, 0.65
    translation       by c of the side, up, down, left or right,   c = 1/16, 2/16, 3/16, 4/16, 5/16
                      linear between pixels, black coming in

Theirs are rounded to 8 bits, these aren't. Blur is in pixels: on 8 × 8 digits it is four times as coarse. There the
sides that ``pixelate`` goes through are 7, 7, 6, 6 and 5, so that severities 1 and 2, and 3 and 4, are the same. At the
first three severities the disk is one pixel, and the blur the Gaussian's. Brightness of one channel is x + c, clipped.
"""

from collections.abc import Callable, Sequence
from math import floor

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import conv2d, pad

Seed = int | Sequence[int] | np.random.Generator
Shift = Callable[[Tensor, int, np.random.Generator], Tensor]
SEVERITIES = (1, 2, 3, 4, 5)
SMALLEST = 3  # pixels a side: a mirror of two is needed for the blur

_NOISE = (0.04, 0.06, 0.08, 0.09, 0.10)
_DEFOCUS = ((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1.0, 0.2), (1.5, 0.1))
_CONTRAST = (0.75, 0.5, 0.4, 0.3, 0.15)
_BRIGHTNESS = (0.05, 0.1, 0.15, 0.2, 0.3)
_PIXELATE = (0.95, 0.9, 0.85, 0.75, 0.65)
_TRANSLATION = (1 / 16, 2 / 16, 3 / 16, 4 / 16, 5 / 16)


def shifted(
    images: Float[Tensor, "image channel height width"], name: str, severity: int, *, seed: Seed
) -> Float[Tensor, "image channel height width"]:
    """``images`` under the shift ``name``; what is drawn is drawn image by image, on the CPU.

    With one generator as ``seed`` for all batches it doesn't matter how images are split into them. Draws are the same
    at every severity. Raises ValueError for an unknown name or severity, images of another shape or outside [0, 1].
    """
    if name not in SHIFTS:
        raise ValueError(f"there is no shift {name!r}; there are {', '.join(SHIFTS)}")
    if severity not in SEVERITIES:
        raise ValueError(f"a severity is 1, 2, 3, 4 or 5, got {severity}")
    if images.ndim != 4 or min(images.shape[2:]) < SMALLEST:
        raise ValueError(
            f"images are [image, channel, height, width] of {SMALLEST} pixels a side or more, got {list(images.shape)}"
        )
    if not ((images >= 0) & (images <= 1)).all():
        raise ValueError("images lie in [0, 1], black to white: shift them before they are standardised")
    return SHIFTS[name](images, severity - 1, np.random.default_rng(seed))


def _gaussian_noise(images: Tensor, level: int, generator: np.random.Generator) -> Tensor:
    normal = torch.from_numpy(generator.standard_normal(tuple(images.shape))).to(images.device, images.dtype)
    return (images + _NOISE[level] * normal).clamp(0, 1)


def _defocus_blur(images: Tensor, level: int, _generator: np.random.Generator) -> Tensor:
    """Edges are mirrored without the outermost pixel twice, as OpenCV does by default."""
    kernel = torch.from_numpy(disk(*_DEFOCUS[level])).to(images.device, images.dtype)
    alone = images.flatten(0, 1)[:, None]
    edge = kernel.shape[0] // 2
    return conv2d(pad(alone, (edge,) * 4, mode="reflect"), kernel[None, None]).reshape(images.shape).clamp(0, 1)


def disk(radius: float, sigma: float) -> Float[np.ndarray, "side side"]:
    """Weights of a disk of ``radius`` below 2 pixels, smoothed by a Gaussian cut to 3 × 3; they sum to 1."""
    place = np.arange(-1, 2)
    inside = (place[:, None] ** 2 + place[None] ** 2 <= radius**2).astype(float)
    profile = np.exp(-(place**2) / (2 * sigma**2))
    soft = np.outer(profile, profile) / profile.sum() ** 2
    found = np.zeros((5, 5))
    for row, column in np.argwhere(inside):
        found[row : row + 3, column : column + 3] += soft / inside.sum()
    return found


def _contrast(images: Tensor, level: int, _generator: np.random.Generator) -> Tensor:
    mean = images.mean((2, 3), keepdim=True)
    return (mean + _CONTRAST[level] * (images - mean)).clamp(0, 1)


def _brightness(images: Tensor, level: int, _generator: np.random.Generator) -> Tensor:
    """V is the largest channel; the same hue and saturation at V' are the channels times V'/V, and grey for black."""
    value = images.amax(1, keepdim=True)
    brighter = (value + _BRIGHTNESS[level]).clamp(max=1)
    black = value == 0
    return torch.where(black, brighter, images * (brighter / value.masked_fill(black, 1))).clamp(0, 1)


def _pixelate(images: Tensor, level: int, _generator: np.random.Generator) -> Tensor:
    for axis in (2, 3):
        side = images.shape[axis]
        few = floor(side * _PIXELATE[level])
        weights = torch.from_numpy(_box(few, side) @ _box(side, few)).to(images.device, images.dtype)
        images = (images.movedim(axis, -1) @ weights.T).movedim(-1, axis)
    return images.clamp(0, 1)


def _box(side: int, new: int) -> Float[np.ndarray, "new side"]:
    """Pillow's box filter: a new pixel is the mean of those whose centres its window holds; of a larger, the nearest.

    The window is open at its lower end.
    """
    scale = side / new
    centres, pixels = (np.arange(new) + 0.5) * scale, np.arange(side) + 0.5
    apart = (pixels[None] - centres[:, None]) / max(scale, 1)
    inside = (apart > -0.5) & (apart <= 0.5)
    return inside / inside.sum(1, keepdims=True)


def _translation(images: Tensor, level: int, generator: np.random.Generator) -> Tensor:
    quarter = torch.from_numpy(np.floor(4 * generator.random(len(images)))).to(images.device)
    moved = images.clone()
    for turns in range(4):
        chosen = quarter == turns
        turned = images[chosen].rot90(turns, (2, 3))
        moved[chosen] = _down(turned, _TRANSLATION[level] * turned.shape[2]).rot90(-turns, (2, 3))
    return moved.clamp(0, 1)


def _down(images: Tensor, pixels: float) -> Tensor:
    """Moved down by so many pixels, a fraction of one as the mean of its neighbours."""
    height, whole = images.shape[2], floor(pixels)
    above = pad(images, (0, 0, whole + 1, 0))
    return (1 - pixels + whole) * above[:, :, 1 : height + 1] + (pixels - whole) * above[:, :, :height]


SHIFTS: dict[str, Shift] = {
    "gaussian_noise": _gaussian_noise,
    "defocus_blur": _defocus_blur,
    "contrast": _contrast,
    "brightness": _brightness,
    "pixelate": _pixelate,
    "translation": _translation,
}
DRAWN = ("gaussian_noise", "translation")
"""Those that are random."""
