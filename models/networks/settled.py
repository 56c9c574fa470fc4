"""BatchNorm with settled statistics (eval mode), whose second derivatives cost little.

It is affine there, y = s (x − mean) + b channel by channel, with s = weight / √(variance + ε). torch's own backward is
written for both modes, and its backward in turn goes through twice the operations that this one needs. Forward is
torch's own, to the bit; derivatives are the same but for rounding.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from ..neurons.lif import is_plain


def takes(maps: Tensor, *held: Tensor | None) -> bool:
    """Whether these are to be differentiated, of one precision, and nothing but their numbers."""
    return torch.is_grad_enabled() and all(
        one is not None and is_plain(one) and one.dtype == maps.dtype for one in (maps, *held)
    )


def settled(
    maps: Float[Tensor, "image channel height width"],
    weight: Float[Tensor, " channel"],
    bias: Float[Tensor, " channel"],
    mean: Float[Tensor, " channel"] | None,
    variance: Float[Tensor, " channel"] | None,
    eps: float,
) -> Float[Tensor, "image channel height width"]:
    """``torch.nn.functional.batch_norm`` in eval mode, differentiable by maps, weight and bias."""
    found: Tensor = _Settled.apply(maps, weight, bias, mean, variance, eps)
    return found


class _Settled(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, maps: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, variance: Tensor, eps: float
    ) -> Tensor:
        ctx.save_for_backward(maps, weight, mean, variance)
        ctx.eps = eps
        return functional.batch_norm(maps, mean, variance, weight, bias, eps=eps)

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor | None, ...]:
        (slope,), (maps, weight, mean, variance) = slopes, ctx.saved_tensors
        inverse = (variance + ctx.eps).rsqrt()
        needs_maps, needs_weight, needs_bias = ctx.needs_input_grad[:3]
        of_maps = slope * (weight * inverse)[:, None, None] if needs_maps else None
        of_weight = (slope * (maps - mean[:, None, None])).sum((0, 2, 3)) * inverse if needs_weight else None
        return of_maps, of_weight, slope.sum((0, 2, 3)) if needs_bias else None, None, None, None
