"""The null: one method's seeds in two halves, which nothing tells apart. How often does a comparison name a side?

All splits into halves (of at most two thousand, drawn), each compared as two methods would be: Welch's interval, for
the halves' seeds are different ones. A nominal 5 % of them should name a side. The splits are of the same networks and
so far from independent: their share is no binomial proportion. So it is held against what it is for normal values of as
many seeds (simulated, two thousand sets): ``low`` … ``high`` is where 95 % of these lie, p is the share of sets with as
large a share. A measure fails where p ≤ 1 %: as twenty measures are asked, 5 % would be reached by chance alone.
"""

from functools import lru_cache
from itertools import combinations
from math import comb

import numpy as np
from jaxtyping import Bool, Float
from scipy import special

from tables.controls import FAILED, PASSED, UNDECIDED
from tables.interval import FEWEST

from .answers import Answer, Measured

_MOST = 2000
_SETS = 2000
_RARE = 0.01


def halves(count: int) -> Bool[np.ndarray, "split seed"]:
    """Which seeds are in the first half, in each split; the halves of an odd number differ by one."""
    first = count // 2
    whole = comb(count, first) // (1 if count % 2 else 2)
    if whole <= _MOST:
        chosen = [list(one) for one in combinations(range(count), first) if count % 2 or 0 in one]
    else:
        generator = np.random.default_rng(count)
        chosen = [generator.permutation(count)[:first].tolist() for _ in range(_MOST)]
    found = np.zeros((len(chosen), count), bool)
    for row, places in zip(found, chosen, strict=True):
        row[places] = True
    return found


def share(values: Float[np.ndarray, "*set seed"], splits: Bool[np.ndarray, "split seed"]) -> Float[np.ndarray, "*set"]:
    """The share of the splits in which Welch's 95 % interval names a side."""
    squares, means, sizes = [], [], []
    for half in (splits, ~splits):
        size = half.sum(1)
        mean = values @ half.T / size
        sizes.append(size)
        means.append(mean)
        squares.append(np.maximum((values**2) @ half.T / size - mean**2, 0) * size / (size - 1) / size)
    error = squares[0] + squares[1]
    with np.errstate(invalid="ignore", divide="ignore"):
        freedom = error**2 / sum(part**2 / (size - 1) for part, size in zip(squares, sizes, strict=True))
        named = np.abs(means[0] - means[1]) > special.stdtrit(freedom, 0.975) * np.sqrt(error)
    return np.asarray(named.mean(-1))


@lru_cache(maxsize=8)
def usual(count: int) -> Float[np.ndarray, " set"]:
    """That share of many sets of so many normal values."""
    values = np.random.default_rng(0).standard_normal((_SETS, count))
    return share(values, halves(count))


def of_one_method(measure: Measured, method: str) -> Answer:
    """How often two halves of a method's seeds are told apart by ``measure``."""
    side = measure.of(method)
    values = side[np.isfinite(side)].to_numpy(float)
    if not side.index.is_unique:
        why = "two networks have one seed, so they differ in more than that"
        return Answer(UNDECIDED, unit="share of splits", n=len(values), why=why)
    count = len(values)
    if count < 2 * FEWEST:
        why = f"{2 * FEWEST} seeds or more make two halves, there are {count}"
        return Answer(UNDECIDED, unit="share of splits", n=count, why=why)
    spread = values.std()
    if spread <= 1e-12 * np.abs(values).max():
        return Answer(UNDECIDED, unit="share of splits", n=count, why="no spread")
    seen = float(share((values - values.mean()) / spread, halves(count)))
    simulated = usual(count)
    low, high = np.quantile(simulated, [0.025, 0.975])
    p = float((1 + (simulated >= seen - 1e-9).sum()) / (1 + _SETS))
    verdict = FAILED if p <= _RARE else PASSED
    return Answer(verdict, seen, "share of splits", float(low), float(high), count, p)
