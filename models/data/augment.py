"""Random views of images and of event frames, drawn from a generator, and the plain view that tests see.

``crop_and_flip`` is the CIFAR recipe (zero padding of 4, a random 32×32 crop, a mirror with probability ½), each image
of a batch by its own draw. ``resized_crop_and_flip`` is the ImageNet recipe (a crop of 8 % to 100 % of the area with an
aspect ratio between 3/4 and 4/3, resized to 224×224, mirrored; Szegedy et al. 2015), with ``centre_crop`` for testing:
the shorter side resized to 256, the central 224×224. ``roll_and_flip`` is the recipe of Deng et al. 2022 for event
frames: a mirror, then a shift by up to 5 pixels that comes in again on the other side.
"""

import math
from collections.abc import Callable

import torch
from jaxtyping import Shaped
from torch import Generator, Tensor
from torch.nn.functional import pad
from torchvision.transforms import functional as vision

Augment = Callable[[Tensor, Generator], Tensor]


def crop_and_flip(
    images: Shaped[Tensor, "batch channel height width"], generator: Generator, *, padding: int = 4
) -> Shaped[Tensor, "batch channel height width"]:
    """Shift each image by up to ``padding`` pixels either way, filling with zeros, and mirror half of them.

    The draws are, in this order: the top edges, the left edges, the mirrors; ``generator`` is a CPU generator.
    """
    count, _, height, width = images.shape
    top = torch.randint(2 * padding + 1, (count,), generator=generator)
    left = torch.randint(2 * padding + 1, (count,), generator=generator)
    mirror = torch.rand(count, generator=generator) < 0.5
    windows = pad(images, (padding,) * 4).unfold(2, height, 1).unfold(3, width, 1)
    cropped = windows[torch.arange(count), :, top, left]
    return torch.where(mirror.view(-1, 1, 1, 1).to(images.device), cropped.flip(-1), cropped)


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


def roll_and_flip(
    frames: Shaped[Tensor, "time batch 2 height width"], generator: Generator, *, shift: int = 5, flip: bool = True
) -> Shaped[Tensor, "time batch 2 height width"]:
    """Mirror half of the streams, then roll each by up to ``shift`` pixels either way, all frames of one alike.

    The draws are, in this order: the shifts down, the shifts to the right, the mirrors; ``generator`` is a CPU
    generator. Without ``flip`` there is no mirror, for classes that tell left from right.
    """
    count = frames.shape[1]
    down, right = (torch.randint(-shift, shift + 1, (count,), generator=generator).tolist() for _ in range(2))
    mirrored = (torch.rand(count, generator=generator) < 0.5).tolist() if flip else [False] * count
    views = [stream.flip(-1) if mirror else stream for stream, mirror in zip(frames.unbind(1), mirrored, strict=True)]
    return torch.stack([view.roll(by, (-2, -1)) for view, *by in zip(views, down, right, strict=True)], 1)
