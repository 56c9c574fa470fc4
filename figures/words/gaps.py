"""Method minus reference of one quantity, with its interval; of one method alone, its mean.

Which two are compared is set by :func:`figures.style.methods.facing`: the reference and the method.

Repeats within a seed are averaged first. Intervals are those of the comparison (:mod:`tables.interval`): paired by seed
where sides share two, else Welch's, and none of differences that are all the same and not zero. Below three seeds a
side no interval is told; one that contains zero says that the two can't be told apart, whatever the means do.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from tables.interval import FEWEST, independent, paired, pairs, side

from ..style.bands import over_seeds
from ..style.methods import alone, sides
from .prose import number

COUNTS = {0: "no seed", 1: "one seed", 2: "two seeds"}
_ZERO, _FEW = "interval contains zero", "fewer than three seeds"


@dataclass(frozen=True)
class Mean:
    """A mean over seeds with its 95 % interval, NaN for one seed."""

    mean: float
    low: float
    high: float
    n: int

    @property
    def known(self) -> bool:
        """Whether there is an interval to speak of."""
        return self.n >= FEWEST and bool(np.isfinite([self.low, self.high]).all())

    @property
    def interval(self) -> str:
        """The interval and n, or that there is none."""
        if not self.known:
            return f"{COUNTS.get(self.n, f'n = {self.n}')}, no interval"
        return f"{number(self.low)} … {number(self.high)}, n = {self.n}"

    def scaled(self, factor: float) -> "Mean":
        """The same in another unit."""
        return Mean(factor * self.mean, factor * self.low, factor * self.high, self.n)

    def beside(self, reference: float) -> str:
        """The interval, and what may be said of the mean and ``reference``."""
        if not self.known:
            return self.interval
        if self.low <= reference <= self.high:
            return f"{self.interval}: can't be told from {reference:g}"
        return f"{self.interval}: {'above' if self.low > reference else 'below'} {reference:g}"


@dataclass(frozen=True)
class Gap:
    """Means of both, method − reference with its 95 % interval, n, and why to doubt it; NaN where nothing is known.

    ``names`` are the reference's and the method's; ``alone`` is the mean of the one method where there is no other.
    """

    reference: float
    method: float
    difference: float
    low: float
    high: float
    n: int
    doubts: tuple[str, ...] = ()
    names: tuple[str, str] = ("", "")
    alone: Mean | None = None

    @property
    def verdict(self) -> str:
        """higher or lower with the method, or why that isn't said: :func:`tables.interval.side`."""
        return side(*map(float, (self.difference, self.low, self.high, self.n)))

    def scaled(self, factor: float) -> "Gap":
        """The same in another unit."""
        numbers = {name: factor * getattr(self, name) for name in ("reference", "method", "difference", "low", "high")}
        return replace(self, **numbers, alone=self.alone.scaled(factor) if self.alone else None)


def gap(rows: pd.DataFrame, column: str, *, doubts: tuple[str, ...] = ()) -> Gap:
    """Method − reference of ``column``, a seed's rows averaged first; infinite values are left out, and a doubt."""
    infinite = bool(np.isinf(rows[column]).any())
    finite = rows[np.isfinite(rows[column])]
    seeds = finite.groupby(["method", "seed"])[column].mean()
    there = seeds.index.get_level_values(0)
    both = [seeds.xs(name) if name in there else pd.Series(dtype=float) for name in sides()]
    one = mean(rows, column, sides()[0]) if alone() else None
    return replace(between(*both), doubts=(*doubts, *("infinite values left out",) * infinite), alone=one)


def between(reference: pd.Series, method: pd.Series) -> Gap:
    """Method − reference of values indexed by seed."""
    common = pairs(reference.index, method.index)
    if len(common):
        reference, method = reference[common], method[common]
    one, other = (side.to_numpy(dtype=float) for side in (reference, method))
    found = paired(one, other) if len(common) else independent(one, other)
    means = (float(one.mean()), float(other.mean())) if found.n else (math.nan, math.nan)
    return Gap(*means, found.mean, found.mean - found.half, found.mean + found.half, found.n, names=sides())


def of_row(row: pd.Series) -> Gap:
    """A row of the comparison, with the doubts of its trust column."""
    doubts = (reason.strip() for reason in str(row["trust"]).split(";"))
    own = tuple(one for one in doubts if one not in ("", _ZERO, _FEW))
    reference, method = (float(row[name]) for name in ("reference_mean", "method_mean"))
    difference, low, high = (float(row[name]) for name in ("difference", "low", "high"))
    names = str(row["reference"]), str(row["method"])
    return Gap(reference, method, difference, low, high, int(row["n"]), own, names)


def compared_row(tables: Mapping[str, pd.DataFrame], measure: str, loss: str = "") -> Gap | None:
    """The comparison's row of the two that are spoken of, whose interval is never narrower than images allow.

    Of measures of a ``loss`` that of this one.
    """
    if "compare" not in tables or alone():
        return None
    rows = tables["compare"]
    base, method = sides()
    rows = rows[(rows["measure"] == measure) & (rows["reference"] == base) & (rows["method"] == method)]
    rows = rows[rows["loss"] == loss] if loss else rows
    return replace(of_row(rows.iloc[0]), doubts=()) if len(rows) == 1 else None


def mean(rows: pd.DataFrame, column: str, method: str) -> Mean:
    """``column`` over the seeds of one method; NaN and n = 0 where there is none."""
    part = rows[rows["method"] == method]
    table = over_seeds(part.assign(all=0), ["all"], column)
    if table.empty:
        return Mean(math.nan, math.nan, math.nan, 0)
    found = table.iloc[0]
    return Mean(float(found["mean"]), float(found["low"]), float(found["high"]), int(found["n"]))
