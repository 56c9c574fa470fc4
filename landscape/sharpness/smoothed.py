"""The curvature of the Gaussian-smoothed loss, which exists where the loss itself is a staircase.

    L_σ(w) = E_ε L(w + σDε),  ε standard normal,        ∂L_σ/∂σ² = ½ tr D∇²L_σ D             (the heat equation)
    c(σ) = (2/σ²)(L_σ(w) − L(w)) = mean over the variances 0 … σ² of tr D∇²L_σ D,  exactly

D is each weight's filter scale (:func:`~landscape.surfaces.filter_scale`), so that a step is measured in the weights'
own units. Divided by tr D² this is the mean quadratic form E[uᵀ∇²L_σ u] over the directions u = Dε/√(tr D²), whose mean
square length is one: r = σ√(tr D²) is then the root mean square length of the move, and one draw's antithetic pair

    c_k(r) = [L(w + r u_k) − 2 L(w) + L(w − r u_k)]/r²

is a second difference along u_k and an unbiased sample at once: the odd part of the loss cancels within the pair, which
takes the same examples at both ends. For a smooth loss c_k(r) → u_kᵀHu_k as r → 0. On a staircase it does not: towards
small radii fewer and fewer examples make the number, the spread over draws and examples grows, and the mean says
nothing. ``decided`` says from where on it does.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ..displayed import Displayed
from ..objective import Objective, Parameters
from ..surfaces import filter_scale
from .noise import standard_normal
from .radius import CurvatureAtRadius, curvature_at_radius


@dataclass(frozen=True)
class SmoothedCurvature(Displayed):
    """E[uᵀ∇²L_σ u] at each radius, from the draws' second differences, which ``draws`` holds one by one.

    ``stderr`` is over draws, at these examples; ``examples_stderr`` over examples, at these draws, and an upper bound:
    that of a single draw, on average. ``participation`` is that of :mod:`landscape.sharpness.radius`, on average.
    """

    radii: Float[np.ndarray, " radius"]
    relative_radii: Float[np.ndarray, " radius"]
    value: Float[np.ndarray, " radius"]
    stderr: Float[np.ndarray, " radius"]
    examples_stderr: Float[np.ndarray, " radius"]
    participation: Float[np.ndarray, " radius"]
    draws: tuple[CurvatureAtRadius, ...]

    @property
    def decided(self) -> Bool[np.ndarray, " radius"]:
        """Whether |value| exceeds two standard errors, draws and examples together."""
        return np.abs(self.value) > 2 * np.hypot(self.stderr, self.examples_stderr)

    def to_frame(self) -> pd.DataFrame:
        """One row per radius: the fields and ``decided``; ``draws`` is their number."""
        return pd.DataFrame(
            {
                "radius": self.radii,
                "relative_radius": self.relative_radii,
                "value": self.value,
                "stderr": self.stderr,
                "examples_stderr": self.examples_stderr,
                "participation": self.participation,
                "decided": self.decided,
                "draws": len(self.draws),
            }
        )


def smoothed_curvature(
    objective: Objective,
    *,
    radii: Iterable[float],
    draws: int = 10,
    seed: int = 0,
    progress: Callable[[int], object] | None = None,
) -> SmoothedCurvature:
    """The mean curvature of the smoothed loss at each of ``radii``, from ``draws`` antithetic pairs, the same at each.

    Costs 2 · draws · len(radii) passes over the data. ``progress(1)`` is called after every pair.

    Raises ValueError for fewer than two draws, which have no spread, for radii that are not positive, and for a loss
    without values of single examples.
    """
    if draws < 2:
        raise ValueError(f"draws must be at least 2 to have a standard error, got {draws}")
    radii = list(radii)
    found = tuple(
        curvature_at_radius(
            objective, gaussian_direction(objective.parameters, seed=seed + draw), radii, unit=False, progress=progress
        )
        for draw in range(draws)
    )
    values = np.array([one.second_difference for one in found])
    errors = np.array([one.second_difference_stderr for one in found])
    return SmoothedCurvature(
        radii=found[0].radii,
        relative_radii=found[0].relative_radii,
        value=values.mean(0),
        stderr=values.std(0, ddof=1) / draws**0.5,
        examples_stderr=errors.mean(0),
        participation=np.mean([one.participation for one in found], 0),
        draws=found,
    )


def gaussian_direction(parameters: Parameters, *, seed: int) -> Float[Tensor, " dimension"]:
    """u = Dε/√(tr D²): normal, in the weights' own units, of mean square length one. Biases and BatchNorm stay put.

    The numbers are drawn on the CPU in float64, so that a seed means one direction on every device and in every dtype.
    """
    scale = filter_scale(parameters)
    generator = torch.Generator().manual_seed(seed)
    return scale * standard_normal(scale, generator) / scale.norm()
