"""Random views of images and of event frames, drawn from a generator.

``crop_and_flip`` is the CIFAR recipe (zero padding of 4, a random 32×32 crop, a mirror with probability ½), each image
of a batch by its own draw. ``roll_and_flip`` is the recipe of Deng et al. 2022 for event frames: a mirror, then a shift
by up to 5 pixels that comes in again on the other side. ImageNet's views are in :mod:`models.data.resized`.
"""

from collections.abc import Callable

import torch
from jaxtyping import Shaped
from torch import Generator, Tensor
from torch.nn.functional import pad

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
