"""The gradient of a batch's loss, one timestep at a time (Deng et al. 2022, equations 8 and 10).

With an image's error signal δ_i(t) = ∂ℓ_i/∂O_i(t), the step's term of the gradient of a batch of B images is::

    g(t) = (1/B) Σ_i δ_i(t)ᵀ ∂O_i(t)/∂W        its 1/T included (it is in δ), so that Σ_t g(t) is the gradient

One forward, and T backwards on its graph, ``at_once`` of them batched (by vmap) where every layer's backward allows it:
worth it where a single backward is too small to keep the machine busy. The numbers are the same to rounding.

Memory is the graph's of one forward, and ``at_once`` times what a backward takes beside it: for VGGSNN at T = 10 on
images of 48×48, one at a time, 0.14 GiB an image on a CPU.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from .nulls import coherence_null


def check_gradient(made: Tensor) -> None:
    """Raise ValueError where no gradient leads from ``made``, a loss or what it is of, back to the weights."""
    if not made.requires_grad:
        raise ValueError(
            "the loss has no gradient: it does not depend on the network's weights, or was detached, or made under "
            "no_grad"
        )


def step_gradients(
    logits: Float[Tensor, "time batch *answer"],
    labels: Any,
    loss: Callable[[Tensor, Any], Tensor],
    weights: Sequence[Tensor],
    *,
    at_once: int = 1,
) -> Iterator[tuple[int, Float[Tensor, " batch *answer"], Float[Tensor, " dimension"]]]:
    """(t, T·δ_i(t) of every image, g(t)) for t = 1 … T, then their mean and sum over t as (0, Σ_t δ_i(t), gradient).

    ``logits`` come with their graph, which is freed at the end. ``loss`` gives a value per image, or their mean.
    Vectors are in the order of ``weights``; a weight that has no part in a step counts as zero there. Raises ValueError
    for logits without a graph.
    """
    check_gradient(logits)
    leaf, images = logits.detach().requires_grad_(), logits.shape[1]
    (errors,) = torch.autograd.grad(loss(leaf, labels).mean(), leaf)
    whole = torch.zeros(sum(weight.numel() for weight in weights), dtype=logits.dtype, device=logits.device)
    for first in range(0, len(logits), at_once):
        chosen = range(first, min(first + at_once, len(logits)))
        last = chosen.stop == len(logits)
        for t, gradient in zip(chosen, _backward(logits, errors, chosen, weights, last), strict=True):
            whole += gradient
            yield t + 1, len(logits) * images * errors[t], gradient
    yield 0, images * errors.sum(0), whole


def _backward(logits: Tensor, errors: Tensor, chosen: Sequence[int], weights: Sequence[Tensor], last: bool) -> Tensor:
    """The gradients of the ``chosen`` steps, [step, dimension]."""
    if len(chosen) > 1:
        try:
            return _batched(logits, errors, chosen, weights)
        except RuntimeError as error:
            if "atching rule" not in str(error):
                raise
    gradients = []
    for t in chosen:
        retain = not last or t != chosen[-1]
        found = torch.autograd.grad(logits[t], weights, errors[t], retain_graph=retain, allow_unused=True)
        gradients.append(_flat(found, weights, 1))
    return torch.cat(gradients)


def _batched(logits: Tensor, errors: Tensor, chosen: Sequence[int], weights: Sequence[Tensor]) -> Tensor:
    """The same in one backward. Raises RuntimeError where some layer's backward has no batching rule."""
    cotangents = torch.zeros(len(chosen), *errors.shape, dtype=errors.dtype, device=errors.device)
    for row, t in enumerate(chosen):
        cotangents[row, t] = errors[t]
    # The graph is kept: it has to be there still where this fails half way.
    found = torch.autograd.grad(
        logits, weights, cotangents, retain_graph=True, allow_unused=True, is_grads_batched=True
    )
    return _flat(found, weights, len(chosen))


def _flat(found: Sequence[Tensor | None], weights: Sequence[Tensor], steps: int) -> Tensor:
    parts = [
        weight.new_zeros(steps, weight.numel()) if part is None else part.reshape(steps, -1)
        for part, weight in zip(found, weights, strict=True)
    ]
    return torch.cat(parts, 1)


def statistics(gradients: Mapping[int, Tensor], errors: Mapping[int, float]) -> dict[int, dict[str, float]]:
    """By timestep, 0 for the whole: its norms, and how the step's gradient lies to the whole.

    error_norm, from ``errors``, the root mean squares over images of ‖T δ_i(t)‖ (at 0: of ‖Σ_t δ_i(t)‖);
    gradient_norm; gain, their quotient; cosine_to_total; share ⟨g(t), g⟩/‖g‖², which sums to 1 over t ≥ 1. A gradient
    of zero has neither cosine nor share (NaN).
    """
    whole = gradients[0]
    return {
        t: {
            "error_norm": errors[t],
            "gradient_norm": float(gradient.norm()),
            "gain": float(gradient.norm() / errors[t]),
            "cosine_to_total": cosine(gradient, whole),
            "share": float(gradient @ whole / (whole @ whole)),
        }
        for t, gradient in gradients.items()
    }


def cosine(a: Float[Tensor, " dimension"], b: Float[Tensor, " dimension"]) -> float:
    """⟨a, b⟩/‖a‖‖b‖, summed in float64; NaN where either is zero."""
    a, b = a.double(), b.double()
    return float(a @ b / (a.norm() * b.norm()))


class Kept:
    """The part of the gradients' length that momentum keeps: ‖Σ_b w_b g_b‖ / Σ_b w_b ‖g_b‖, w_b ∝ β^(K−b).

    1 when all gradients that came point the same way, :mod:`models.training.nulls` when they are noise. The moving
    averages start at the first gradient that comes, and their correction for that start cancels.
    """

    def __init__(self, beta: float):
        self.beta, self.count = beta, 0
        self._average: Tensor | None = None
        self._length = 0.0

    def add(self, gradient: Float[Tensor, " dimension"]) -> None:
        """Take the next gradient in; a copy is kept."""
        self.count += 1
        self._length = self.beta * self._length + float(gradient.norm())
        self._average = gradient.clone() if self._average is None else self._average.mul_(self.beta).add_(gradient)

    @property
    def part(self) -> float:
        """The quotient; NaN before the first gradient, and where all were zero."""
        if self._average is None or self._length == 0:
            return float("nan")
        return float(self._average.norm()) / self._length

    @property
    def null(self) -> float:
        """What noise of mean zero gives in batches drawn independently of each other; NaN before the first gradient.

        Not in the batches of an epoch, which are not: :func:`models.training.nulls.epoch_nulls`.
        """
        return coherence_null(self.beta, self.count) if self.count else float("nan")
