"""BatchNorm folded into the convolution before it: the network that runs, and whose operations are counted.

In eval mode a BatchNorm is one multiplication and one addition a channel, so that convolution and BatchNorm are one
convolution (Deng et al. 2022, equation 6)::

    Ŵ = W · γ/α      b̂ = β + (b − μ) · γ/α      α = √(running variance + ε)

with γ times the layer's scale for tdBN. Exact in real numbers. The factors are computed in float64 and rounded once;
currents then differ by rounding, and where a membrane comes within that of its threshold a spike may too.
"""

from copy import deepcopy
from typing import TypeVar

import torch
from torch import Tensor, nn

from models.networks.layers import BatchNorm2d

N = TypeVar("N", bound=nn.Module)


def folded(network: N) -> N:
    """A copy of ``network`` in eval mode whose BatchNorms hand on what they get: same currents and spikes, to rounding.

    A BatchNorm ``norm2`` belongs to the convolution ``conv2`` beside it. Raises ValueError where there is none.
    """
    copy = deepcopy(network).eval()
    for name, norm in list(copy.named_modules()):
        if isinstance(norm, BatchNorm2d):
            place, _, leaf = name.rpartition(".")
            parent = copy.get_submodule(place)
            convolution = getattr(parent, leaf.replace("norm", "conv"), None)
            if not isinstance(convolution, nn.Conv2d):
                raise ValueError(f"{name} has no convolution {leaf.replace('norm', 'conv')} beside it to fold into")
            _fold(convolution, norm)
            setattr(parent, leaf, _Folded(norm.num_features))
    return copy


class _Folded(BatchNorm2d):
    """Where a BatchNorm was: for networks that expect one there."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - torch's name
        return input


@torch.no_grad()
def _fold(convolution: nn.Conv2d, norm: BatchNorm2d) -> None:
    mean, variance = (norm.get_buffer(name).double() for name in ("running_mean", "running_var"))
    factor = norm.scale * norm.weight.double() / (variance + norm.eps).sqrt()
    bias = 0.0 if convolution.bias is None else convolution.bias.double()
    weight = convolution.weight
    convolution.bias = nn.Parameter((norm.bias.double() + (bias - mean) * factor).to(weight.dtype), False)
    convolution.weight = nn.Parameter((weight.double() * factor[:, None, None, None]).to(weight.dtype), False)
