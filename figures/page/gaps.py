"""TET minus SDT of one quantity, and the words for it, which are never stronger than the interval.

Repeats within a seed are averaged first. Sides that share at least two seeds are paired by seed: d̄ ± t(0.975, n−1)·s/√n
of the differences. Others are independent: half the width is t(0.975, n−1)·√(s₁²/n₁ + s₂²/n₂) with n the smaller count,
wider than Welch's, whose degrees of freedom lie between n − 1 and n₁ + n₂ − 2. Below three seeds a side no interval is
told; one that contains zero says that the two can't be told apart, whatever the means do.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from tables.reading import TableError

from ..style.bands import over_seeds, student
from ..style.look import LOOKS

FEWEST = 3
_BRIEF = 2  # claims in one clause beyond which their means are left to the table
_SIDES = ("sdt", "tet")
_ZERO, _FEW = "interval contains zero", "fewer than three seeds"
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_COUNTS = {0: "no seed", 1: "one seed", 2: "two seeds"}


@dataclass(frozen=True)
class Gap:
    """Means of both sides, TET − SDT with its 95 % interval, n, and why to doubt it; NaN where nothing is known."""

    sdt: float
    tet: float
    difference: float
    low: float
    high: float
    n: int
    doubts: tuple[str, ...] = ()

    @property
    def verdict(self) -> str:
        """higher or lower with TET, "undecided", "few" (no interval below three seeds), or "lost" (not measured)."""
        if not np.isfinite(self.difference):
            return "lost"
        if self.n < FEWEST or not np.isfinite([self.low, self.high]).all():
            return "few"
        if self.low <= 0 <= self.high:
            return "undecided"
        return "higher" if self.difference > 0 else "lower"

    def scaled(self, factor: float) -> "Gap":
        """The same in another unit."""
        numbers = {name: factor * getattr(self, name) for name in ("sdt", "tet", "difference", "low", "high")}
        return replace(self, **numbers)


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
            return f"{_COUNTS.get(self.n, f'n = {self.n}')}, no interval"
        return f"{number(self.low)} … {number(self.high)}, n = {self.n}"

    def beside(self, reference: float) -> str:
        """The interval, and what may be said of the mean and ``reference``."""
        if not self.known:
            return self.interval
        if self.low <= reference <= self.high:
            return f"{self.interval}: can't be told from {reference:g}"
        return f"{self.interval}: {'above' if self.low > reference else 'below'} {reference:g}"


def gap(rows: pd.DataFrame, column: str, *, doubts: tuple[str, ...] = ()) -> Gap:
    """TET − SDT of ``column``, each seed's rows averaged first; infinite values are left out and become a doubt."""
    infinite = bool(np.isinf(rows[column]).any())
    finite = rows[np.isfinite(rows[column])]
    seeds = finite.groupby(["training", "seed"])[column].mean()
    sides = [seeds.xs(name) if name in seeds.index.get_level_values(0) else pd.Series(dtype=float) for name in _SIDES]
    return replace(between(*sides), doubts=(*doubts, *("infinite values left out",) * infinite))


def between(sdt: pd.Series, tet: pd.Series) -> Gap:
    """TET − SDT of values indexed by seed."""
    common = sdt.index.intersection(tet.index)
    n = min(len(sdt), len(tet))
    if len(common) >= 2:
        sdt, tet = sdt[common], tet[common]
        n = len(common)
        error = float((tet - sdt).std()) / math.sqrt(n)
    else:
        error = math.sqrt(sdt.var() / len(sdt) + tet.var() / len(tet)) if n > 1 else math.nan
    means = (float(sdt.mean()), float(tet.mean())) if n else (math.nan, math.nan)
    half = student(n - 1) * error if n > 1 else math.nan
    difference = means[1] - means[0]
    return Gap(*means, difference, difference - half, difference + half, n)


def of_row(row: pd.Series) -> Gap:
    """A row of the comparison, with the doubts of its trust column."""
    doubts = (reason.strip() for reason in str(row["trust"]).split(";"))
    sdt, tet, difference, low, high = (float(row[name]) for name in ("sdt", "tet", "difference", "low", "high"))
    return Gap(
        sdt, tet, difference, low, high, int(row["n"]), tuple(one for one in doubts if one not in ("", _ZERO, _FEW))
    )


def mean(rows: pd.DataFrame, column: str, training: str) -> Mean:
    """``column`` over the seeds of one training; NaN and n = 0 where there is none."""
    part = rows[rows["training"] == training]
    table = over_seeds(part.assign(all=0), ["all"], column)
    if table.empty:
        return Mean(math.nan, math.nan, math.nan, 0)
    found = table.iloc[0]
    return Mean(float(found["mean"]), float(found["low"]), float(found["high"]), int(found["n"]))


def number(value: float, digits: int = 3) -> str:
    """A number as prose has it: three significant digits, a true minus; a dash for what there isn't."""
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "infinite" if value > 0 else "−infinite"
    text = f"{value:.{digits}g}"
    if "e" in text:
        mantissa, exponent = text.split("e")
        plain = 0 < int(exponent) < 6
        text = f"{value:.0f}" if plain else f"{mantissa}·10{str(int(exponent)).translate(_RAISED)}"
    return text.replace("-", "−")


def told(what: str, claims: Mapping[str, Gap], *, unit: str = "") -> str:
    """A clause on ``what`` with a verdict for each claim, by where it holds ("at T = 4"); no full stop.

    Doubts that all claims share stand at the end, the others beside their claim.
    """
    shared = [doubt for doubt in _union(claims) if all(doubt in one.doubts for one in claims.values())]
    if all(one.verdict == "lost" for one in claims.values()):
        return f"{what} was not measured on both sides"
    found: dict[str, list[str]] = {}
    for where, one in claims.items():
        own = [doubt for doubt in one.doubts if doubt not in shared]
        found.setdefault(one.verdict, []).append(
            f"{where} ({_numbers(one, unit, own, brief=len(claims) > _BRIEF)})".strip()
        )
    parts = [_PHRASES[verdict].format(listed(found[verdict])) for verdict in _PHRASES if verdict in found]
    text = f"{what} {', and '.join(parts)}"
    counts = {one.n for one in claims.values() if one.verdict in ("higher", "lower", "undecided")}
    if len(claims) > _BRIEF and counts:
        text += f" (TET − SDT and 95 % intervals, n = {' or '.join(map(str, sorted(counts)))})"
    return text + (f"; in doubt: {', '.join(shared)}" if shared else "")


_PHRASES = {
    "higher": "is higher with TET than with SDT {}",
    "lower": "is lower with TET than with SDT {}",
    "undecided": "can't be told apart between SDT and TET {}",
    "few": "has no interval {}",
    "lost": "was not measured on both sides {}",
}


def _union(claims: Mapping[str, Gap]) -> list[str]:
    return list(dict.fromkeys(doubt for one in claims.values() for doubt in one.doubts))


def _numbers(one: Gap, unit: str, doubts: list[str], *, brief: bool) -> str:
    if one.verdict == "lost":
        return f"n = {one.n}"
    after = f"\u00a0{unit}" if unit else ""
    points = "\u00a0points" if unit == "%" else after
    means, change = f"TET {number(one.tet, 4)}{after}, SDT {number(one.sdt, 4)}{after}", number(one.difference)
    interval = f"{number(one.low)} … {number(one.high)}{points}"
    if one.verdict == "few":
        parts = [means, f"{_COUNTS.get(one.n, f'n = {one.n}')} a side"]
    elif brief:
        parts = [change, interval]
    else:
        parts = [means, f"difference {change}, 95 % interval {interval}, n = {one.n}"]
    return "; ".join([*parts, *([f"in doubt: {', '.join(doubts)}"] if doubts else [])])


def tally(words: str, gaps: Sequence[Gap]) -> str:
    """A clause that counts the verdicts of ``gaps``, of which ``words`` say what they are, {} being how many.

    With it stand how many chance alone would decide, and the doubts of those that are decided.
    """
    count = {name: sum(one.verdict == name for one in gaps) for name in _COUNTED}
    tested = count["lower"] + count["higher"] + count["undecided"]
    shown = [name for name in _COUNTED if count[name] or (tested and name in ("lower", "higher"))]
    said = [f"{count[name]} {_COUNTED[name][count[name] != 1]}" for name in shown]
    text = f"{words.format(len(gaps))}, {'' if tested else 'none can be decided: '}{listed(said)}"
    if tested:
        text += f" (chance alone would decide {0.05 * tested:.1f} of {tested})"
    decided = [one for one in gaps if one.verdict in ("lower", "higher")]
    if doubted := [one for one in decided if one.doubts]:
        reasons = dict.fromkeys(reason for one in doubted for reason in one.doubts)
        whole = "the one" if len(decided) == 1 else "all"
        some = whole if len(doubted) == len(decided) else f"{len(doubted)} of the {len(decided)}"
        text += f"; {some} decided {'is' if len(doubted) == 1 else 'are'} in doubt: {', '.join(reasons)}"
    return text


_COUNTED = {
    "lower": ("is lower with TET", "are lower with TET"),
    "higher": ("is lower with SDT", "are lower with SDT"),
    "undecided": ("can't be told apart", "can't be told apart"),
    "few": ("has too few seeds", "have too few seeds"),
    "lost": ("was not measured on both sides", "were not measured on both sides"),
}  # of one, and of several


def each(rows: pd.DataFrame, column: str, reference: float) -> str:
    """Each training's mean with its interval, and what may be said of it and a reference value."""
    found = {look.label: mean(rows, column, training) for training, look in LOOKS.items()}
    said = [f"{number(one.mean)} with {label} ({one.beside(reference)})" for label, one in found.items() if one.n]
    if not said:
        raise TableError(f"no finite value of {column}")
    return listed(said)


def listed(words: list[str]) -> str:
    """a, b and c."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}" if words else ""


def sentence(*clauses: str) -> str:
    """Clauses as one sentence."""
    text = "; ".join(clause for clause in clauses if clause)
    return text[:1].upper() + text[1:] + "."
