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

LEAST = 2**18  # numbers; fewer fit a cache, where crossing them again takes less than the sums' own arithmetic


def takes(maps: Tensor, steps: int) -> bool:
    """Whether there is a kernel for these maps here that gains: many, channels last, and those not too many."""
    fits = maps.dim() == 5 and maps.stride(2) == 1 and fused.lanes(maps.shape[2]) > 0
    return fits and len(maps) == steps and maps.numel() >= LEAST and fused.takes(maps)


def statistics(maps: Maps) -> tuple[Channels, Channels]:
    """Mean and biased variance in float64, summed about the first number, so that a large mean costs no digits."""
    channels, x = maps.shape[2], flattened(maps, memory_order(maps))
    about = x[0, :channels].double()
    first, second = _by_channel(fused.moments(x, _tiled(about, x)), channels) / (x.numel() // channels)
    return about + first, second - first.square()


def spikes(maps: Maps, plus: Maps | None, scale: Channels, shift: Channels, steps: int, neuron: Dynamics) -> Maps:  # noqa: ARG001
    """Those of ``scale`` · maps + ``shift`` (+ ``plus``)."""
    order = memory_order(maps)
    x = flattened(maps, order)
    return restored(fused.spikes(x, neuron, _affine(x, order, scale, shift, plus)), order, maps)


def gradients(
    maps: Maps, plus: Maps | None, upstream: Maps, scale: Channels, shift: Channels, mean: Channels,
    inverse: Channels, neuron: Dynamics,
) -> tuple[Maps, Maps | None, Channels, Channels]:  # fmt: skip
    """∂maps, ∂plus, and by channels Σ d and Σ d (maps − mean)."""
    order = memory_order(maps)
    x = flattened(maps, order)
    affine, about, channels = _affine(x, order, scale, shift, plus), _tiled(mean, x), len(scale)
    d, sums = fused.gradient_moments(x, flattened(upstream, order), neuron, affine, about)
    total, product = _by_channel(sums, channels)
    found, count = d if plus is None else torch.empty_like(d), x.numel() // channels
    slope = product * inverse**2 / count
    fused.centred(d, x, about, affine.scale, _tiled(total / count, x), _tiled(slope, x), found)
    return restored(found, order, maps), None if plus is None else restored(d, order, maps), total, product


def _affine(x: Tensor, order: list[int], scale: Tensor, shift: Tensor, plus: Tensor | None) -> fused.Affine:
    return fused.Affine(_tiled(scale, x), _tiled(shift, x), None if plus is None else flattened(plus, order))


def _tiled(channels: Tensor, x: Tensor) -> Tensor:
    """One number a channel, repeated to a kernel's lanes, in the precision of ``x``."""
    return channels.to(x.dtype).repeat(fused.lanes(len(channels)) // len(channels))


def _by_channel(lanes: Tensor, channels: int) -> Tensor:
    return lanes.view(len(lanes), -1, channels).sum(1)
