"""Spikes, and what stands in for their derivative.

A spike is the step s = H(x) of x = u − threshold, strictly: x = 0 does not fire. Its derivative is zero almost
everywhere, so the backward uses a pulse σ'(x) of unit area instead::

    triangle    max(0, γ − |x|) / γ²            Deng et al. 2022, eq. 5; zero from |x| = γ on
    arctan      (α/2) / (1 + (π α x / 2)²)      Fang et al. 2021
    sigmoid     k σ(kx) (1 − σ(kx))             σ the logistic function
    rectangle   1[|x| < w/2] / w                Wu et al. 2018; zero at |x| = w/2
    smooth      as sigmoid, and the forward is σ(kx) itself: no step anywhere (Deng et al. 2022, table 2)

Each is a plain differentiable function of x, and the backward of :func:`spike` calls it on the saved x. A second
backward then meets σ''(x); saving the value σ'(x) in the forward would give the same gradient and silently a wrong
Hessian. Where a pulse has a corner its derivative is taken as zero: the triangle's at 0 and ±γ (a neuron without input
sits exactly on −γ when γ is the threshold), the rectangle's everywhere.

One number, `width`, sets every pulse by name: its area divided by its peak, so the peak is 1/width. It is γ for the
triangle, w for the rectangle, 2/α for arctan and 4/k for the sigmoids.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import inf, pi
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd import forward_ad

Surrogate = Callable[[Tensor], Tensor]


def _positive(name: str, value: float) -> None:
    if not 0 < value < inf:
        raise ValueError(f"{name} must be positive and finite, got {value}")


@dataclass(frozen=True)
class Triangle:
    """max(0, γ − |x|) / γ²: peak 1/γ, zero from |x| = γ on."""

    gamma: float = 1.0

    def __post_init__(self) -> None:
        _positive("gamma", self.gamma)

    def __call__(self, x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """σ'(x), elementwise."""
        return torch.relu(self.gamma - x.abs()) / self.gamma**2


@dataclass(frozen=True)
class Arctan:
    """(α/2) / (1 + (π α x / 2)²): peak α/2, tails that fall as 1/x²."""

    alpha: float = 2.0

    def __post_init__(self) -> None:
        _positive("alpha", self.alpha)

    def __call__(self, x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """σ'(x), elementwise."""
        return self.alpha / 2 / (1 + (pi * self.alpha / 2 * x).square())


@dataclass(frozen=True)
class Sigmoid:
    """k σ(kx) (1 − σ(kx)): peak k/4, exponential tails."""

    k: float = 4.0

    def __post_init__(self) -> None:
        _positive("k", self.k)

    def __call__(self, x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """σ'(x), elementwise."""
        value = torch.sigmoid(self.k * x)
        return self.k * value * (1 - value)


@dataclass(frozen=True)
class Rectangle:
    """1[|x| < width/2] / width: peak 1/width, and no second derivative."""

    width: float = 1.0

    def __post_init__(self) -> None:
        _positive("width", self.width)

    def __call__(self, x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """σ'(x), elementwise."""
        return (x.abs() < self.width / 2).to(x.dtype) / self.width


@dataclass(frozen=True)
class Smooth(Sigmoid):
    """No surrogate: the spike itself is σ(kx), and this is its true derivative."""

    k: float = 10.0


_BY_WIDTH: dict[str, Callable[[float], Surrogate]] = {
    "triangle": lambda width: Triangle(width),
    "arctan": lambda width: Arctan(2 / width),
    "sigmoid": lambda width: Sigmoid(4 / width),
    "rectangle": lambda width: Rectangle(width),
    "smooth": lambda width: Smooth(4 / width),
}


def surrogate(name: str, width: float = 1.0) -> Surrogate:
    """The pulse ``name`` with area over peak ``width``, in units of the membrane.

    Width 1 is every pulse's usual setting (γ = 1, α = 2, k = 4). Table 2's smooth spikes with k = 1, 10, 20 have width
    4, 0.4 and 0.2. ValueError for an unknown name or a width that is not positive.
    """
    if name not in _BY_WIDTH:
        raise ValueError(f"no surrogate named {name!r}; there are {', '.join(_BY_WIDTH)}")
    _positive("width", width)
    return _BY_WIDTH[name](width)


def coded(surrogate: Surrogate) -> tuple[int, float, float]:
    """A pulse for a kernel, which takes no function: its number, and the constants a and b in it.

    ::

        0 triangle    max(0, a − |x|) / b        a = γ, b = γ²
        1 arctan      b / (1 + (a x)²)           a = πα/2, b = α/2
        2 sigmoid     a σ(ax) (1 − σ(ax))        a = k
        3 rectangle   1[|x| < a] / b             a = width/2, b = width
        4 smooth      as sigmoid, and s = σ(ax)

    ValueError for any other function.
    """
    match surrogate:
        case Triangle(gamma):
            return 0, gamma, gamma**2
        case Arctan(alpha):
            return 1, pi * alpha / 2, alpha / 2
        case Smooth(k):  # a Sigmoid too, so it comes before
            return 4, k, 0.0
        case Sigmoid(k):
            return 2, k, 0.0
        case Rectangle(width):
            return 3, width / 2, width
    raise ValueError(f"no kernel knows the surrogate {surrogate}: use the reference neuron")


def spike(x: Float[Tensor, "*shape"], surrogate: Surrogate) -> Float[Tensor, "*shape"]:
    """H(x) with x > 0 strictly, and ``surrogate`` for its derivative; σ(kx) when the surrogate is :class:`Smooth`.

    Differentiable any number of times, in reverse and forward mode in any order, and under ``torch.func.vmap``.
    """
    if isinstance(surrogate, Smooth):
        return torch.sigmoid(surrogate.k * x)
    spikes: Tensor = _Spike.apply(x, surrogate)
    return spikes


class _Spike(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, _surrogate: Surrogate) -> Tensor:
        return (x > 0).to(x.dtype)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Surrogate], _output: Tensor) -> None:
        x, ctx.surrogate = inputs
        ctx.save_for_backward(x)
        ctx.save_for_forward(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors
        return gradients[0] * ctx.surrogate(x), None

    @staticmethod
    def jvp(ctx: Any, *tangents: Tensor | None) -> Tensor:
        (x,) = ctx.saved_tensors
        # Torch runs a custom jvp with forward mode off, so that a forward mode around this one would silently lose σ''.
        # With it on, primals leave out this mode's own tangent and keep those of the modes around it.
        with forward_ad._set_fwd_grad_enabled(True):
            return forward_ad.unpack_dual(tangents[0]).primal * ctx.surrogate(forward_ad.unpack_dual(x).primal)
