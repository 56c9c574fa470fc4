"""TET minus SDT for one measure: interval, p-value, and the size of the effect.

Paired by seed where at least two seeds are on both sides (Student's t, freedom pairs − 1), otherwise between
independent groups (Welch's t). The effect's size is a standardized mean difference with the correction for small
samples that Hedges gave (1981), J(m) = Γ(m/2) / (√(m/2) Γ((m−1)/2))::

    paired     g_z = J(n−1) · d̄ / s_d                       Cohen's d_z, corrected; s_d the pairs' standard deviation
    unpaired   g   = J(n₁+n₂−2) · (m₂ − m₁) / s_pooled      Hedges' g

g_z is in units of how much the *differences* spread, which the pairing makes small: it is not comparable with g.

Many rows tempt to pick. :func:`holm` adjusts p-values so that the chance that any row without a difference falls below
α is at most α, whatever the rows have to do with each other, and they have much: most measure the same thing again.
(Benjamini and Hochberg's procedure bounds the share of false rows, but wants rows that hang together in one sense.)
"""

from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy import special, stats


def difference(sdt: pd.Series, tet: pd.Series) -> dict[str, Any]:
    """Means, difference TET − SDT, its 95 % interval, two-sided p, and effect, for values indexed by seed.

    The interval is NaN where there is only one value a side, the effect also for two pairs, whose correction is 0; p is
    NaN where nothing differs anywhere.
    """
    common = sdt.index.intersection(tet.index)
    paired = len(common) >= 2 and sdt.index.is_unique and tet.index.is_unique
    with np.errstate(invalid="ignore", divide="ignore"):  # values may be infinite, or all the same
        if paired:
            sdt, tet = sdt[common], tet[common]
            found = _paired((tet - sdt).to_numpy(dtype=float))
        else:
            found = _unpaired(sdt.to_numpy(dtype=float), tet.to_numpy(dtype=float))
        n, mean, error, freedom, effect = found
        half = stats.t.ppf(0.975, freedom) * error if n > 1 else np.nan
        p = 2 * stats.t.sf(abs(mean / error), freedom) if n > 1 else np.nan
    return {
        "sdt": sdt.mean(),
        "tet": tet.mean(),
        "difference": mean,
        "low": mean - half,
        "high": mean + half,
        "p": p,
        "effect": effect,
        "effect_kind": "g_z" if paired else "g",
        "n": n,
        "paired": paired,
    }


def _paired(gaps: Float[np.ndarray, "n"]) -> tuple[int, float, float, float, float]:
    """n, mean, standard error, degrees of freedom, g_z."""
    n, mean, spread = len(gaps), gaps.mean(), gaps.std(ddof=1)
    return n, mean, spread / np.sqrt(n), n - 1.0, _correction(n - 1) * mean / spread


def _unpaired(sdt: Float[np.ndarray, "n"], tet: Float[np.ndarray, "m"]) -> tuple[int, float, float, float, float]:
    """Size of the smaller group, difference of means, Welch's standard error and freedom, g."""
    sizes, mean = np.array([len(sdt), len(tet)]), tet.mean() - sdt.mean()
    if sizes.min() < 2:
        return int(sizes.min()), mean, np.nan, np.nan, np.nan
    variances = np.array([sdt.var(ddof=1), tet.var(ddof=1)])
    parts, freedom = variances / sizes, int(sizes.sum()) - 2
    pooled = np.sqrt((variances * (sizes - 1)).sum() / freedom)
    welch = parts.sum() ** 2 / (parts**2 / (sizes - 1)).sum()
    return int(sizes.min()), mean, np.sqrt(parts.sum()), welch, _correction(freedom) * mean / pooled


def _correction(freedom: int) -> float:
    """Hedges' J, exactly; NaN below two degrees of freedom, where it has no use."""
    if freedom < 2:
        return float("nan")
    return float(np.exp(special.gammaln(freedom / 2) - special.gammaln((freedom - 1) / 2)) / np.sqrt(freedom / 2))


def holm(p: Float[np.ndarray, "row"]) -> Float[np.ndarray, "row"]:
    """Holm's (1979) step-down adjustment; rows that are NaN stay so and don't count."""
    adjusted = np.full(len(p), np.nan)
    known = np.flatnonzero(~np.isnan(p))
    order = known[np.argsort(p[known], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * factors), 1.0)
    return adjusted
