"""BatchNorm and neuron in one on a CPU, by the C of :mod:`models.neurons.fused`; normalized.py has the formulas.

Maps must lie channels last, since a kernel takes a row of channels at once. x crosses memory twice on the way there and
twice on the way back, where separate layers take it and its copies across thirteen times. Sums are taken in float64.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from . import fused
from .flat import flattened, memory_order, restored
from .sweep import Dynamics

Maps = Float[Tensor, "time batch channel height width"]
Channels = Float[Tensor, "channel"]
Line = tuple[Channels, Channels, Channels]  # a BatchNorm's scale, mean and 1 / √(var + ε)

LEAST = 2**18  # numbers; fewer fit a cache, where crossing them again takes less than the sums' own arithmetic


def takes(maps: Tensor, steps: int) -> bool:
    """Whether there is a kernel for these maps here that gains: many, channels last, and those not too many."""
    fits = maps.dim() == 5 and maps.stride(2) == 1 and maps.shape[2] <= fused.BLOCK
    return fits and len(maps) == steps and maps.numel() >= LEAST and fused.takes(maps)


def statistics(maps: Maps) -> tuple[Channels, Channels]:
    """Mean and biased variance in float64, summed about the first number, so that a large mean costs no digits."""
    x = flattened(maps, memory_order(maps))
    about = x[0, : maps.shape[2]].double()
    first, second = fused.moments(x, about) / (maps.numel() // maps.shape[2])
    return about + first, second - first.square()


def norms_plus(maps: Maps, plus: Maps) -> bool:
    """Whether they take a BatchNorm of ``plus`` too: where it lies as the maps do."""
    return plus.shape == maps.shape and plus.stride() == maps.stride() and plus.dtype == maps.dtype


def spikes(
    maps: Maps, plus: Maps | None, scale: Channels, shift: Channels, plus_scale: Channels | None, steps: int,  # noqa: ARG001
    neuron: Dynamics,
) -> Maps:  # fmt: skip
    """Those of ``scale`` · maps + ``shift`` (+ ``plus_scale`` · plus)."""
    order = memory_order(maps)
    affine = _affine(order, scale, shift, plus, plus_scale)
    return restored(fused.spikes(flattened(maps, order), neuron, affine), order, maps)


def gradients(
    maps: Maps, plus: Maps | None, upstream: Maps, scale: Channels, shift: Channels, mean: Channels,
    inverse: Channels, plus_line: Line | None, neuron: Dynamics,
) -> tuple[Maps, Maps | None, Channels, Channels, Channels | None]:  # fmt: skip
    """∂maps, ∂plus, and by channels Σ d, Σ d (maps − mean) and, with a ``plus_line``, Σ d (plus − its mean)."""
    order = memory_order(maps)
    x, count = flattened(maps, order), maps.numel() // maps.shape[2]
    affine = _affine(order, scale, shift, plus, plus_line and plus_line[0])
    d, sums = fused.gradient_moments(x, flattened(upstream, order), neuron, affine, mean, plus_line and plus_line[1])
    (total, product), (_, other) = sums
    found = d if plus is None else torch.empty_like(d)
    fused.centred(d, x, mean, scale, total / count, product * inverse**2 / count, found)
    if affine.plus is not None and plus_line:
        plus_scale, plus_mean, plus_inverse = plus_line
        fused.centred(d, affine.plus, plus_mean, plus_scale, total / count, other * plus_inverse**2 / count, d)
    back = None if plus is None else restored(d, order, maps)
    return restored(found, order, maps), back, total, product, other if plus_line else None


def _affine(
    order: list[int], scale: Tensor, shift: Tensor, plus: Tensor | None, plus_scale: Tensor | None
) -> fused.Affine:
    return fused.Affine(scale, shift, None if plus is None else flattened(plus, order), plus_scale)
