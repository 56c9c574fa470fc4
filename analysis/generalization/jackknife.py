"""How sure a statistic of a sweep is: it is taken again without each seed, all networks of a seed left out together.

    θ̂ ± t(0.975; S−1) √((S−1)/S Σ_s (θ̂₋ₛ − mean)²)

The interval's population is other seeds, for these settings. It says nothing about other settings, or other factors. An
interval that has no width is none: "degenerate".

Simulated: how often intervals for nothing miss it, of a nominal 5 %. Twelve settings (3 × 2 × 2) of 3, 5 and 10 seeds;
normal gaps with setting effects of 0 or two standard deviations, measures without; seed effects with 0 or 90 % of the
variance in both; 1000 repetitions of each of the twelve cases, error 0.7:

- this interval, of Ψ 3.6 to 6.6 %, of one factor's ψ 2.6 to 4.8 %
- :func:`analysis.compare.rank_interval.tau_interval`, of τ 1.0 to 5.0 %, of τ given one or three measures 0.6 to 4.7 %,
  of
  the mean sign error 1.1 to 5.0 %. (This interval in its place: up to 7.8 and 9.0 % for the last two.)
- p ≤ 0.05 of τ, setting effects of two standard deviations in the measure too: 2.4 to 6.8 % (250 repetitions, error
  1.4)
"""

import numpy as np
from jaxtyping import Float
from scipy import special

from tables.interval import FEWEST

DEGENERATE = "degenerate"
_ROUNDING = 1e-12


def interval(leaving: Float[np.ndarray, " leaving"], low: float = -1.0, high: float = 1.0) -> tuple[float, float]:
    """The 95 % interval of a statistic from its value and those without each seed; it can't leave low … high.

    NaN where a value lacks, there are fewer than three seeds, or nothing spreads.
    """
    value, others = float(leaving[0]), leaving[1:]
    count = len(others)
    if count < FEWEST or not np.isfinite(leaving).all():
        return np.nan, np.nan
    error = np.sqrt((count - 1) * others.var())
    if error <= _ROUNDING:
        return np.nan, np.nan
    half = float(special.stdtrit(count - 1, 0.975) * error)
    return max(low, value - half), min(high, value + half)
