"""How sure a statistic of a sweep is: it is taken again without each seed, all networks of a seed left out together.

    θ̂ ± t(0.975; S−1) √((S−1)/S Σ_s (θ̂₋ₛ − mean)²)

The interval's population is other seeds, for these settings. It says nothing about other settings, or other factors. An
interval that has no width is none: "degenerate".

SIMULATED
"""

import numpy as np
from jaxtyping import Float
from scipy import special

DEGENERATE = "degenerate"
_ROUNDING = 1e-12


def interval(leaving: Float[np.ndarray, " leaving"], low: float = -1.0, high: float = 1.0) -> tuple[float, float]:
    """The 95 % interval of a statistic from its value and those without each seed; it can't leave low … high.

    NaN where a value lacks, there is one seed, or nothing spreads.
    """
    value, others = float(leaving[0]), leaving[1:]
    count = len(others)
    if count < 2 or not np.isfinite(leaving).all():
        return np.nan, np.nan
    error = np.sqrt((count - 1) * others.var())
    if error <= _ROUNDING:
        return np.nan, np.nan
    half = float(special.stdtrit(count - 1, 0.975) * error)
    return max(low, value - half), min(high, value + half)
