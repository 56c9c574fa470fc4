"""Gaussian noise on the weights, w + ρ D ν with ν standard normal, and how far it lifts the loss.

What one unit of the noise ρ means is D:

    filter     the root mean square of each weight's filter (:func:`~landscape.surfaces.filter_scale`): ρ is the size
               of the disturbance relative to the filter; biases and BatchNorm's parameters stay where they are
    magnitude  |w|, each weight's own size: N(0, ρ²w²), the magnitude-aware noise of Jiang, Neyshabur, Mobahi, Krishnan,
               Bengio 2020 (ICLR), without the ε² = 10⁻⁶ that they add to its variance
    absolute   1: N(0, ρ²) on every parameter (Neyshabur, Bhojanapalli, McAllester, Srebro 2017, NeurIPS)

The weights before a BatchNorm can be rescaled without changing the network. The first two follow, so that nothing
measured with them changes; the third does not.

Draws come in antithetic pairs ±ν. The pair cancels the slope exactly, so the error of a mean rise falls with the spread
of the curvature alone. To second order that mean is ρ²/2 · tr(D H D).
"""

from collections.abc import Iterator

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from ..objective import Objective, Parameters
from ..surfaces import filter_scale
from .radius import losses_at

NOISES = ("filter", "magnitude", "absolute")


def noise_scale(parameters: Parameters, noise: str) -> Float[Tensor, " dimension"]:
    """D for a name of ``NOISES``. Raises ValueError for another name, and where every weight that it moves is zero."""
    if noise == "filter":
        return filter_scale(parameters)
    scale = parameters.vector().abs()
    if noise == "absolute":
        return torch.ones_like(scale)
    if noise != "magnitude":
        raise ValueError(f"noise must be one of {', '.join(NOISES)}, got {noise!r}")
    if not scale.any():
        raise ValueError("every weight is zero: noise in proportion to them would move nothing")
    return scale


def standard_normal(like: Tensor, generator: torch.Generator) -> Tensor:
    """As many standard normal numbers as ``like`` has, drawn on the CPU in float64: the same on every device."""
    return torch.randn(len(like), generator=generator, dtype=torch.float64).to(like.dtype).to(like.device)


def noises(scale: Float[Tensor, " dimension"], draws: int, seed: int) -> Iterator[Float[Tensor, " dimension"]]:
    """``draws`` times D ν, the same for the same seed. Raises ValueError for fewer than two: they have no spread."""
    if draws < 2:
        raise ValueError(f"a standard error needs at least 2 draws, got {draws}")
    generator = torch.Generator().manual_seed(seed)
    for _ in range(draws):
        yield scale * standard_normal(scale, generator)


def centre_losses(objective: Objective, weights: Float[Tensor, " dimension"]) -> Float64[Tensor, " example"]:
    """ℓᵢ(w), from which rises are measured. Raises ValueError where one is not finite."""
    losses = losses_at(objective, weights)
    if not losses.isfinite().all():
        raise ValueError("the loss at the weights is not finite: there is no rise to measure from it")
    return losses
