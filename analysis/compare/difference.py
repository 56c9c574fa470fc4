"""A method minus the reference for one measure: interval, p-value, and the size of the effect.

Paired by seed where at least two seeds are on both sides (Student's t, freedom pairs − 1), otherwise between
independent groups (Welch's t). The effect's size is a standardized mean difference with the correction for small
samples that Hedges gave (1981), J(m) = Γ(m/2) / (√(m/2) Γ((m−1)/2))::

    paired     g_z = J(n−1) · d̄ / s_d                       Cohen's d_z, corrected; s_d the pairs' standard deviation
    unpaired   g   = J(n₁+n₂−2) · (m₂ − m₁) / s_pooled      Hedges' g

g_z is in units of how much the *differences* spread, which the pairing makes small: it is not comparable with g.

**What images can resolve.** Few pairs may agree by chance: three of them to within 0.6 of 10,000 images, or in exactly
equal differences, for which t would be infinite. But networks that differ from pair to pair in nothing but which single
images they get right already spread by V, the variance of one pair's difference over its images
(:mod:`analysis.compare.outcomes`). So where V is known the interval is the wider of two, and p the larger of their p::

    seeds      d̄ ± t(0.975; n−1) · s_d / √n       other seeds, these images
    images     d̄ ± 1.96 · √(V / n)                 what differences over single images would make alone

(unpaired: Welch's, and n the harmonic mean of the groups' sizes), and s_d² in the effect is at least V (s_pooled² at
least V/2). V is a mean over so many images that its own error is left out, and so has the normal distribution's
quantile; t's with n − 1 degrees of freedom is for an s_d that has no more, and to take it for V too would turn a
nominal 5 % into 0.0 % with three pairs. Rejecting only where both do, the test's size is at most 5 % however much seeds
vary, and 1.3, 2.1 and 2.9 % for 3, 5 and 10 pairs where they don't.

The interval's population is other seeds *on these images*: all pairs see the same ones, and what those happen to have
in favour of a method is in every pair, in no spread over pairs, and no more pairs average it out. That is what
``sampling_error`` is beside it: the standard error of d̄ over images, for these networks.

Many rows tempt to pick. :func:`holm` adjusts p-values so that the chance that any row without a difference falls below
α is at most α, whatever the rows have to do with each other, and they have much: most measure the same thing again.
(Benjamini and Hochberg's procedure bounds the share of false rows, but wants rows that hang together in one sense.)
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy import special

_ROUNDING = 1e-12  # of the values: a spread no larger is none


@dataclass(frozen=True)
class Sampling:
    """How a difference would vary over other images: ``variance`` of one pair's (V), ``error`` of the mean of all."""

    variance: float
    error: float


def difference(reference: pd.Series, method: pd.Series, sampling: Sampling | None = None) -> dict[str, Any]:
    """Means, method − reference, its 95 % interval, two-sided p, and effect, for values indexed by seed.

    ``spread`` says which of the two intervals it is, "seeds" or "images". Without ``sampling``, V unknown, it is empty,
    and ``sampling_error`` NaN. The interval is NaN where there is only one value a side. Equal differences of which no
    V is known are no certainty: interval, p and effect are NaN, but where nothing differs the interval is [0, 0]. The
    effect is NaN for two pairs too, whose correction is 0.
    """
    common = pairs(reference.index, method.index)
    paired = len(common) > 0
    if paired:
        reference, method = reference[common], method[common]
    sides = reference.to_numpy(dtype=float), method.to_numpy(dtype=float)
    with np.errstate(invalid="ignore", divide="ignore"):  # values may be infinite, or all the same
        found = _paired(*sides) if paired else _unpaired(*sides)
        half, p, spread = _test(found, sampling, float(np.mean([1 / len(side) for side in sides])))
        floor = sampling.variance / (1 if paired else 2) if sampling else 0.0
        effect = found.correction * found.mean / (np.fmax(found.deviation, np.sqrt(floor)) or np.nan)
    return {
        "reference_mean": reference.mean(),
        "method_mean": method.mean(),
        "difference": found.mean,
        "low": found.mean - half,
        "high": found.mean + half,
        "p": p,
        "effect": effect,
        "effect_kind": "g_z" if paired else "g",
        "n": found.n,
        "paired": paired,
        "spread": spread,
        "sampling_error": sampling.error if sampling else np.nan,
    }


def pairs(reference: pd.Index, method: pd.Index) -> pd.Index:
    """The seeds that are paired: those on both sides, or none where they are fewer than two or one is there twice."""
    common = reference.intersection(method)
    return common if len(common) >= 2 and reference.is_unique and method.is_unique else common[:0]


@dataclass(frozen=True)
class _Found:
    """What differs, before it is judged; ``deviation`` is what the effect is in units of."""

    n: int
    mean: float
    deviation: float
    error: float
    freedom: float
    correction: float


def _paired(reference: Float[np.ndarray, "n"], method: Float[np.ndarray, "n"]) -> _Found:
    gaps = method - reference
    n, spread = len(gaps), _sure(gaps.std(ddof=1), reference, method)
    return _Found(n, gaps.mean(), spread, spread / np.sqrt(n), n - 1.0, _correction(n - 1))


def _unpaired(reference: Float[np.ndarray, "n"], method: Float[np.ndarray, "m"]) -> _Found:
    """n of the smaller group, Welch's error and freedom, and the pooled deviation."""
    sizes, mean = np.array([len(reference), len(method)]), method.mean() - reference.mean()
    if sizes.min() < 2:
        return _Found(int(sizes.min()), mean, np.nan, np.nan, np.nan, np.nan)
    variances = np.array([_sure(side.std(ddof=1), reference, method) ** 2 for side in (reference, method)])
    parts, freedom = variances / sizes, int(sizes.sum()) - 2
    pooled = np.sqrt((variances * (sizes - 1)).sum() / freedom)
    welch = parts.sum() ** 2 / (parts**2 / (sizes - 1)).sum()
    return _Found(int(sizes.min()), mean, pooled, np.sqrt(parts.sum()), welch, _correction(freedom))


def _sure(deviation: float, *values: np.ndarray) -> float:
    """The standard deviation, 0 where it is but the rounding of ``values``."""
    return 0.0 if deviation <= _ROUNDING * max(np.abs(side).max() for side in values) else float(deviation)


def _test(found: _Found, sampling: Sampling | None, share: float) -> tuple[float, float, str]:
    """Half the interval, p, and whose they are; ``share`` is what the mean has of a pair's variance."""
    if found.n < 2:
        return np.nan, np.nan, ""
    size = abs(found.mean)
    half = float(special.stdtrit(found.freedom, 0.975) * found.error)
    p = float(2 * special.stdtr(found.freedom, -size / found.error))
    if sampling and sampling.variance > 0:
        error = np.sqrt(sampling.variance * share)
        images = special.ndtri(0.975) * error
        spread = "images" if images > half else "seeds"
        return float(np.fmax(half, images)), float(np.fmax(p, 2 * special.ndtr(-size / error))), spread
    if found.error == 0:
        half, p = (0.0 if size == 0 else np.nan), np.nan
    return half, p, "seeds" if sampling else ""


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
