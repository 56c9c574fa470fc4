"""Curvature of the true loss against the radius at which it is looked at.

Along a unit direction u, from the antithetic pair w ± r u,

    mean rise          m(r) = (L(w + r u) + L(w − r u))/2 − L(w)
    second difference  c(r) = 2 m(r)/r²

For a smooth loss c(r) → uᵀHu as r → 0. A network of spikes is a staircase in all weights but the last layer's: at
small r, c(r) is 0 when nothing flips and jump/r² when something does, so no limit exists and a radius belongs to every
such number. The clean object behind it is the Hessian of the Gaussian-smoothed loss L_σ(w) = E_ε L(w + σ ε), which
exists for a staircase too: its quadratic forms are averages over antithetic pairs, and its trace is (2/σ²) times the
mean rise L_σ(w) − L(w), to second order in σ.

The radius is the Euclidean length ‖Δw‖ of the move, over the parameters of the objective.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float, Float64
from torch import Tensor

from .objective import Objective
from .surface import mean_and_stderr


@dataclass(frozen=True)
class CurvatureAtRadius:
    """Second difference and mean rise at each radius; standard errors are over examples, paired at both ends.

    ``relative_radii`` are radii over ‖w‖.
    """

    radii: Float[np.ndarray, "radius"]
    relative_radii: Float[np.ndarray, "radius"]
    second_difference: Float[np.ndarray, "radius"]
    second_difference_stderr: Float[np.ndarray, "radius"]
    mean_rise: Float[np.ndarray, "radius"]
    mean_rise_stderr: Float[np.ndarray, "radius"]
    examples: int

    def to_frame(self) -> pd.DataFrame:
        """One row per radius: radius, relative_radius, second_difference, mean_rise, and their standard errors."""
        return pd.DataFrame(
            {
                "radius": self.radii,
                "relative_radius": self.relative_radii,
                "second_difference": self.second_difference,
                "second_difference_stderr": self.second_difference_stderr,
                "mean_rise": self.mean_rise,
                "mean_rise_stderr": self.mean_rise_stderr,
            }
        )


def curvature_at_radius(
    objective: Objective, direction: Float[Tensor, "dimension"], radii: Iterable[float]
) -> CurvatureAtRadius:
    """Second differences of the true loss along ``direction`` (of any length; it is scaled to one) at each radius.

    Costs two passes over the data per radius and one for the centre. Choose radii over several decades, in proportion
    to ‖w‖: say 1e-4‖w‖ to ‖w‖. In float32 a loss is known to about 1e-7, so c(r) carries an error of some 1e-7·L/r²
    of rounding; use a float64 copy of the model for radii below 1e-3.

    Raises ValueError for a direction that is zero, not finite or of the wrong length, for radii that are not positive,
    and for a loss without values of single examples.
    """
    radii = np.array(list(radii), dtype=float)
    if not len(radii) or not (np.isfinite(radii) & (radii > 0)).all():
        raise ValueError(f"radii must be positive and finite, got {radii.tolist()}")
    dimension = objective.parameters.dimension
    length = float(direction.double().norm())
    if len(direction) != dimension or not 0 < length < float("inf"):
        raise ValueError(f"the direction must hold {dimension} finite numbers, not all zero, got {len(direction)}")
    unit = (direction / length).to(objective.parameters.device, objective.parameters.dtype)
    rises = []
    with objective.parameters.restored() as weights:
        centre = losses_at(objective, weights)
        for radius in radii.tolist():
            forth = losses_at(objective, weights + radius * unit)
            back = losses_at(objective, weights - radius * unit)
            rises.append(mean_and_stderr((forth - centre + back - centre) / 2))
        norm = float(weights.double().norm())
    rise, stderr = np.array(rises).T
    to_curvature = 2 / radii**2
    return CurvatureAtRadius(
        radii, radii / norm, to_curvature * rise, to_curvature * stderr, rise, stderr, examples=len(centre)
    )


def losses_at(objective: Objective, weights: Float[Tensor, "dimension"]) -> Float64[Tensor, "example"]:
    """ℓᵢ at ``weights``, on the CPU in float64, because what follows are differences far smaller than the values.

    The model is left at ``weights``: call it inside :meth:`Parameters.restored`.
    """
    objective.parameters.assign(weights)
    return objective.examples().cpu().double()
