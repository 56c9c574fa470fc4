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


@dataclass(frozen=True)
class Coupled:
    """The pairs that differ in one factor, by place: which environment each is in, and whether it lacks each group.

    Environments have a number of pairs and an example, the place of one of them.
    """

    place: Int[np.ndarray, " coupled"]
    which: Int[np.ndarray, " coupled"]
    lacking: Bool[np.ndarray, "leaving coupled"]
    number: Int[np.ndarray, " environment"]
    example: Int[np.ndarray, " environment"]


def coupled(pairs: Pairs, settings: Int[np.ndarray, " network"]) -> Coupled:
    """The environments of pairs whose networks have settings of these numbers."""
    place = np.flatnonzero(pairs.alone >= 0)
    own = pairs.chosen(pairs.alone >= 0)
    ends = np.sort(np.column_stack([settings[own.first], settings[own.second]]), axis=1)
    values, example, which = np.unique(ends, axis=0, return_index=True, return_inverse=True)
    lacking = np.array([own.without(group) for group in range(-1, pairs.groups)])
    return Coupled(place, which.ravel(), lacking, np.bincount(which.ravel(), minlength=len(values)), place[example])


def environments(
    measure: Float[np.ndarray, " pair"],
    gap: Float[np.ndarray, " pair"],
    weights: Float[np.ndarray, " pair"],
    of: Coupled,
) -> Environments:
    """The environments of one measure, from signs of differences."""
    wrong = (1 - measure[of.place] * gap[of.place]) / 2
    weigh = np.where(np.isnan(wrong), 0.0, weights[of.place])
    wrong, size = np.nan_to_num(wrong), len(of.number)
    total, squares = (np.bincount(of.which, part, size) for part in (weigh, weigh**2))
    with np.errstate(invalid="ignore"):
        effective = np.nan_to_num(total**2 / squares)
        error = np.bincount(of.which, weigh * wrong, size) / total
    counts = (total > 0) & (effective >= np.minimum(_EFFECTIVE, of.number / 2) - 1e-9)
    mean = np.array([_mean(of.which, weigh * there, wrong, counts) for there in of.lacking])
    left_out = int((~counts).sum())
    return Environments(error[counts], effective[counts], of.number[counts], of.example[counts], mean, left_out)


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
