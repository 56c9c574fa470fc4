"""Means over windows of 2 × 2 on a CPU, in C: torch's own take as long as a convolution of the maps before them.

Numbers are torch's to the bit. The mean is linear, and spreading a slope over the windows is its transpose: each is the
other's backward, as often as is asked for. What isn't plain numbers in a row goes torch's way.
"""

import ctypes
from functools import cache
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from ..neurons.compiling import compiled
from ..neurons.lif import is_plain
from ..neurons.sweep import batched

_FLAGS = ("-O3", "-march=native", "-fno-fast-math", "-ffp-contract=off", "-fPIC", "-shared")
_REALS = {torch.float32: "float", torch.float64: "double"}
_FEW = 2**17  # numbers; beyond them torch's own threads are faster

Maps = Float[Tensor, "map channel height width"]
Halved = Float[Tensor, "map channel half_height half_width"]


def takes(pool: nn.AvgPool2d, maps: Tensor) -> bool:
    """Whether these are means over windows of 2 × 2 side by side, of plain numbers one behind the other."""
    windows = (pool.kernel_size, pool.stride, pool.padding) in ((2, 2, 0), ((2, 2), (2, 2), (0, 0)))
    even = maps.dim() == 4 and maps.shape[2] % 2 == 0 and maps.shape[3] % 2 == 0
    return windows and pool.divisor_override is None and even and _here(maps)


def halved(maps: Maps) -> Halved:
    """``torch.nn.functional.avg_pool2d(maps, 2)`` of maps of even sides, differentiable any number of times."""
    if not _here(maps):
        return functional.avg_pool2d(maps, 2)
    found: Tensor = _Halved.apply(maps) if maps.requires_grad and torch.is_grad_enabled() else _halve(maps)
    return found


def spread(slope: Halved) -> Maps:
    """Its transpose: a quarter of each number at the four of its window."""
    if not _here(slope):  # a vmap's, say
        return (slope / 4).repeat_interleave(2, -2).repeat_interleave(2, -1)
    found: Tensor = _Spread.apply(slope) if slope.requires_grad and torch.is_grad_enabled() else _spread(slope)
    return found


def _here(maps: Tensor) -> bool:
    return (
        maps.dtype in _REALS
        and maps.device.type == "cpu"
        and maps.is_contiguous()
        and (maps.numel() <= _FEW or torch.get_num_threads() == 1)
        and is_plain(maps)
        and not batched(maps)
        and not torch._C._len_torch_dispatch_stack()
        and _library(maps.dtype) is not None
    )


@cache
def _library(dtype: torch.dtype) -> ctypes.CDLL | None:
    return compiled(Path(__file__).with_name("means.c"), *_FLAGS, f"-DREAL={_REALS[dtype]}")


def _halve(maps: Maps) -> Halved:
    *outer, height, width = maps.shape
    return _run("halve", maps, maps.new_empty(*outer, height // 2, width // 2), width // 2)


def _spread(slope: Halved) -> Maps:
    *outer, height, width = slope.shape
    return _run("spread", slope, slope.new_empty(*outer, 2 * height, 2 * width), width)


def _run(name: str, given: Tensor, made: Tensor, columns: int) -> Tensor:
    rows = max(given.numel(), made.numel()) // max(1, 4 * columns)
    addresses = (ctypes.c_void_p(each.data_ptr()) for each in (given, made))
    getattr(_library(given.dtype), name)(ctypes.c_int64(rows), ctypes.c_int64(columns), *addresses)
    return made


class _Halved(torch.autograd.Function):
    @staticmethod
    def forward(_ctx: Any, maps: Tensor) -> Tensor:
        return _halve(maps)

    @staticmethod
    def backward(_ctx: Any, *slopes: Tensor) -> Tensor:
        return spread(slopes[0].contiguous())


class _Spread(torch.autograd.Function):
    @staticmethod
    def forward(_ctx: Any, slope: Tensor) -> Tensor:
        return _spread(slope)

    @staticmethod
    def backward(_ctx: Any, *slopes: Tensor) -> Tensor:
        return halved(slopes[0].contiguous())
