"""Random numbers that depend on the seed and on an image's place among the images, and on nothing else."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor


def key(seed: int | Sequence[int]) -> list[int]:
    """A seed as numpy takes it."""
    return [number % 2**64 for number in ([seed] if isinstance(seed, int) else seed)]


def by_image(draw: Callable[[tuple[int, ...]], np.ndarray], like: Tensor, *, axis: int) -> Tensor:
    """Numbers in the shape of ``like``, drawn image by image: ``axis`` is that of the images."""
    shape = [*like.shape]
    images = shape.pop(axis)
    return torch.from_numpy(draw((images, *shape))).movedim(0, axis)


@contextmanager
def attached(hooks: Sequence[torch.utils.hooks.RemovableHandle]) -> Iterator[None]:
    """In here the hooks are there; they are removed whatever happens."""
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
