"""Means over 2×2 windows of maps that lie row by row: as torch's, to the bit, in less than half the time.

torch takes such a map number by number; four strided copies added, in its own order, go by vectors. Maps that lie
channels last it takes by vectors too, and those are left to it.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch._C import _len_torch_dispatch_stack

from ..neurons.lif import is_plain

Maps = Float[Tensor, "batch channel height width"]
Half = Float[Tensor, "batch channel half_height half_width"]
_WINDOW = [(row, column) for row in (0, 1) for column in (0, 1)]


def takes(pool: nn.AvgPool2d, maps: Tensor) -> bool:
    """Whether :func:`halved` may stand for ``pool`` on these maps, and nobody watches which operators run."""
    two = (2, (2, 2))
    plain = pool.kernel_size in two and pool.stride in two and pool.padding in (0, (0, 0)) and not pool.divisor_override
    even = maps.ndim == 4 and maps.shape[-1] % 2 == 0 and maps.shape[-2] % 2 == 0 and maps.numel() > 0
    rows = even and maps.is_contiguous() and maps.device.type == "cpu" and maps.dtype in (torch.float32, torch.float64)
    return plain and rows and is_plain(maps) and not _len_torch_dispatch_stack()


def halved(maps: Maps) -> Half:
    """The mean of every 2×2 window, differentiable any number of times."""
    found: Tensor = _Halved.apply(maps) if torch.is_grad_enabled() and maps.requires_grad else _means(maps)
    return found


class _Halved(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, maps: Tensor) -> Tensor:  # noqa: ARG004
        return _means(maps)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:  # noqa: ARG004
        found: Tensor = _Spread.apply(gradients[0])
        return found


class _Spread(torch.autograd.Function):
    """A quarter of every number at each place of its window: the transpose of :class:`_Halved`."""

    @staticmethod
    def forward(ctx: Any, half: Tensor) -> Tensor:  # noqa: ARG004
        *others, height, width = half.shape
        quarter, spread = half / 4, half.new_empty(*others, 2 * height, 2 * width)
        for row, column in _WINDOW:
            spread[..., row::2, column::2] = quarter
        return spread

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:  # noqa: ARG004
        found: Tensor = _Halved.apply(gradients[0])
        return found


def _means(maps: Tensor) -> Tensor:
    first, second, third, last = (maps[..., row::2, column::2] for row, column in _WINDOW)
    return (first + second).add_(third).add_(last).div_(4)
