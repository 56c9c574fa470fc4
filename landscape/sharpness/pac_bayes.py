"""How much noise a minimum bears: the largest σ whose mean rise stays at a given value, and what bounds make of it.

    σ: E_ν L(w + σ D ν) − L(w) = rise,     ν standard normal

L is what the objective says: the loss, or with 0 and 1 for right and wrong answers the error, as in the papers, which
take a rise of 0.1 in training error (Neyshabur, Bhojanapalli, McAllester, Srebro 2017, NeurIPS; Jiang, Neyshabur,
Mobahi, Krishnan, Bengio 2020, ICLR, appendix C.5; Dziugaite, Drouin, Neal, Rajkumar, Caballero, Wang, Mitliagkas, Roy
2020, NeurIPS). D is 1 ("absolute") or |w| ("magnitude"; Jiang et al.'s magnitude-aware σ'), see
:mod:`landscape.sharpness.noise`. With H the Hessian of the loss, σ² = 2 · rise / tr(D H D) to second order: their
"pacbayes-flatness" is 1/σ², their "pacbayes-mag-flatness" 1/σ'².

    bound    ‖w − w₀‖²/(4σ²) + log(m/σ) + 10      "pacbayes-init", and with ‖w‖ for the distance "pacbayes-orig"

The first term is the divergence of N(w, σ²) from a prior N(w₀, σ²) that knew nothing of the data, but for a factor;
m is the number of images *trained* on. The gap is then of the order √(bound/m), which is how Dziugaite et al. make
it comparable between training sets of different size. The absolute σ and the bound change when weights before a
BatchNorm are rescaled; σ' does not.

Easy to get wrong: σ is a standard deviation. At every σ the same ν are used, so the mean rise is one curve, and its
crossing well defined; where it rises and falls and rises again, the crossing found is one of several.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from ..displayed import Displayed
from ..objective import Objective
from ..surfaces import mean_and_stderr
from .noise import centre_losses, noise_scale, noises
from .radius import pair_rise

_FLANK = 0.2
_LARGEST, _SMALLEST = 2.0**20, 2.0**-40


@dataclass(frozen=True)
class NoiseBorne(Displayed):
    """The noise σ at which the mean rise is ``rise``, and its standard error over draws.

    The error is that of the mean rise divided by its slope in σ. ``residual`` is the width of the last bracket relative
    to σ; ``converged`` says that it is at most the tolerance. ``searched`` is the number of σ tried. Where no noise
    lifts the loss that far the value is infinite, and not converged.
    """

    value: float
    stderr: float
    rise: float
    noise: str
    draws: int
    residual: float
    converged: bool
    searched: int

    def to_frame(self) -> pd.DataFrame:
        """One row: sigma, stderr, rise, noise, draws, residual, converged, searched."""
        return pd.DataFrame([vars(self)]).rename(columns={"value": "sigma"})


def noise_borne(
    objective: Objective,
    *,
    rise: float = 0.1,
    noise: str = "absolute",
    draws: int = 20,
    tolerance: float = 0.05,
    max_steps: int = 30,
    seed: int = 0,
) -> NoiseBorne:
    """The σ whose mean rise over ``draws`` antithetic pairs is ``rise``, by bisection on common random numbers.

    The search begins at a tenth of the weights' size, doubles or halves σ until the rise lies between two values, and
    halves that interval, on a logarithmic scale, until its width is ``tolerance`` of σ; what is left is interpolated.
    Each σ tried costs 2 · draws passes: usually about ten of them.

    Raises ValueError for a rise that isn't positive and finite, fewer than two draws, an unknown noise, a tolerance
    that isn't positive, fewer than one step, a loss that is not finite at the weights, and one that any noise lifts so.
    """
    if not 0 < rise < math.inf or not tolerance > 0 or max_steps < 1:
        raise ValueError(
            f"rise, tolerance and max_steps must be positive and finite, got {rise}, {tolerance} and {max_steps}"
        )
    parameters = objective.parameters
    scale = noise_scale(parameters, noise)
    with parameters.restored() as weights:
        centre = centre_losses(objective, weights)

        def rises(sigma: float) -> np.ndarray:
            return np.array(
                [
                    float(pair_rise(objective, weights, centre, sigma * move).mean())
                    for move in noises(scale, draws, seed)
                ]
            )

        curve = _Curve(rises, rise)
        start = 0.1 if noise != "absolute" else 0.1 * float(weights.double().square().mean().sqrt()) or 0.1
        low, high = _bracket(curve, start)
        if low == math.inf:
            return NoiseBorne(math.inf, math.nan, rise, noise, draws, math.nan, False, len(curve.seen))
        while high - low > tolerance * high and len(curve.seen) < max_steps:
            middle = math.sqrt(low * high)
            low, high = (low, middle) if curve.above(middle) else (middle, high)
        return _found(curve, low, high, tolerance, noise)


class _Curve:
    """The mean rise against σ, with what was seen of it."""

    def __init__(self, rises: Callable[[float], np.ndarray], target: float):
        self._rises, self.target = rises, target
        self.seen: dict[float, np.ndarray] = {}

    def __call__(self, sigma: float) -> np.ndarray:
        if sigma not in self.seen:
            self.seen[sigma] = self._rises(sigma)
        return self.seen[sigma]

    def above(self, sigma: float) -> bool:
        """Whether the mean rise exceeds the target; a loss that overflows does."""
        return not self(sigma).mean() <= self.target


def _bracket(curve: _Curve, start: float) -> tuple[float, float]:
    """Two σ, a factor of 2 apart, between which the mean rise crosses the target; infinite where it never does."""
    sigma = start
    if curve.above(sigma):
        while curve.above(sigma / 2):
            sigma /= 2
            if sigma < _SMALLEST * start:
                raise ValueError(f"even noise of {sigma:.2g} lifts the loss by more than {curve.target}")
        return sigma / 2, sigma
    while sigma < _LARGEST * start:
        if curve.above(2 * sigma):
            return sigma, 2 * sigma
        sigma *= 2
    return math.inf, math.inf


def _found(curve: _Curve, low: float, high: float, tolerance: float, noise: str) -> NoiseBorne:
    """The crossing between ``low`` and ``high``. The slope there is taken farther out, where single steps average."""
    below, above = curve(low), curve(high)
    rise = float((above - below).mean())
    share = (curve.target - float(below.mean())) / rise if math.isfinite(rise) else 0.0
    sigma, residual = low + share * (high - low), (high - low) / high
    flanks = [float(curve((1 + side * _FLANK) * sigma).mean()) for side in (-1, 1)]
    slope = (flanks[1] - flanks[0]) / (2 * _FLANK * sigma)
    at_crossing = below + share * (above - below) if share else below
    error = mean_and_stderr(torch.from_numpy(at_crossing))[1]
    return NoiseBorne(
        sigma,
        error / slope if 0 < slope < math.inf else math.inf,
        curve.target,
        noise,
        len(below),
        residual,
        residual <= tolerance,
        len(curve.seen),
    )


def bound(squared_distance: float, sigma: float, images: int) -> float:
    """‖w − w₀‖²/(4σ²) + log(m/σ) + 10 for m training images; √(bound/m) is of the order of the gap. nan for σ = ∞."""
    return math.nan if sigma == math.inf else squared_distance / (4 * sigma**2) + math.log(images / sigma) + 10
