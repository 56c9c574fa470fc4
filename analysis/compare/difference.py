"""A method minus the reference for one measure: interval, p-value, and the size of the effect.

Paired by seed where at least two seeds are on both sides, otherwise between independent groups
(:mod:`tables.interval`, whose rule pictures and sentences keep too). The effect's size is a standardized mean
difference with the correction for small samples that Hedges gave (1981), J(m) = Γ(m/2) / (√(m/2) Γ((m−1)/2))::

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

from tables.interval import Difference, independent, pairs
from tables.interval import paired as of_pairs


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
        found = of_pairs(*sides) if paired else independent(*sides)
        half, p, spread = _test(found, sampling, float(np.mean([1 / len(side) for side in sides])))
        floor = sampling.variance / (1 if paired else 2) if sampling else 0.0
        correction = _correction(found.n - 1 if paired else sum(map(len, sides)) - 2) if found.n > 1 else np.nan
        effect = correction * found.mean / (np.fmax(found.deviation, np.sqrt(floor)) or np.nan)
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


def _test(found: Difference, sampling: Sampling | None, share: float) -> tuple[float, float, str]:
    """Half the interval, p, and whose they are; ``share`` is what the mean has of a pair's variance."""
    if found.n < 2:
        return np.nan, np.nan, ""
    size = abs(found.mean)
    half = found.half
    p = float(2 * special.stdtr(found.freedom, -np.divide(size, found.error)))
    if sampling and sampling.variance > 0:
        error = np.sqrt(sampling.variance * share)
        images = special.ndtri(0.975) * error
        spread = "seeds" if half >= images else "images"
        return float(np.fmax(half, images)), float(np.fmax(p, 2 * special.ndtr(-size / error))), spread
    return half, p if found.error else np.nan, "seeds" if sampling else ""


def _correction(freedom: int) -> float:
    """Hedges' J, exactly; NaN below two degrees of freedom, where it has no use."""
    if freedom < 2:
        return float("nan")
    return float(np.exp(special.gammaln(freedom / 2) - special.gammaln((freedom - 1) / 2)) / np.sqrt(freedom / 2))


def holm(p: Float[np.ndarray, " row"]) -> Float[np.ndarray, " row"]:
    """Holm's (1979) step-down adjustment; rows that are NaN stay so and don't count."""
    adjusted = np.full(len(p), np.nan)
    known = np.flatnonzero(~np.isnan(p))
    order = known[np.argsort(p[known], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * factors), 1.0)
    return adjusted
