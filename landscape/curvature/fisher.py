"""The empirical Fisher and the Fisher matrix of an objective: second moments of the gradients of single examples.

    E = (1/N) Σᵢ gᵢgᵢᵀ,                    gᵢ = ∂ℓ(f(xᵢ; w), yᵢ)/∂w            at the labels of the data
    F = (1/N) Σᵢ E_ŷ[ĝᵢ(ŷ) ĝᵢ(ŷ)ᵀ],       ŷ ~ p(· | xᵢ; w)                    at labels that the model itself predicts

With ℓ = −log p the second is the Fisher information of the model; for softmax cross-entropy, as for any exponential
family in its natural parameters, F is the Gauss–Newton matrix exactly (Martens 2020, JMLR 21:146, section 9). E is not,
and is no estimate of it: near a perfect fit gᵢ → 0 and E vanishes, while F and the curvature need not (Kunstner,
Balles, Hennig 2019). The square is of one example's gradient, never of a batch's mean, which would be smaller by about
the batch's size; and a batch of B examples counts B/N.

With G the matrix whose rows are the gᵢ of a batch, a product is two passes over one graph, Gv (the derivative of
u ↦ Gᵀu) and Gᵀ(Gv): exact, G is never formed, and the model needs no rule for being mapped over examples. gᵢ is the
gradient that the batch gives ℓᵢ: in eval mode that of the example alone, in train mode BatchNorm mixes examples. As in
:mod:`landscape.curvature.operators`, gradients are what the model's backward says, a surrogate's where there is one.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..evaluation import mapped
from ..objective import Objective, derivative
from .curvature import Curvature, Parts, Product

Sampler = Callable[[Tensor, torch.Generator], Tensor]


class EmpiricalFisher(Curvature):
    """(1/N) Σᵢ gᵢgᵢᵀ of ``objective``; arguments are those of :class:`~landscape.curvature.Hessian`.

    Raises ValueError for a loss that returns a mean, and for what :class:`~landscape.curvature.Hessian` refuses.
    """

    semidefinite = True

    def _linearised(self, inputs: Any, target: Any) -> Product:
        return self._second_moment(_single(self.objective.losses(inputs, target)))

    def _second_moment(self, losses: Float[Tensor, " case"]) -> Product:
        """The product with the mean over cases of gradient·gradientᵀ."""
        weights = self.objective.parameters.tensors
        cotangent = torch.zeros_like(losses, requires_grad=True)
        pullback = derivative([losses], weights, [cotangent], create_graph=True)
        averaged = losses / len(losses)

        def product(parts: Parts, keep: bool) -> Sequence[Tensor | None]:
            slopes = derivative(pullback, [cotangent], parts, retain_graph=keep)
            return derivative([averaged], weights, slopes, retain_graph=keep)

        return product


class Fisher(EmpiricalFisher):
    """(1/N) Σᵢ E_ŷ[ĝᵢĝᵢᵀ] of ``objective``, the expectation by ``draws`` targets for each example.

    ``sampler(output, generator)`` draws the targets of one batch from the model's predictive distribution, of which the
    objective's loss must be −log; see :func:`categorical`. They are drawn once, at the weights found on construction:
    the matrix is fixed from then on, and the labels of the data have no part in it. One draw is unbiased already; the
    error of v·Fv falls as 1/√(N·draws), and a product costs one model pass whatever the draws. Each draw has a random
    stream of its own that runs through the batches in order: for a sampler that goes example by example the split into
    batches changes nothing.

    Raises ValueError for fewer than one draw, and for what :class:`EmpiricalFisher` refuses.
    """

    def __init__(
        self,
        objective: Objective,
        sampler: Sampler,
        *,
        draws: int = 1,
        seed: int = 0,
        keep_graph: bool = False,
        check: bool = True,
    ):
        if draws < 1:
            raise ValueError(f"draws must be at least 1, got {draws}")
        seeds = torch.randint(2**62, (draws,), generator=torch.Generator().manual_seed(seed)).tolist()
        generators = [torch.Generator().manual_seed(number) for number in seeds]
        self._targets: list[Tensor] = []
        with objective.evaluating(), torch.no_grad():
            for _, inputs, _ in objective.batches():
                output = objective.output(inputs)
                self._targets.append(torch.stack([sampler(output, generator) for generator in generators]))
        super().__init__(objective, keep_graph=keep_graph, check=check)

    def _built(self) -> Iterator[tuple[float, Product]]:
        for (weight, inputs, _), targets in zip(self._batches(), self._targets, strict=True):
            yield weight, self._apart(inputs, targets.to(self.device))

    def _linearised(self, inputs: Any, target: Any) -> Product:
        output = self.objective.output(inputs)
        return self._second_moment(
            torch.cat([_single(self.objective.losses_of(mapped(output, Tensor.clone), drawn)) for drawn in target])
        )


def categorical(logits: Float[Tensor, "batch class"], generator: torch.Generator) -> Int[Tensor, " batch"]:
    """Labels drawn from softmax(logits), one an example: the sampler of the cross-entropy of ``logits``.

    Drawn on the CPU in float64 by inverting the cumulative distribution, one number an example.
    """
    cumulative = logits.detach().cpu().double().softmax(1).cumsum(1)
    uniform = torch.rand(len(cumulative), 1, generator=generator, dtype=torch.float64)
    return (uniform >= cumulative[:, :-1]).sum(1).to(logits.device)


def _single(losses: Tensor) -> Float[Tensor, " case"]:
    if losses.ndim != 1:
        raise ValueError(
            f"a Fisher matrix needs the losses of single examples, got shape {list(losses.shape)}: use reduction='none'"
        )
    return losses
