"""A quadratic Bézier path of low loss between two sets of weights (Garipov et al. 2018, NeurIPS).

    minimise over θ:   E_{t ~ U(0,1)} L(φ_θ(t)),     φ_θ(t) = (1 − t)² w₀ + 2t(1 − t) θ + t² w₁

by Adam on the control point θ, from the middle of the straight line, with a cosine to zero. A step draws one t and one
batch; the gradient in θ is 2t(1 − t) ∇L(φ_θ(t)). The expectation is over t, not over length (their equation 2): cheap
to sample, and the curve may spend little t where the loss is high, so look at the barrier as well.

Nothing is regularised and the curve is free to be long: a low barrier along it says that the ends are connected, not
that they are close. Where backward passes are surrogates, ∇L is not the gradient of the loss and following it only a
search; the expected losses that are reported are the true ones.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ..objective import Objective, check_gradient
from .paths import Path

_SETTLED = 0.1


@dataclass(frozen=True)
class Expected:
    """E_t L(φ(t)) and the norm of its gradient in the control point, over all batches, t by Gauss–Legendre."""

    loss: float
    gradient_norm: float


@dataclass(frozen=True, eq=False)
class Fit:
    """The ``path`` found, the loss at each step (one t and one batch each), and what ``line`` and ``curve`` give.

    ``converged`` says that the gradient's norm fell to a tenth of what it was on the straight line, or below. A
    stationary point of the search is meant by that, not the best of all curves; with surrogate gradients there may be
    none.
    """

    path: Path
    losses: Float[np.ndarray, " step"]
    line: Expected
    curve: Expected
    converged: bool


def fit_bezier(
    objective: Objective,
    start: Float[Tensor, " dimension"],
    end: Float[Tensor, " dimension"],
    *,
    steps: int = 300,
    learning_rate: float = 0.01,
    nodes: int = 5,
    seed: int = 0,
    progress: Callable[[int], object] | None = None,
) -> Fit:
    """Train the control point between ``start`` and ``end``, vectors over ``objective.parameters``.

    A step takes one batch of ``objective``, all of them in a new random order each round; use the batch size of
    training, and ``mode="train"`` where there is BatchNorm, since no running statistics fit the weights on the way.
    ``learning_rate`` is Adam's: about the change of a weight in one step. The model is given back as found.

    Raises ValueError for fewer than one step, a learning rate that is not positive, and a loss that is not finite.
    """
    if steps < 1 or not learning_rate > 0:
        raise ValueError(f"a curve takes at least 1 step and a positive learning rate, got {steps} and {learning_rate}")
    control = (start + end) / 2
    line = _expected(objective, start, control, end, nodes)
    losses = []
    for loss in _search(objective, start, control, end, steps, learning_rate, seed):
        losses.append(loss)
        if progress:
            progress(1)
    curve = _expected(objective, start, control, end, nodes)
    converged = curve.gradient_norm <= _SETTLED * line.gradient_norm
    return Fit(Path(torch.stack([start, control, end])), np.array(losses), line, curve, converged)


def _search(
    objective: Objective, start: Tensor, control: Tensor, end: Tensor, steps: int, learning_rate: float, seed: int
) -> Iterator[float]:
    """Move ``control`` in place, step by step; yields the loss that each step saw."""
    generator = torch.Generator().manual_seed(seed)
    adam = torch.optim.Adam([control], lr=learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(adam, steps)
    batches = list(objective.batches())
    queue: list[int] = []
    for step in range(1, steps + 1):
        queue = queue or torch.randperm(len(batches), generator=generator).tolist()
        share, inputs, target = batches[queue.pop()]
        t = float(torch.rand((), generator=generator, dtype=torch.float64))
        loss, gradient = _sample(objective, Path(torch.stack([start, control, end])), t, inputs, target)
        if not math.isfinite(loss):
            raise ValueError(f"the loss is {loss} at step {step} of the path's training: lower its learning rate")
        control.grad = gradient * (2 * t * (1 - t) * share * len(batches))
        adam.step()
        schedule.step()
        yield loss


def _sample(
    objective: Objective, path: Path, t: float, inputs: Tensor, target: Tensor
) -> tuple[float, Float[Tensor, " dimension"]]:
    """Loss of one batch at φ(t), and its gradient in the weights there."""
    parameters = objective.parameters
    with parameters.restored():
        parameters.assign(path(t))
        with objective.differentiating(order=1):
            loss = objective.batch_loss(inputs, target)
            check_gradient(loss)
            gradient = parameters.flatten(torch.autograd.grad(loss, parameters.tensors, allow_unused=True))
    return float(loss.detach()), gradient


def _expected(objective: Objective, start: Tensor, control: Tensor, end: Tensor, nodes: int) -> Expected:
    """The expectation over t, exact for a loss that is a polynomial of degree below 2 ``nodes`` in t."""
    path = Path(torch.stack([start, control, end]))
    places, shares = np.polynomial.legendre.leggauss(nodes)
    loss, gradient = 0.0, torch.zeros_like(control, dtype=torch.float64)
    for t, share in zip((places + 1) / 2, shares / 2, strict=True):
        with objective.parameters.restored():
            objective.parameters.assign(path(t))
            loss += share * objective.value()
            gradient += share * 2 * t * (1 - t) * objective.gradient().double()
    return Expected(float(loss), float(gradient.norm()))
