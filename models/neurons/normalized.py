"""BatchNorm and the neuron behind it in one, for training: the normalized maps are never written.

::

    u(t) = decay · m(t−1) + scale · x(t) + shift (+ plus(t))    scale = weight / √(var + ε), shift = bias − scale · mean

with mean and var over time, batch and space, var biased, as BatchNorm has them (Ioffe and Szegedy 2015), and ``plus`` a
shortcut's current. Back, with d the gradient of the currents by the formula of :mod:`models.neurons.sweep`, x̂ the
normalized x and means over the numbers of a channel::

    ∂x = scale · (d − mean(d) − x̂ · mean(d x̂))        ∂weight = Σ d x̂        ∂bias = Σ d        ∂plus = d

A static image's x is one step that counts at every step: its d is the sum over them, its means are over the one.

Between forward and back x is kept, and not the currents. A second derivative is that of the separate layers, which are
run again from x. The kernels are :mod:`models.neurons.fused_normalized` and :mod:`models.neurons.triton_normalized`.
"""

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

    def spikes(
        self, maps: Tensor, plus: Tensor | None, scale: Tensor, shift: Tensor, steps: int, neuron: Any
    ) -> Tensor:
        """Forward."""

    def gradients(
        self, maps: Tensor, plus: Tensor | None, upstream: Tensor, scale: Tensor, shift: Tensor, mean: Tensor,
        inverse: Tensor, neuron: Any,
    ) -> tuple[Tensor, Tensor | None, Tensor, Tensor]:  # fmt: skip
        """∂maps, ∂plus, Σ d and Σ d (maps − mean)."""


def kernels(maps: Tensor, steps: int, neuron: LIF) -> Kernels | None:
    """The kernels that take ``maps`` and the ``neuron`` behind them in one, if any do and gain by it."""
    if maps.dim() != 5 or len(maps) not in (1, steps):
        return None
    alone = neuron.kernels(maps.expand(steps, *maps.shape[1:]))
    if alone is None:
        return None
    found: Kernels = fused_normalized
    if alone is not fused:
        from . import triton_normalized  # only there is Triton sure to be installed

        found = triton_normalized
    return found if found.takes(maps, steps) else None


def normalized_spikes(
    maps: Given, weight: Channels, bias: Channels, plus: Maps | None, eps: float, steps: int, neuron: LIF, by: Kernels
) -> tuple[Maps, Channels, Channels]:
    """Spikes at ``steps`` steps, and the mean and biased variance of ``maps``, in the precision of ``weight``."""
    spikes, mean, variance = _Normalized.apply(maps, weight, bias, plus, eps, steps, neuron, by)
    return spikes if isinstance(neuron.surrogate, Smooth) else bits.noted(spikes), mean, variance


class _Normalized(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, maps: Tensor, weight: Tensor, bias: Tensor, plus: Tensor | None, eps: float, steps: int, neuron: LIF,
        by: Kernels,
    ) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
        mean, variance = by.statistics(maps)
        inverse = (variance + eps).rsqrt()
        ctx.save_for_backward(maps, weight, bias, plus)
        ctx.mean, ctx.inverse, ctx.eps, ctx.neuron, ctx.by = mean, inverse, eps, neuron, by
        scale = weight * inverse
        fired = by.spikes(maps, plus, scale, bias - mean * scale, steps, neuron)
        mean, variance = mean.to(weight.dtype), variance.to(weight.dtype)
        ctx.mark_non_differentiable(mean, variance)
        return fired, mean, variance

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        maps, weight, bias, plus = ctx.saved_tensors
        if torch.is_grad_enabled() or batched(upstream[0]):
            return *_by_layers(ctx, upstream[0], torch.is_grad_enabled()), None, None, None, None
        scale = weight * ctx.inverse
        line = scale, bias - ctx.mean * scale, ctx.mean, ctx.inverse
        found, more, total, product = ctx.by.gradients(maps, plus, upstream[0], *line, ctx.neuron)
        weights = (product * ctx.inverse).to(weight.dtype), total.to(bias.dtype)
        return found, *weights, more, None, None, None, None


@torch.enable_grad()
def _by_layers(ctx: Any, upstream: Tensor, create_graph: bool) -> tuple[Tensor | None, ...]:
    """The gradients by BatchNorm and neuron as they are, differentiable."""
    # Aliases, because an identity shortcut has a part in the history of the maps, where it is not to be differentiated.
    saved: list[Any] = [each if each is None else each.view_as(each) for each in ctx.saved_tensors]
    maps, weight, bias, plus = saved
    inputs = [tensor for tensor in saved if tensor is not None and tensor.requires_grad]
    flat = maps.flatten(0, 1)
    if flat.shape[-1] == 1:  # for maps one pixel wide, channels last, torch's own gradient may be wrong
        flat = flat.contiguous()
    flat = F.batch_norm(flat, None, None, weight, bias, True, 0.0, ctx.eps)
    current = flat.unflatten(0, maps.shape[:2]).expand(upstream.shape[-5], *maps.shape[1:])
    fired = ctx.neuron(current if plus is None else current + plus)
    found = iter(torch.autograd.grad(fired, inputs, upstream, create_graph=create_graph))
    return tuple(next(found) if each is not None and each.requires_grad else None for each in saved)
