"""BatchNorm and the neuron behind it in one, for training on a CPU: the normalized maps are never written.

::

    u(t) = decay · m(t−1) + scale · x(t) + shift (+ plus(t))    scale = weight / √(var + ε), shift = bias − scale · mean

with mean and var over time, batch and space, var biased, as BatchNorm has them (Ioffe and Szegedy 2015), and ``plus`` a
shortcut's current. Back, with d the gradient of the currents by the formula of :mod:`models.neurons.sweep`, x̂ the
normalized x and means over the numbers of a channel::

    ∂x = scale · (d − mean(d) − x̂ · mean(d x̂))        ∂weight = Σ d x̂        ∂bias = Σ d        ∂plus = d

Between forward and back x is kept, and not the currents: x crosses memory twice on the way there and twice on the way
back, where separate layers take it and its copies across thirteen times, and they hold twice as much. Sums are taken in
float64. A second derivative is that of the separate layers, which are run again from x.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from . import fused
from .flat import flattened, memory_order, restored
from .lif import LIF
from .sweep import batched

Maps = Float[Tensor, "time batch channel height width"]
Channels = Float[Tensor, "channel"]


LEAST = 2**18  # numbers; fewer fit a cache, where crossing them again takes less than the sums' own arithmetic


def takes(maps: Tensor) -> bool:
    """Whether there is a kernel for these maps here that gains: many, channels last, and those not too many."""
    fits = maps.dim() == 5 and maps.stride(2) == 1 and fused.lanes(maps.shape[2]) > 0
    return fits and maps.numel() >= LEAST and fused.takes(maps)


def normalized_spikes(
    maps: Maps, weight: Channels, bias: Channels, plus: Maps | None, eps: float, neuron: LIF
) -> tuple[Maps, Channels, Channels]:
    """Spikes, and the mean and biased variance of ``maps``; maps must be such as :func:`takes` takes."""
    found: tuple[Tensor, Tensor, Tensor] = _Normalized.apply(maps, weight, bias, plus, eps, neuron)
    return found


class _Normalized(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, maps: Tensor, weight: Tensor, bias: Tensor, plus: Tensor | None, eps: float, neuron: LIF
    ) -> tuple[Tensor, Tensor, Tensor]:
        order = memory_order(maps)
        x = flattened(maps, order)
        mean, variance = _statistics(x, len(weight))
        inverse = (variance + eps).rsqrt()
        ctx.save_for_backward(maps, weight, bias, plus)
        ctx.mean, ctx.inverse, ctx.eps, ctx.neuron = mean, inverse, eps, neuron
        scale = weight * inverse
        fired = fused.spikes(x, neuron, _affine(x, order, scale, bias - mean * scale, plus))
        mean, variance = mean.to(maps.dtype), variance.to(maps.dtype)
        ctx.mark_non_differentiable(mean, variance)
        return restored(fired, order, maps), mean, variance

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        maps, weight, bias, plus = ctx.saved_tensors
        if torch.is_grad_enabled() or batched(upstream[0]):
            return *_by_layers(ctx, upstream[0], torch.is_grad_enabled()), None, None
        order = memory_order(maps)
        x = flattened(maps, order)
        scale = weight * ctx.inverse
        affine = _affine(x, order, scale, bias - ctx.mean * scale, plus)
        mean, count = _tiled(ctx.mean, x), x.numel() // len(weight)
        d, sums = fused.gradient_moments(x, flattened(upstream[0], order), ctx.neuron, affine, mean)
        total, product = _by_channel(sums, len(weight))
        found = d if plus is None else torch.empty_like(d)
        slope = product * ctx.inverse**2 / count
        fused.centred(d, x, mean, affine.scale, _tiled(total / count, x), _tiled(slope, x), found)
        more = None if plus is None else restored(d, order, maps)
        weights = (product * ctx.inverse).to(weight.dtype), total.to(weight.dtype)
        return restored(found, order, maps), *weights, more, None, None


def _statistics(x: Tensor, channels: int) -> tuple[Tensor, Tensor]:
    """Mean and biased variance in float64, summed about the first number, so that a large mean costs no digits."""
    about = x[0, :channels].double()
    first, second = _by_channel(fused.moments(x, _tiled(about, x)), channels) / (x.numel() // channels)
    return about + first, second - first.square()


def _affine(x: Tensor, order: list[int], scale: Tensor, shift: Tensor, plus: Tensor | None) -> fused.Affine:
    return fused.Affine(_tiled(scale, x), _tiled(shift, x), None if plus is None else flattened(plus, order))


def _tiled(channels: Tensor, x: Tensor) -> Tensor:
    """One number a channel, repeated to a kernel's lanes, in the precision of ``x``."""
    return channels.to(x.dtype).repeat(fused.lanes(len(channels)) // len(channels))


def _by_channel(lanes: Tensor, channels: int) -> Tensor:
    return lanes.view(len(lanes), -1, channels).sum(1)


@torch.enable_grad()
def _by_layers(ctx: Any, upstream: Tensor, create_graph: bool) -> tuple[Tensor | None, ...]:
    """The gradients by BatchNorm and neuron as they are, differentiable."""
    # Aliases, because an identity shortcut has a part in the history of the maps, where it is not to be differentiated.
    saved: list[Any] = [each if each is None else each.view_as(each) for each in ctx.saved_tensors]
    maps, weight, bias, plus = saved
    inputs = [tensor for tensor in saved if tensor is not None and tensor.requires_grad]
    flat = F.batch_norm(maps.flatten(0, 1), None, None, weight, bias, True, 0.0, ctx.eps)
    current = flat.unflatten(0, maps.shape[:2])
    fired = ctx.neuron(current if plus is None else current + plus)
    found = iter(torch.autograd.grad(fired, inputs, upstream, create_graph=create_graph))
    return tuple(next(found) if each is not None and each.requires_grad else None for each in saved)
