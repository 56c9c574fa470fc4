"""The sign error of a measure in each environment, and in the worst (Dziugaite, Drouin, Neal et al. 2020).

An environment is two settings that differ in one factor; its pairs have a network of each, of any seeds, and w are
their weights (:mod:`.weights`)::

    error(e) = Σ w ½ (1 − sgn(μ − μ') sgn(g − g')) / Σ w       over the pairs of e

0 where the measure always has the gap's order, ½ by chance or where it ties, 1 where it always has the reverse. Robust
is a measure whose error is small in the *worst* environment, not on average. Of few pairs a worst error is chance:
environments count whose effective number (Σw)²/Σw² is 12 or more, as theirs, or half their pairs where that is less. Of
so many environments the worst of random numbers is near 1: the rows of references say how near.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from .pairs import Pairs

_EFFECTIVE = 12.0


@dataclass(frozen=True)
class Environments:
    """Those that count: error, effective number of pairs, their number, one pair of each, and the mean error over them.

    ``left_out`` counts those with too few pairs whose order is sure; ``mean`` has the seeds' groups left out, too.
    """

    error: Float[np.ndarray, " environment"]
    effective: Float[np.ndarray, " environment"]
    pairs: Int[np.ndarray, " environment"]
    example: Int[np.ndarray, " environment"]
    mean: Float[np.ndarray, " leaving"]
    left_out: int


def environments(
    measure: Float[np.ndarray, " pair"],
    gap: Float[np.ndarray, " pair"],
    weights: Float[np.ndarray, " pair"],
    pairs: Pairs,
    settings: Int[np.ndarray, " network"],
) -> Environments:
    """The environments of one measure; ``settings`` numbers each network's."""
    coupled = np.flatnonzero(pairs.alone >= 0)
    ends = np.sort(np.column_stack([settings[pairs.first], settings[pairs.second]])[coupled], axis=1)
    values, example, which = np.unique(ends, axis=0, return_index=True, return_inverse=True)
    wrong = (1 - measure[coupled] * gap[coupled]) / 2
    weigh = np.where(np.isnan(wrong), 0.0, weights[coupled])
    wrong, which, size = np.nan_to_num(wrong), which.ravel(), len(values)
    total, squares = (np.bincount(which, part, size) for part in (weigh, weigh**2))
    number = np.bincount(which, minlength=size)
    with np.errstate(invalid="ignore"):
        effective = np.nan_to_num(total**2 / squares)
        error = np.bincount(which, weigh * wrong, size) / total
    counts = (total > 0) & (effective >= np.minimum(_EFFECTIVE, number / 2) - 1e-9)
    own = pairs.chosen(pairs.alone >= 0)
    leaving = [_mean(which, weigh * own.without(group), wrong, counts) for group in range(-1, pairs.groups)]
    return Environments(
        error[counts],
        effective[counts],
        number[counts],
        coupled[example][counts],
        np.array(leaving),
        int((~counts).sum()),
    )


def _mean(
    which: Int[np.ndarray, " pair"],
    weigh: Float[np.ndarray, " pair"],
    wrong: Float[np.ndarray, " pair"],
    counts: Bool[np.ndarray, " environment"],
) -> float:
    """The mean error over the environments that count and have pairs left."""
    total = np.bincount(which, weigh, len(counts))
    there = counts & (total > 0)
    if not there.any():
        return np.nan
    return float((np.bincount(which, weigh * wrong, len(counts))[there] / total[there]).mean())
