"""Intervals of a method's difference from the reference, laid where the method's mean is.

A comparison is of differences, seed by seed, and says nothing that two bands over each method's own seeds would: these
overlap where differences are decided, and the other way round. So wherever the reference is in a panel, the band of
another method is the interval of its difference (:mod:`tables.interval`: pairs of one seed, else Welch's), added to the
mean of the reference. A difference is undecided where the band holds the reference's line.
"""

import math
from collections.abc import Iterator

import numpy as np
import pandas as pd

from tables.interval import FEWEST, Difference, independent, pairs
from tables.interval import paired as of_pairs


def beside(table: pd.DataFrame, own: pd.DataFrame, other: pd.DataFrame, x: str, value: str) -> pd.DataFrame:
    """``table`` (of ``own``'s means by ``x``) with low and high laid against the means of the reference, ``other``.

    NaN where a side has fewer than three seeds, or where differences are equal and not zero.
    """
    sides = [_means(frame, x, value) for frame in (other, own)]
    ends = [_ends(*(side.get(at, pd.Series(dtype=float)) for side in sides)) for at in table[x]]
    low, high = np.array(ends, dtype=float).reshape(-1, 2).T
    return table.assign(low=low, high=high)


def _means(frame: pd.DataFrame, x: str, value: str) -> dict[float, pd.Series]:
    """By ``x``, the mean of what is finite of each seed."""
    finite = frame[np.isfinite(frame[value])]
    means = finite.groupby([x, "seed"])[value].mean()
    return {float(str(at)): one.droplevel(0) for at, one in means.groupby(level=0)}


def _ends(reference: pd.Series, method: pd.Series) -> tuple[float, float]:
    at, found = difference(reference, method)
    if found.n < FEWEST:
        return math.nan, math.nan
    return at + found.mean - found.half, at + found.mean + found.half


def difference(reference: pd.Series, method: pd.Series) -> tuple[float, Difference]:
    """The reference's mean, and the difference, of values indexed by seed."""
    common = pairs(reference.index, method.index)
    if len(common):
        reference, method = reference[common], method[common]
    one, other = (side.to_numpy(dtype=float) for side in (reference, method))
    found = of_pairs(one, other) if len(common) else independent(one, other)
    return (float(one.mean()) if len(one) else math.nan), found


def differences(own: pd.DataFrame, other: pd.DataFrame, x: str, value: str) -> pd.DataFrame:
    """Method − reference by ``x``: columns ``x``, mean, low, high, n, above, below; below three seeds no interval."""
    sides = [_means(frame, x, value) for frame in (other, own)]
    found = pd.DataFrame(_rows(*sides), columns=[x, "mean", "low", "high", "n"])
    return found.assign(above=0, below=0)  # infinite values have no difference


def _rows(other: dict[float, pd.Series], own: dict[float, pd.Series]) -> Iterator[tuple[float, ...]]:
    for at in sorted(set(other) & set(own)):
        _, found = difference(other[at], own[at])
        half = found.half if found.n >= FEWEST else math.nan
        yield at, found.mean, found.mean - half, found.mean + half, found.n
