"""How far the loss rises at worst when the weights move within a ball.

    worst     max L(w + ε) − L(w) over ‖ε‖₂ ≤ ρ            (SAM: Foret, Kleiner, Mobahi, Neyshabur 2021, ICLR)
    adaptive  max L(w + ε) − L(w) over ‖D⁻¹ ε‖₂ ≤ ρ        (ASAM: Kwon, Kim, Park, Choi 2021, ICML)

D is :func:`~landscape.surfaces.filter_scale`: each weight's unit is the root mean square of its filter. Where
BatchNorm makes a filter's scale irrelevant, the second does not change when the filter is rescaled; the first does, and
is comparable only between networks of like weight norms. D is zero for biases and BatchNorm's parameters, which
therefore move in the first alone. Kwon et al. scale by a filter's norm, not its root mean square: their radius for
filters of s weights is 1/√s of this one.

After SAM's one step ε = ρ∇L/‖∇L‖ the rise is ρ‖∇L‖ + ρ²/2 · ĝᵀHĝ to second order. The search goes on from there by
projected ascent, ε ← P(ε + 8ρ(1 − k/K) ∇L/‖∇L‖) in steps k = 0 … K − 1: at first little more than ε ← ρ∇L/‖∇L‖, which
for a convex quadratic is the power method for its maximum on the sphere, at last short enough to settle. With ρ in
place of 8ρ it ended lower on networks of spikes, by 2 to 3 % at small radii and, from the weights, by a third at large.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from ..displayed import Displayed
from ..objective import Objective
from ..surfaces import filter_scale, mean_and_stderr
from .noise import centre_losses, standard_normal
from .radius import losses_at

_FIRST = 8


@dataclass(frozen=True)
class WorstRise(Displayed):
    """The largest rise seen in a ball: a lower bound of the maximum.

    ``stderr`` is over examples, paired, with the perturbation held fixed. ``first`` is the rise after SAM's single step
    from the weights, ``first_stderr`` its error. ``path`` is the rise after each step of each restart (nan once there
    was no gradient to follow), ``path[0, 0]`` being ``first``.
    ``residual`` is the part of the value that the second half of the best restart's steps added (nan for a single step,
    and where nothing rose); ``converged`` says that it is at most the tolerance. Restarts that end at different heights
    say that the ball has several maxima. ``perturbation`` is ε where the largest rise was seen.
    """

    radius: float
    adaptive: bool
    value: float
    stderr: float
    first: float
    first_stderr: float
    residual: float
    converged: bool
    path: Float[np.ndarray, "restart step"]
    perturbation: Float[Tensor, " dimension"]

    def to_frame(self) -> pd.DataFrame:
        """One row: radius, adaptive, value, stderr, first, first_stderr, residual, converged, restarts, steps."""
        restarts, steps = self.path.shape
        names = ["radius", "adaptive", "value", "stderr", "first", "first_stderr", "residual", "converged"]
        row = {name: getattr(self, name) for name in names}
        return pd.DataFrame([row | {"restarts": restarts, "steps": steps}])


def worst_rise(
    objective: Objective,
    *,
    radius: float,
    steps: int = 20,
    restarts: int = 2,
    adaptive: bool = False,
    tolerance: float = 0.05,
    seed: int = 0,
) -> WorstRise:
    """The largest rise found in a ball of ``radius``, Euclidean or, if ``adaptive``, in filter-normalised coordinates.

    The first restart begins at the weights, so its first step is SAM's (ASAM's); the others begin at random points of
    the sphere. With step activations the gradient is the surrogate's and only guides the search: what is compared and
    reported is the true loss. The centre belongs to the ball, so the value is never negative. Costs one forward and one
    backward pass per step. More steps help where ``residual`` is above ``tolerance``, more restarts where the restarts
    disagree.

    Raises ValueError for a radius, ``steps`` or ``restarts`` that is not positive, a loss that is not finite at the
    weights, and a loss without values of single examples. A loss that overflows inside the ball is reported as it is.
    """
    if not 0 < radius < float("inf") or steps < 1 or restarts < 1:
        raise ValueError(f"radius, steps and restarts must be positive, got {radius}, {steps} and {restarts}")
    parameters = objective.parameters
    scale = (filter_scale(parameters) if adaptive else torch.ones_like(parameters.vector())).to(parameters.wide)
    generator = torch.Generator().manual_seed(seed)
    path = np.full((restarts, steps), np.nan)
    with parameters.restored() as weights:
        centre = centre_losses(objective, weights)
        best, best_offset, best_restart = torch.zeros_like(centre), torch.zeros_like(scale), 0
        first = float("nan"), float("nan")
        for restart in range(restarts):
            start = _on_sphere(scale, radius, generator) if restart else torch.zeros_like(scale)
            for step, (offset, losses) in enumerate(_ascend(objective, weights, scale, start, radius, steps)):
                rise = losses - centre
                path[restart, step] = rise.mean()
                if restart == step == 0:
                    first = mean_and_stderr(rise)
                if _rank(rise) > _rank(best):
                    best, best_offset, best_restart = rise, offset, restart
    residual = _late_gain(path[best_restart])
    return WorstRise(
        radius, adaptive, *mean_and_stderr(best), *first, residual, residual <= tolerance, path, scale * best_offset
    )


def _on_sphere(scale: Tensor, radius: float, generator: torch.Generator) -> Tensor:
    """A random point at ``radius``, zero where the scale is: such a coordinate would use up radius and move nothing."""
    normal = standard_normal(scale, generator) * (scale > 0)
    return normal * (radius / normal.norm())


def _ascend(
    objective: Objective, weights: Tensor, scale: Tensor, start: Tensor, radius: float, steps: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Each step's offset ν, ‖ν‖ ≤ radius, and the losses at w + scale·ν. Ends early where the gradient vanishes."""
    offset = start
    objective.parameters.assign(weights + scale * offset)
    _, gradient = objective.examples_and_gradient()
    for step in range(steps):
        ascent = scale * gradient
        norm = float(ascent.norm())
        if not 0 < norm < float("inf"):
            return
        offset = offset + ascent * (_FIRST * radius * (1 - step / steps) / norm)
        offset = offset * (radius / max(radius, float(offset.norm())))
        moved = weights + scale * offset
        if step == steps - 1:
            yield offset, losses_at(objective, moved)
        else:
            objective.parameters.assign(moved)
            losses, gradient = objective.examples_and_gradient()
            yield offset, losses


def _rank(rise: Tensor) -> float:
    mean = float(rise.mean())
    return float("inf") if mean != mean else mean


def _late_gain(path: Float[np.ndarray, " step"]) -> float:
    """The part of the largest rise that the second half of the steps added; nan where there is nothing to compare."""
    early, late = np.fmax.reduce(path[: len(path) // 2], initial=0), np.fmax.reduce(path, initial=0)
    return float(1 - early / late) if len(path) > 1 and 0 < late < np.inf else float("nan")
