"""How far the loss rises when the weights are disturbed: on average, and at worst.

    average   E_ν L(w + ρ D ν) − L(w),                     ν standard normal
    worst     max L(w + ε) − L(w) over ‖ε‖₂ ≤ ρ            (SAM: Foret et al. 2021, ICLR)
    adaptive  max L(w + ε) − L(w) over ‖D⁻¹ ε‖₂ ≤ ρ        (ASAM: Kwon et al. 2021, ICML)

D is :func:`~landscape.directions.filter_scale`: each weight's unit is the root mean square of its filter. Where
BatchNorm makes a filter's scale irrelevant, the first and third do not change when the filter is rescaled; the second
does, and is comparable only between networks of like weight norms. D is zero for biases and BatchNorm's parameters,
which therefore move in the second alone.

The radii are not alike: a draw of the first lies at ‖D⁻¹ε‖ ≈ ρ√n for n weights, so a ball of the third that holds
moves of the same size has a radius √n times larger. Kwon et al. scale by a filter's norm, not its root mean square:
their radius for filters of s weights is 1/√s of this one.

To second order the average is ρ²/2 · tr(D H D), and the worst ρ‖∇L‖ + ρ²/2 · ĝᵀHĝ after SAM's one step.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from .directions import filter_scale
from .objective import Objective
from .radius import losses_at
from .surface import mean_and_stderr


@dataclass(frozen=True)
class AverageRise:
    """Mean rise at each radius, with its standard error over draws and, separately, over examples (paired).

    ``rises`` holds the rise of each antithetic pair, the same draws at every radius.
    """

    radii: Float[np.ndarray, "radius"]
    value: Float[np.ndarray, "radius"]
    stderr: Float[np.ndarray, "radius"]
    examples_stderr: Float[np.ndarray, "radius"]
    rises: Float[np.ndarray, "radius draw"]

    @property
    def draws(self) -> int:
        """Number of antithetic pairs."""
        return self.rises.shape[1]

    def to_frame(self) -> pd.DataFrame:
        """One row per radius: radius, value, stderr (over draws), examples_stderr, draws."""
        return pd.DataFrame(
            {
                "radius": self.radii,
                "value": self.value,
                "stderr": self.stderr,
                "examples_stderr": self.examples_stderr,
                "draws": self.draws,
            }
        )


@dataclass(frozen=True)
class WorstRise:
    """The largest rise seen in a ball: a lower bound of the maximum.

    ``stderr`` is over examples, paired, with the perturbation held fixed. ``path`` is the rise after each step of each
    restart (nan once there was no gradient to follow); ``path[0, 0]`` is the rise after SAM's single step.
    ``residual`` is the part of the value that the second half of the best restart's steps added (nan for a single step,
    and where nothing rose); ``converged`` says that it is at most the tolerance. Restarts that end at different heights
    say that the ball has several maxima. ``perturbation`` is ε where the largest rise was seen.
    """

    radius: float
    adaptive: bool
    value: float
    stderr: float
    residual: float
    converged: bool
    path: Float[np.ndarray, "restart step"]
    perturbation: Float[Tensor, "dimension"]

    def to_frame(self) -> pd.DataFrame:
        """One row: radius, adaptive, value, stderr, residual, converged, first_step, restarts, steps."""
        restarts, steps = self.path.shape
        row = {name: getattr(self, name) for name in ("radius", "adaptive", "value", "stderr", "residual", "converged")}
        return pd.DataFrame([row | {"first_step": self.path[0, 0], "restarts": restarts, "steps": steps}])


def average_rise(objective: Objective, *, radii: Iterable[float], draws: int = 20, seed: int = 0) -> AverageRise:
    """E_ν L(w + ρ D ν) − L(w) at each radius ρ, from ``draws`` antithetic pairs ±ν.

    A radius is the size of the disturbance relative to each filter: 0.1 is noise of a tenth of the filter's norm. The
    pair cancels the slope exactly, so the error falls with the spread of the curvature alone. Costs 2 · draws passes
    per radius, and one.

    Raises ValueError for radii that are not positive, fewer than two draws, a loss that is not finite at the weights,
    and a loss without values of single examples. A loss that overflows at a large radius stays inf or nan.
    """
    radii = np.array(list(radii), dtype=float)
    if not len(radii) or not (np.isfinite(radii) & (radii > 0)).all():
        raise ValueError(f"radii must be positive and finite, got {radii.tolist()}")
    if draws < 2:
        raise ValueError(f"a standard error needs at least 2 draws, got {draws}")
    generator = torch.Generator().manual_seed(seed)
    scale = filter_scale(objective.parameters)
    rises = np.zeros((len(radii), draws))
    with objective.parameters.restored() as weights:
        centre = _centre(objective, weights)
        by_example = [torch.zeros_like(centre) for _ in radii]
        for draw in range(draws):
            move = scale * _normal(scale, generator)
            for row, radius in enumerate(radii.tolist()):
                forth, back = (losses_at(objective, weights + side * radius * move) for side in (1, -1))
                rise = (forth - centre + back - centre) / 2
                rises[row, draw] = rise.mean()
                by_example[row] += rise / draws
    examples_stderr = np.array([mean_and_stderr(rise)[1] for rise in by_example])
    value, stderr = np.array([mean_and_stderr(torch.from_numpy(row)) for row in rises]).T
    return AverageRise(radii, value, stderr, examples_stderr, rises)


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

    Projected ascent along the normalised gradient. The first restart begins at the weights, so its first step is SAM's
    (ASAM's); the others begin at random points of the sphere. Steps shrink linearly from the radius to 0. With step
    activations the gradient is the surrogate's and only guides the search: what is compared and reported is the true
    loss. The centre belongs to the ball, so the value is never negative. Costs two forward passes and one backward per
    step. More steps help where ``residual`` is above ``tolerance``, more restarts where the restarts disagree.

    Raises ValueError for a radius, ``steps`` or ``restarts`` that is not positive, a loss that is not finite at the
    weights, and a loss without values of single examples. A loss that overflows inside the ball is reported as it is.
    """
    if not 0 < radius < float("inf") or steps < 1 or restarts < 1:
        raise ValueError(f"radius, steps and restarts must be positive, got {radius}, {steps} and {restarts}")
    parameters = objective.parameters
    scale = filter_scale(parameters) if adaptive else torch.ones_like(parameters.vector())
    generator = torch.Generator().manual_seed(seed)
    path = np.full((restarts, steps), np.nan)
    with parameters.restored() as weights:
        centre = _centre(objective, weights)
        best, best_offset, best_restart = torch.zeros_like(centre), torch.zeros_like(scale), 0
        for restart in range(restarts):
            start = _on_sphere(scale, radius, generator) if restart else torch.zeros_like(scale)
            for step, (offset, losses) in enumerate(_ascend(objective, weights, scale, start, radius, steps)):
                path[restart, step] = (losses - centre).mean()
                if _rank(losses - centre) > _rank(best):
                    best, best_offset, best_restart = losses - centre, offset, restart
    value, stderr = mean_and_stderr(best)
    residual = _late_gain(path[best_restart])
    return WorstRise(radius, adaptive, value, stderr, residual, residual <= tolerance, path, scale * best_offset)


def _centre(objective: Objective, weights: Tensor) -> Tensor:
    losses = losses_at(objective, weights)
    if not losses.isfinite().all():
        raise ValueError("the loss at the weights is not finite: there is no rise to measure from it")
    return losses


def _normal(like: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randn(len(like), generator=generator, dtype=torch.float64).to(like.dtype).to(like.device)


def _on_sphere(scale: Tensor, radius: float, generator: torch.Generator) -> Tensor:
    """A random point at ``radius``, zero where the scale is: such a coordinate would use up radius and move nothing."""
    normal = _normal(scale, generator) * (scale > 0)
    return normal * (radius / normal.norm())


def _ascend(
    objective: Objective, weights: Tensor, scale: Tensor, start: Tensor, radius: float, steps: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Each step's offset ν, ‖ν‖ ≤ radius, and the losses at w + scale·ν. Ends early where the gradient vanishes."""
    offset = start
    objective.parameters.assign(weights + scale * offset)
    for step in range(steps):
        gradient = scale * objective.gradient()
        norm = float(gradient.norm())
        if not 0 < norm < float("inf"):
            return
        offset = offset + gradient * (radius * (1 - step / steps) / norm)
        offset = offset * (radius / max(radius, float(offset.norm())))
        yield offset, losses_at(objective, weights + scale * offset)


def _rank(rise: Tensor) -> float:
    mean = float(rise.mean())
    return float("inf") if mean != mean else mean


def _late_gain(path: Float[np.ndarray, "step"]) -> float:
    """The part of the largest rise that the second half of the steps added; nan where there is nothing to compare."""
    early, late = np.fmax.reduce(path[: len(path) // 2], initial=0), np.fmax.reduce(path, initial=0)
    return float(1 - early / late) if len(path) > 1 and 0 < late < np.inf else float("nan")
