"""BatchNorm and the neuron behind it in one, for training: the normalized maps are never written.

::

    u(t) = decay · m(t−1) + scale · x(t) + shift (+ plus(t))    scale = weight / √(var + ε), shift = bias − scale · mean

with mean and var over time, batch and space, var biased, as BatchNorm has them (Ioffe and Szegedy 2015), and ``plus`` a
shortcut's current. Back, with d the gradient of the currents by the formula of :mod:`models.neurons.sweep`, x̂ the
normalized x and means over the numbers of a channel::

    ∂x = scale · (d − mean(d) − x̂ · mean(d x̂))        ∂weight = Σ d x̂        ∂bias = Σ d        ∂plus = d

``plus`` may have a BatchNorm of its own still to come, whose scale, shift and gradients are made in the same passes.
A static image's x is one step that counts at every step: its d is the sum over them, its means are over the one.

Between forward and back x is kept, and not the currents. A second derivative is that of the separate layers, which are
run again from x. The kernels are :mod:`models.neurons.fused_normalized` and :mod:`models.neurons.triton_normalized`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from . import bits, fused, fused_normalized
from .lif import LIF
from .surrogate import Smooth
from .sweep import batched

Maps = Float[Tensor, "time batch channel height width"]
Given = Float[Tensor, "given batch channel height width"]
Channels = Float[Tensor, "channel"]


@runtime_checkable
class Kernels(Protocol):
    """The computations on maps [time or 1, batch, channel, height, width]; numbers of channels are in float64."""

    def takes(self, maps: Tensor, steps: int) -> bool:
        """Whether they do these maps, shown for so many steps."""

    def statistics(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and biased variance."""

    def norms_plus(self, maps: Tensor, plus: Tensor) -> bool:
        """Whether they take a BatchNorm of ``plus`` too."""

    def spikes(
        self, maps: Tensor, plus: Tensor | None, scale: Tensor, shift: Tensor, plus_scale: Any, steps: int, neuron: Any
    ) -> Tensor:
        """Forward."""

    def gradients(
        self, maps: Tensor, plus: Tensor | None, upstream: Tensor, scale: Tensor, shift: Tensor, mean: Tensor,
        inverse: Tensor, plus_line: Any, neuron: Any,
    ) -> tuple[Tensor, Tensor | None, Tensor, Tensor, Tensor | None]:  # fmt: skip
        """∂maps, ∂plus, Σ d, Σ d (maps − mean), and Σ d (plus − mean) with ``plus_line``, its scale, mean, inverse."""


def kernels(maps: Tensor, steps: int, neuron: LIF) -> Kernels | None:
    """The kernels that take ``maps`` and the ``neuron`` behind them in one, if any do and gain by it."""
    if maps.dim() != 5 or len(maps) not in (1, steps):
        return None
    alone = neuron.kernels(maps if len(maps) == steps else maps.expand(steps, *maps.shape[1:]))
    if alone is None:
        return None
    found: Kernels = fused_normalized
    if alone is not fused:
        from . import triton_normalized  # only there is Triton sure to be installed

        found = triton_normalized
    return found if found.takes(maps, steps) else None


@dataclass(frozen=True)
class Norm:
    """A BatchNorm in training."""

    weight: Channels
    bias: Channels
    eps: float


Statistics = tuple[Channels, Channels]
"""Mean and biased variance, in the precision of the weights."""


def normalized_spikes(
    maps: Given, norm: Norm, plus: Maps | None, plus_norm: Norm | None, steps: int, neuron: LIF, by: Kernels
) -> tuple[Maps, list[Statistics]]:
    """Spikes at ``steps`` steps, and the statistics of ``maps`` and, where it is to be normalized, of ``plus``."""
    norms = [norm] if plus_norm is None else [norm, plus_norm]
    weights = [tensor for each in norms for tensor in (each.weight, each.bias)]
    eps = [each.eps for each in norms]
    spikes, *found = _Normalized.apply(maps, plus, eps, steps, neuron, by, *weights)
    spikes = spikes if isinstance(neuron.surrogate, Smooth) else bits.noted(spikes)
    return spikes, list(zip(found[::2], found[1::2], strict=True))


class _Normalized(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, maps: Tensor, plus: Tensor | None, eps: list[float], steps: int, neuron: LIF, by: Kernels,
        *weights: Tensor,
    ) -> tuple[Tensor, ...]:  # fmt: skip
        ctx.save_for_backward(maps, plus, *weights)
        ctx.eps, ctx.neuron, ctx.by, ctx.statistics, found = eps, neuron, by, [], []
        for each, small, weight in zip((maps, plus), eps, weights[::2], strict=False):
            assert each is not None
            mean, variance = by.statistics(each)
            ctx.statistics.append((mean, (variance + small).rsqrt()))
            found += [mean.to(weight.dtype), variance.to(weight.dtype)]
        scale, shift, plus_line = _line(ctx.statistics, weights)
        fired = by.spikes(maps, plus, scale, shift, plus_line and plus_line[0], steps, neuron)
        ctx.mark_non_differentiable(*found)
        return fired, *found

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        maps, plus, *weights = ctx.saved_tensors
        if torch.is_grad_enabled() or batched(upstream[0]):
            found, more, *slopes = _by_layers(ctx, upstream[0], torch.is_grad_enabled())
            return found, more, None, None, None, None, *slopes
        scale, shift, plus_line = _line(ctx.statistics, weights)
        line = scale, shift, *ctx.statistics[0], plus_line
        found, more, total, *products = ctx.by.gradients(maps, plus, upstream[0], *line, ctx.neuron)
        slopes = []
        for product, (_, inverse), weight in zip(products, ctx.statistics, weights[::2], strict=False):
            slopes += [(product * inverse).to(weight.dtype), total.to(weight.dtype)]
        return found, more, None, None, None, None, *slopes


def _line(
    statistics: list[Statistics], weights: Sequence[Tensor]
) -> tuple[Tensor, Tensor, fused_normalized.Line | None]:
    """Scale and shift of the maps, the shift of ``plus`` added, and the line of ``plus`` if it has one."""
    lines = []
    shift = torch.zeros_like(statistics[0][0])
    for (mean, inverse), weight, bias in zip(statistics, weights[::2], weights[1::2], strict=True):
        scale = weight * inverse
        shift = shift + (bias - mean * scale)
        lines.append((scale, mean, inverse))
    return lines[0][0], shift, lines[1] if len(lines) > 1 else None


@torch.enable_grad()
def _by_layers(ctx: Any, upstream: Tensor, create_graph: bool) -> tuple[Tensor | None, ...]:
    """The gradients by BatchNorm and neuron as they are, differentiable."""
    # Aliases, because an identity shortcut has a part in the history of the maps, where it is not to be differentiated.
    saved: list[Any] = [each if each is None else each.view_as(each) for each in ctx.saved_tensors]
    maps, plus, *weights = saved
    inputs = [tensor for tensor in saved if tensor is not None and tensor.requires_grad]
    normalized = [
        _normalized(each, weight, bias, eps)
        for each, weight, bias, eps in zip((maps, plus), weights[::2], weights[1::2], ctx.eps, strict=False)
    ]
    current = normalized[0].expand(upstream.shape[-5], *maps.shape[1:])
    if plus is not None:
        current = current + (normalized[1] if len(normalized) > 1 else plus)
    fired = ctx.neuron(current)
    found = iter(torch.autograd.grad(fired, inputs, upstream, create_graph=create_graph))
    return tuple(next(found) if each is not None and each.requires_grad else None for each in saved)


def _normalized(maps: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    flat = maps.flatten(0, 1)
    if flat.shape[-1] == 1:  # for maps one pixel wide, channels last, torch's own gradient may be wrong
        flat = flat.contiguous()
    return F.batch_norm(flat, None, None, weight, bias, True, 0.0, eps).unflatten(0, maps.shape[:2])
