"""How far the loss rises on average when Gaussian noise is laid on the weights.

    E_ν L(w + ρ D ν) − L(w),     ν standard normal

D says what the noise is relative to, each filter, each weight, or nothing: see :mod:`landscape.sharpness.noise`, which
has the sources. To second order it is ρ²/2 · tr(D H D) with H the Hessian of the loss, but it needs no derivative: for
a staircase, which has none, it is the loss smoothed at scale ρ minus the loss.

Easy to get wrong: a draw lies at ‖D⁻¹ε‖ ≈ ρ√n for n weights, so a worst case in a ball
(:mod:`landscape.sharpness.worst`) that holds moves of the same size has a radius √n times larger.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float

from ..displayed import Displayed
from ..objective import Objective
from ..surfaces import mean_and_stderr
from .noise import centre_losses, noise_scale, noises
from .radius import pair_rise, positive


@dataclass(frozen=True)
class AverageRise(Displayed):
    """Mean rise at each radius, with its standard error over draws and, separately, over examples (paired).

    ``rises`` holds the rise of each antithetic pair, the same draws at every radius.
    """

    radii: Float[np.ndarray, " radius"]
    value: Float[np.ndarray, " radius"]
    stderr: Float[np.ndarray, " radius"]
    examples_stderr: Float[np.ndarray, " radius"]
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


def average_rise(
    objective: Objective, *, radii: Iterable[float], draws: int = 20, noise: str = "filter", seed: int = 0
) -> AverageRise:
    """E_ν L(w + ρ D ν) − L(w) at each radius ρ, from ``draws`` antithetic pairs ±ν.

    ``noise`` is "filter" or "magnitude", where ρ = 0.1 is noise of a tenth of the filter's norm or of each weight, or
    "absolute", where ρ is the standard deviation σ itself. Costs 2 · draws passes per radius, and one.

    Raises ValueError for radii that are not positive, fewer than two draws, a loss that is not finite at the weights,
    and a loss without values of single examples. A loss that overflows at a large radius stays inf or nan.
    """
    radii = positive(radii)
    scale = noise_scale(objective.parameters, noise)
    rises = np.zeros((len(radii), max(draws, 0)))
    with objective.parameters.restored() as weights:
        centre = centre_losses(objective, weights)
        by_example = [torch.zeros_like(centre) for _ in radii]
        for draw, move in enumerate(noises(scale, draws, seed)):
            for row, radius in enumerate(radii.tolist()):
                rise = pair_rise(objective, weights, centre, radius * move)
                rises[row, draw] = rise.mean()
                by_example[row] += rise / draws
    examples_stderr = np.array([mean_and_stderr(rise)[1] for rise in by_example])
    value, stderr = np.array([mean_and_stderr(torch.from_numpy(row)) for row in rises]).T
    return AverageRise(radii, value, stderr, examples_stderr, rises)
