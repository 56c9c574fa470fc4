"""The products that a network is made of, as torch executes them: convolutions and products of matrices.

Whatever module or function asked for it (``nn.Linear``, ``matmul``, ``einsum``, attention), what is executed is one of
a few operators. Each multiplies elements of two operands a and b and adds up; how many products an element takes part
in is its *fan*::

    matrices […, I, K] @ [..., K, J]     fan of a_ik = Σ_j n(b_kj)      fan of b_kj = Σ_i n(a_ik)
    convolution of a with kernels b      fan of a = output channels · places of the kernel that cover it

n is 1 for weights and graded values, and the number of spikes for spikes. Padding takes part in none. Of a convolution
only a is looked at: kernels, even where they depend on the image, count as weights.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from jaxtyping import Float64
from torch import Tensor

from .operators import MATRICES, operator

Fan = Callable[[Tensor | None], Tensor | int]


@dataclass(frozen=True)
class Product:
    """One product: its operands, and what the fan of each is, given the other's spikes or None."""

    kind: str
    operands: tuple[Tensor, Tensor]
    fans: tuple[Fan, Fan]


def product(func: Any, args: Sequence[Any]) -> Product | None:
    """The product that the operator ``func`` makes of ``args``; None where it makes none."""
    name = operator(func) if func.namespace == "aten" else ""
    if name == "convolution":
        x, kernel, _, *how = args
        return Product("conv", (x, kernel), (lambda _: fan_out(x.shape, kernel.shape, *how), lambda _: 0))
    if name not in MATRICES:
        return None
    first = MATRICES[name]
    a, b = args[first], args[first + 1]
    return Product("linear", (a, b), (lambda spikes: _row(a, b, spikes), lambda spikes: _column(a, b, spikes)))


def _row(a: Tensor, b: Tensor, spikes: Tensor | None) -> Tensor | int:
    """Fan of each a_ik: over the columns of b."""
    if b.dim() == 1:
        return 1 if spikes is None else spikes
    return b.shape[-1] if spikes is None else spikes.sum(-1).unsqueeze(-2 if a.dim() > 1 else 0)


def _column(a: Tensor, b: Tensor, spikes: Tensor | None) -> Tensor | int:
    """Fan of each b_kj: over the rows of a."""
    if a.dim() == 1:
        return 1 if spikes is None else spikes
    rows = a.shape[-2] if spikes is None else spikes.sum(-2)
    return rows if b.dim() == 1 or isinstance(rows, int) else rows.unsqueeze(-1)


def fan_out(
    shape: Sequence[int], kernel: Sequence[int], stride: Sequence[int], padding: Sequence[int],
    dilation: Sequence[int], transposed: bool, output_padding: Sequence[int], groups: int,
) -> Float64[Tensor, "1 1 *space"]:  # fmt: skip
    """How many synapses each input of a convolution feeds.

    ``shape`` is [batch, channel, *space], ``kernel`` [out, in/groups, *size], transposed [in, out/groups, *size]; the
    rest as in ``torch.convolution``.
    """
    channels = kernel[1] if transposed else kernel[0] // groups
    places = torch.tensor(float(channels), dtype=torch.float64)
    for axis, size in enumerate(shape[2:]):
        one = [each[min(axis, len(each) - 1)] for each in (stride, padding, dilation, output_padding)]
        places = places.unsqueeze(-1) * _covered(size, kernel[2 + axis], *one, transposed)
    return places[None, None]


@cache
def _covered(size: int, kernel: int, stride: int, padding: int, dilation: int, extra: int, transposed: bool) -> Tensor:
    """Along one axis: how many places of the kernel meet each input."""
    reach = dilation * (kernel - 1) + 1
    steps = torch.arange(kernel) * dilation - padding
    if transposed:
        length = (size - 1) * stride - 2 * padding + reach + extra
        found = torch.arange(size)[:, None] * stride + steps
        return ((found >= 0) & (found < length)).sum(1).double()
    outputs = torch.arange((size + 2 * padding - reach) // stride + 1)
    found = (outputs[:, None] * stride + steps).flatten()
    return torch.bincount(found[(found >= 0) & (found < size)], minlength=size).double()
