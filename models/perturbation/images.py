"""Noise on what goes into a network."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from jaxtyping import Float
from torch import Tensor, nn

from .draws import attached, by_image, key


@contextmanager
def noisy(
    network: nn.Module, *, scale: Float[Tensor, "*channel"], seed: int | Sequence[int], axis: int | None = None
) -> Iterator[None]:
    """Gaussian noise of standard deviation ``scale`` on what goes into ``network``.

    The scale of images [batch, channel, height, width] and frames [time, batch, channel, height, width] is one number a
    channel; of anything else it is whatever broadcasts over it. ``axis`` is that of the images: by default 1 of frames,
    else 0. What is given again, as to a network that is called once a step, has the same noise. Raises ValueError for a
    scale that is negative or not finite.
    """
    if not (scale.isfinite() & (scale >= 0)).all():
        raise ValueError(f"the noise's standard deviation must be at least 0 and finite, got {scale.tolist()}")
    generator = np.random.default_rng(key(seed))
    last: dict[str, Tensor] = {}

    def change(_network: nn.Module, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
        images = arguments[0]
        if last.get("given") is not images:
            place = axis if axis is not None else int(images.dim() == 5)
            normal = by_image(generator.standard_normal, images, axis=place).to(images.device, images.dtype)
            spread = scale[:, None, None] if scale.dim() == 1 and images.dim() > 3 else scale
            last.update(given=images, noisy=images + spread.to(images.device, images.dtype) * normal)
        return last["noisy"], *arguments[1:]

    with attached([network.register_forward_pre_hook(change)]):
        yield
