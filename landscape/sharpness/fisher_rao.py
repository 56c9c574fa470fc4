"""The Fisher–Rao norm: how much the losses change when all weights shrink together.

    ⟨w, F w⟩,     F = Jᵀ(∂²ℓ/∂z²)J         ("gauss_newton": the Fisher matrix at labels that the model predicts)
                  F = (1/N) Σᵢ gᵢgᵢᵀ        ("empirical": at the labels of the data), gᵢ = ∂ℓᵢ/∂w

(Liang, Poggio, Rakhlin, Stokes 2019, AISTATS, definition 2; the norm is the root, reported here is the square.) With
ℓ = −log p, as the cross-entropy of the output is, Gauss–Newton is the Fisher matrix exactly
(:mod:`landscape.curvature.fisher`). For a network homogeneous in its weights they write the empirical one as (depth)²
E⟨∂ℓ/∂z, z⟩². Biases, thresholds and BatchNorm make a network anything but homogeneous, so here the products are made:
Jw is the derivative of the output along the weights themselves, and the norm is a mean over examples,

    ⟨w, F w⟩ = (1/N) Σᵢ (J_i w)ᵀ (∂²ℓᵢ/∂z²) (J_i w)        or    (1/N) Σᵢ ⟨gᵢ, w⟩²

whose spread gives its standard error. J is the surrogate's where the model has one.

**Invariant** when weights before a BatchNorm are rescaled (J_i w stays), and under any other change of parameters
that leaves the function and the ray through the weights alone. Near a perfect fit the empirical one vanishes.
"""

from dataclasses import dataclass
from typing import Any

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from ..displayed import Displayed
from ..objective import Objective, cut, derivative
from ..surfaces import mean_and_stderr

FISHERS = ("gauss_newton", "empirical")


@dataclass(frozen=True)
class FisherRao(Displayed):
    """⟨w, F w⟩ and its standard error over examples."""

    fisher: str
    value: float
    stderr: float
    examples: int

    def to_frame(self) -> pd.DataFrame:
        """One row: fisher, value, stderr, examples."""
        return pd.DataFrame([vars(self)])


def fisher_rao(objective: Objective, *, fisher: str = "gauss_newton") -> FisherRao:
    """The square of the Fisher–Rao norm of the present weights, over all of the objective's parameters.

    Costs about three passes over the data. Raises ValueError for another name than those of ``FISHERS``, a loss without
    values of single examples, and one that does not depend on the parameters.
    """
    if fisher not in FISHERS:
        raise ValueError(f"fisher must be one of {', '.join(FISHERS)}, got {fisher!r}")
    objective.parameters.check_real("the Fisher–Rao norm")
    of_batch = _curved if fisher == "gauss_newton" else _squared_slopes
    with objective.differentiating():
        found = [of_batch(objective, inputs, target).detach() for _, inputs, target in objective.batches()]
    value, stderr = mean_and_stderr(objective.gathered(found).cpu().double())
    return FisherRao(fisher, value, stderr, objective.size)


def _squared_slopes(objective: Objective, inputs: Any, target: Any) -> Float[Tensor, " example"]:
    """⟨gᵢ, w⟩²."""
    (slopes,) = _along_weights(objective, _each(objective.losses(inputs, target)))
    return slopes.square()


def _curved(objective: Objective, inputs: Any, target: Any) -> Float[Tensor, " example"]:
    """(J_i w)ᵀ (∂²ℓᵢ/∂z²) (J_i w), example by example: the derivative by each one's share c_i of Σ c_i ℓᵢ."""
    outputs, ends, whole = cut(objective.output(inputs))
    tangents = _along_weights(objective, *outputs)
    losses = _each(objective.losses_of(whole, target))
    share = torch.ones_like(losses, requires_grad=True)
    slopes = derivative([losses], ends, [share], create_graph=True)
    curved = derivative(slopes, ends, tangents, create_graph=True)
    (forms,) = derivative(curved, [share], tangents)
    return forms if forms is not None else torch.zeros_like(share)


def _along_weights(objective: Objective, *outputs: Tensor) -> list[Tensor]:
    """The derivative of each output along the weights: that of u ↦ Jᵀu, no finite difference."""
    weights = objective.parameters.tensors
    cotangents = [torch.zeros_like(output, requires_grad=True) for output in outputs]
    pullback = derivative(outputs, weights, cotangents, create_graph=True)
    tangents = derivative(pullback, cotangents, [weight.detach() for weight in weights])
    return [
        torch.zeros_like(output) if tangent is None else tangent.detach()
        for output, tangent in zip(outputs, tangents, strict=True)
    ]


def _each(losses: Tensor) -> Float[Tensor, " example"]:
    if losses.ndim != 1:
        raise ValueError("the loss returns a mean; the Fisher-Rao norm needs single ones: reduction='none'")
    return losses
