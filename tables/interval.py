"""How sure a mean difference between two methods is: one rule, for tables, pictures and sentences.

    pairs of one seed    d̄ ± t(0.975; n−1) · s_d / √n                Student
    else                 m₂ − m₁ ± t(0.975; ν) · √(s₁²/n₁ + s₂²/n₂)   Welch (1947), with Satterthwaite's ν::

    ν = (s₁²/n₁ + s₂²/n₂)² / ( (s₁²/n₁)²/(n₁−1) + (s₂²/n₂)²/(n₂−1) )

Seeds pair where at least two are on both sides. Two have an interval, but no side is named for fewer than three
(:data:`FEWEST`), in tables, pictures and sentences alike: what two call is called by chance as often as for cause.
Values that don't spread at all are no certainty: of differences that are equal, and not zero, there is no interval.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy import special

FEWEST = 3
"""Pairs, or seeds a side, below which no side is named and no interval told or drawn: of two, t is 12.7, and the
interval reaches where no value can be."""
_ROUNDING = 1e-12  # of the values: a spread no larger is none


@dataclass(frozen=True)
class Difference:
    """``mean`` of method − reference, ``deviation`` of a pair (or pooled), the mean's ``error`` and its ``freedom``.

    ``n`` counts pairs, or the smaller group. NaN where a group has one value.
    """

    n: int
    mean: float
    deviation: float
    error: float
    freedom: float

    @property
    def half(self) -> float:
        """Half the width of the 95 % interval; NaN where there is none."""
        if self.n < 2 or (self.error == 0 and self.mean != 0):
            return float("nan")
        return float(special.stdtrit(self.freedom, 0.975) * self.error) if self.error else 0.0


def bounds(row: pd.Series) -> tuple[float, float]:
    """The interval of a comparison's ``row`` as it is told: of fewer seeds than :data:`FEWEST` none (NaN)."""
    return (float(row["low"]), float(row["high"])) if row["n"] >= FEWEST else (float("nan"), float("nan"))


def pairs(reference: pd.Index, method: pd.Index) -> pd.Index:
    """The seeds that are paired: those on both sides, or none where they are fewer than two or one is there twice."""
    common = reference.intersection(method)
    return common if len(common) >= 2 and reference.is_unique and method.is_unique else common[:0]


def student(freedom: int) -> float:
    """The 97.5 % quantile of Student's t. Raises ValueError below one degree of freedom."""
    if freedom < 1:
        raise ValueError(f"an interval needs at least two seeds, got {freedom + 1}")
    return float(special.stdtrit(freedom, 0.975))


def side(difference: float, low: float, high: float, n: float) -> str:
    """ "lower" or "higher" by the interval, "undecided", "few" (under three seeds) or "lost" (no difference)."""
    if not np.isfinite(difference):
        return "lost"
    if n < FEWEST or not np.isfinite([low, high]).all():
        return "few"
    if low <= 0 <= high:
        return "undecided"
    return "higher" if difference > 0 else "lower"


def paired(reference: Float[np.ndarray, " n"], method: Float[np.ndarray, " n"]) -> Difference:
    """Of pairs, one a place."""
    gaps = method - reference
    n = len(gaps)
    spread = _sure(gaps.std(ddof=1), reference, method) if n > 1 else float("nan")
    return Difference(n, float(gaps.mean()) if n else float("nan"), spread, spread / n**0.5 if n else spread, n - 1.0)


def independent(reference: Float[np.ndarray, " n"], method: Float[np.ndarray, " m"]) -> Difference:
    """Of groups that have nothing to do with each other; the deviation is pooled over both."""
    sizes = np.array([len(reference), len(method)])
    mean = float(method.mean() - reference.mean()) if sizes.min() else float("nan")
    if sizes.min() < 2:
        return Difference(int(sizes.min()), mean, *[float("nan")] * 3)
    variances = np.array([_sure(side.std(ddof=1), reference, method) ** 2 for side in (reference, method)])
    parts = variances / sizes
    pooled = float(np.sqrt((variances * (sizes - 1)).sum() / (sizes.sum() - 2)))
    with np.errstate(invalid="ignore", divide="ignore"):  # neither side spreads
        freedom = float(parts.sum() ** 2 / (parts**2 / (sizes - 1)).sum())
    return Difference(int(sizes.min()), mean, pooled, float(np.sqrt(parts.sum())), freedom)


def _sure(deviation: float, *values: np.ndarray) -> float:
    """The standard deviation, 0 where it is but the rounding of ``values``."""
    return 0.0 if deviation <= _ROUNDING * max(np.abs(side).max() for side in values) else float(deviation)
