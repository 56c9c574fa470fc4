"""Views of images of any size, by torchvision: random ones, drawn from a generator, and the plain one that tests see.

``resized_crop_and_flip`` is the ImageNet recipe (a crop of 8 % to 100 % of the area with an aspect ratio between 3/4
and 4/3, resized to 224×224, mirrored; Szegedy et al. 2015), with ``centre_crop`` for testing: the shorter side resized
to 256, the central 224×224.
"""

import math

import torch
from jaxtyping import Shaped
from torch import Generator, Tensor
from torchvision.transforms import functional as vision


def resized_crop_and_flip(
    image: Shaped[Tensor, "channel height width"],
    generator: Generator,
    *,
    size: int = 224,
    scale: tuple[float, float] = (0.08, 1.0),
    ratio: tuple[float, float] = (3 / 4, 4 / 3),
) -> Shaped[Tensor, "channel size size"]:
    """Cut a random rectangle out of one image, resize it to ``size`` × ``size``, and mirror it with probability ½.

    ``scale`` bounds the rectangle's share of the area, ``ratio`` its width over height.
    """
    top, left, height, width = _rectangle(image.shape[1], image.shape[2], generator, scale, ratio)
    cropped = vision.resized_crop(image, top, left, height, width, [size, size], antialias=True)
    return cropped.flip(-1) if torch.rand(1, generator=generator) < 0.5 else cropped


def _rectangle(
    rows: int, columns: int, generator: Generator, scale: tuple[float, float], ratio: tuple[float, float]
) -> tuple[int, int, int, int]:
    # The order of the draws is torchvision's, so that one seed gives both the same rectangle.
    for _ in range(10):
        area = rows * columns * torch.empty(1).uniform_(*scale, generator=generator).item()
        aspect = torch.empty(1).uniform_(*map(math.log, ratio), generator=generator).exp().item()
        width, height = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < width <= columns and 0 < height <= rows:
            top = int(torch.randint(rows - height + 1, (1,), generator=generator))
            left = int(torch.randint(columns - width + 1, (1,), generator=generator))
            return top, left, height, width
    # A very elongated image: the largest central rectangle whose aspect ratio is allowed.
    aspect = min(max(columns / rows, ratio[0]), ratio[1])
    width, height = min(columns, round(rows * aspect)), min(rows, round(columns / aspect))
    return (rows - height) // 2, (columns - width) // 2, height, width


def centre_crop(
    image: Shaped[Tensor, "channel height width"], *, size: int = 224
) -> Shaped[Tensor, "channel size size"]:
    """Resize the shorter side to 256/224 of ``size`` and cut out the centre."""
    return vision.center_crop(vision.resize(image, [round(size * 256 / 224)], antialias=True), [size, size])
