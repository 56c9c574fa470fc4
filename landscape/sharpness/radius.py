"""Curvature of the true loss against the radius at which it is looked at.

Along a unit direction u, from the antithetic pair w ± r u,

    mean rise          m(r) = (L(w + r u) + L(w − r u))/2 − L(w)
    second difference  c(r) = 2 m(r)/r²

For a smooth loss c(r) → uᵀHu as r → 0. A network of spikes is a staircase in all weights but the last layer's: at
small r, c(r) is 0 when nothing flips and jump/r² when something does, so no limit exists and a radius belongs to every
such number. The clean object behind it is the Hessian of the Gaussian-smoothed loss L_σ(w) = E_ε L(w + σ ε), which
exists for a staircase too: its quadratic forms are averages over antithetic pairs, and its trace is (2/σ²) times the
mean rise L_σ(w) − L(w), to second order in σ.

The radius is the Euclidean length ‖Δw‖ of the move, over the parameters of the objective. Whether a number is that of
a slope or of a few steps shows in its participation, with d_i the second difference of example i:

    p = (Σ|d_i|)²/(N Σ d_i²),      1 when all examples make it alike, 1/N when one does

For a smooth loss it has a limit as r → 0; on a staircase it falls to the few examples in which something flipped.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float, Float64
from torch import Tensor

from ..displayed import Displayed
from ..objective import Objective
from ..surfaces import mean_and_stderr


@dataclass(frozen=True)
class CurvatureAtRadius(Displayed):
    """Second difference and mean rise at each radius; standard errors are over examples, paired at both ends.

    ``relative_radii`` are radii over ‖w‖; ``participation`` is p, 0 where no example changed.
    """

    radii: Float[np.ndarray, " radius"]
    relative_radii: Float[np.ndarray, " radius"]
    second_difference: Float[np.ndarray, " radius"]
    second_difference_stderr: Float[np.ndarray, " radius"]
    mean_rise: Float[np.ndarray, " radius"]
    mean_rise_stderr: Float[np.ndarray, " radius"]
    participation: Float[np.ndarray, " radius"]
    examples: int

    def to_frame(self) -> pd.DataFrame:
        """One row per radius: the columns have the fields' names."""
        return pd.DataFrame(
            {
                "radius": self.radii,
                "relative_radius": self.relative_radii,
                "second_difference": self.second_difference,
                "second_difference_stderr": self.second_difference_stderr,
                "mean_rise": self.mean_rise,
                "mean_rise_stderr": self.mean_rise_stderr,
                "participation": self.participation,
            }
        )


def curvature_at_radius(
    objective: Objective,
    direction: Float[Tensor, " dimension"],
    radii: Iterable[float],
    *,
    unit: bool = True,
    progress: Callable[[int], object] | None = None,
) -> CurvatureAtRadius:
    """Second differences of the true loss along ``direction`` at each radius.

    The direction is scaled to length one; with ``unit=False`` it is left as it is, for a random one whose length is one
    on average, and c(r) → uᵀHu all the same. Costs two passes over the data per radius and one for the centre. Choose
    radii over several decades, in proportion to ‖w‖: say 1e-4‖w‖ to ‖w‖. In float32 a loss is known to about 1e-7, so
    c(r) carries an error of some 1e-7·L/r² of rounding; use a float64 copy of the model for radii below 1e-3.
    ``progress(1)`` is called after each radius.

    Raises ValueError for a direction that is zero, not finite or of the wrong length, for radii that are not positive,
    and for a loss without values of single examples.
    """
    radii = positive(radii)
    dimension = objective.parameters.dimension
    length = float(direction.double().norm())
    if len(direction) != dimension or not 0 < length < float("inf"):
        raise ValueError(f"the direction must hold {dimension} finite numbers, not all zero, got {len(direction)}")
    move = (direction / length if unit else direction).to(objective.parameters.device, objective.parameters.dtype)
    rises = []
    with objective.parameters.restored() as weights:
        centre = losses_at(objective, weights)
        for radius in radii.tolist():
            rise = pair_rise(objective, weights, centre, radius * move)
            rises.append((*mean_and_stderr(rise), _participation(rise)))
            if progress:
                progress(1)
        norm = float(weights.double().norm())
    mean, stderr, participation = np.array(rises).T
    to_curvature = 2 / radii**2
    return CurvatureAtRadius(
        radii, radii / norm, to_curvature * mean, to_curvature * stderr, mean, stderr, participation,
        examples=len(centre),
    )  # fmt: skip


def _participation(values: Float64[Tensor, " example"]) -> float:
    """(Σ|d|)²/(N Σd²); any factor of the values cancels."""
    return float(values.abs().sum() ** 2 / (len(values) * (values @ values))) if values.any() else 0.0


def positive(radii: Iterable[float]) -> Float[np.ndarray, " radius"]:
    """The radii as an array. Raises ValueError where there is none, or one that is not positive or not finite."""
    found = np.array(list(radii), dtype=float)
    if not len(found) or not (np.isfinite(found) & (found > 0)).all():
        raise ValueError(f"radii must be positive and finite, got {found.tolist()}")
    return found


def pair_rise(
    objective: Objective,
    weights: Float[Tensor, " dimension"],
    centre: Float64[Tensor, " example"],
    move: Float[Tensor, " dimension"],
) -> Float64[Tensor, " example"]:
    """(ℓᵢ(w + move) + ℓᵢ(w − move))/2 − ℓᵢ(w) of every example. Call it inside :meth:`Parameters.restored`."""
    forth, back = (losses_at(objective, weights + side * move) for side in (1, -1))
    return (forth - centre + back - centre) / 2


def losses_at(objective: Objective, weights: Float[Tensor, " dimension"]) -> Float64[Tensor, " example"]:
    """ℓᵢ at ``weights``, on the CPU in float64, because what follows are differences far smaller than the values.

    The model is left at ``weights``: call it inside :meth:`Parameters.restored`.
    """
    objective.parameters.assign(weights)
    return objective.examples().cpu().double()
