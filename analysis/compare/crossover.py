"""Flatter within which radius, sharper beyond which: two methods' curves of rise against radius, paired by seed.

With d(r) = rise of the method − rise of the reference, the method is **flatter** where the simultaneous band of
:mod:`analysis.compare.band` lies below zero, the reference where it lies above, and where it holds zero nothing is
decided. Between radii the mean and both edges of the band are taken as straight: the band then holds the straight lines
through the true values, at all radii at once.

**The crossover** is where the mean difference changes sign. Its interval is the stretch around it in which the band
holds zero: from 0, if nothing is decided nearer by, to inf, if nothing is farther out. Where one side is decided before
it and the other after, the true curve does cross in there (``certain``, with the band's probability). The first certain
crossing is taken; where none is, the first, and where the mean doesn't change sign, none: which doesn't say that the
true curve doesn't.

Easy to get wrong: at r = 0 every difference is 0, and near it both mean and band are small; that is no crossing.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Literal

import numpy as np
from jaxtyping import Float

from tables.interval import FEWEST

from .band import Band, band

Side = Literal["method", "reference", ""]


@dataclass(frozen=True)
class Range:
    """Radii from ``low`` to ``high``, and who is flatter there: "method", "reference", or "" where undecided."""

    low: float
    high: float
    flatter: Side


@dataclass(frozen=True)
class Crossover:
    """Where the mean difference changes sign, the interval of that, and whether the sign is decided on both sides."""

    radius: float
    low: float
    high: float
    certain: bool


@dataclass(frozen=True)
class Verdict:
    """Who is flatter where. ``ranges`` join without gap from the first radius to the last."""

    band: Band
    ranges: tuple[Range, ...]
    crossover: Crossover | None

    @property
    def sides(self) -> tuple[Side, ...]:
        """Who is flatter somewhere, from near to far."""
        return tuple(each.flatter for each in self.ranges if each.flatter)

    def sentence(self, method: str, reference: str) -> str:
        """The verdict about the method in words: "tet sharper from 0.1 to 0.5, undecided to 0.7, flatter to 1"."""
        words = {"method": "flatter", "reference": "sharper", "": "undecided"}
        (first, *others) = self.ranges
        if self.band.pairs < FEWEST:
            return f"{method} against {reference}: {self.band.pairs} seeds are too few to say"
        if not self.sides:
            return f"{method} and {reference}: undecided from {first.low:.3g} to {self.ranges[-1].high:.3g}"
        said = [f"{words[first.flatter]} from {first.low:.3g} to {first.high:.3g}"]
        said += [f"{words[each.flatter]} to {each.high:.3g}" for each in others]
        return f"{method} against {reference}: {', '.join(said)}"


def verdict(
    radii: Float[np.ndarray, " radius"],
    reference: Float[np.ndarray, "pair radius"],
    method: Float[np.ndarray, "_pair _radius"],
    *,
    least: Float[np.ndarray, " radius"] | float = 0.0,
    level: float = 0.95,
    draws: int = 20_000,
    seed: int = 0,
) -> Verdict:
    """Who is flatter where, of curves whose rows are pairs: undecided everywhere for too few of them.

    Arguments and errors are those of :func:`band`.
    """
    if reference.shape != method.shape:
        raise ValueError(f"curves must come in pairs at the same radii, got {reference.shape} and {method.shape}")
    with np.errstate(invalid="ignore"):  # infinite curves, which the band refuses
        differences = method - reference
    found = band(radii, differences, least=least, level=level, draws=draws, seed=seed)
    ranges = decided(found) if found.pairs >= FEWEST else (Range(float(radii[0]), float(radii[-1]), ""),)
    return Verdict(found, ranges, _crossover(found, ranges))


def decided(found: Band) -> tuple[Range, ...]:
    """The stretches between the first and the last radius in which the band is on one side of zero, or holds it."""
    edges = (found.low, found.high)
    ends = sorted({*found.radii.tolist(), *(zero for edge in edges for zero in zeros(found.radii, edge))})
    parts: list[Range] = []
    for low, high in pairwise(ends):
        lower, upper = (float(np.interp((low + high) / 2, found.radii, edge)) for edge in edges)
        parts.append(Range(low, high, "reference" if lower > 0 else "method" if upper < 0 else ""))
    return tuple(_joined(parts))


def _joined(parts: list[Range]) -> Iterator[Range]:
    for flatter, same in groupby(parts, key=lambda part: part.flatter):
        members = list(same)
        yield Range(members[0].low, members[-1].high, flatter)


def zeros(radii: Float[np.ndarray, " radius"], values: Float[np.ndarray, " radius"]) -> list[float]:
    """Where the straight lines through the points change sign; of a stretch of zeros the middle."""
    found = []
    for one, other in pairwise(np.flatnonzero(values)):
        if values[one] * values[other] < 0:
            between = radii[one + 1 : other]
            share = values[one] / (values[one] - values[other])
            found.append(float(between.mean() if len(between) else radii[one] + share * (radii[other] - radii[one])))
    return found


def _crossover(found: Band, ranges: tuple[Range, ...]) -> Crossover | None:
    crossings = [_placed(radius, ranges) for radius in zeros(found.radii, found.mean)]
    return next((each for each in crossings if each.certain), crossings[0] if crossings else None)


def _placed(radius: float, ranges: tuple[Range, ...]) -> Crossover:
    """A crossing with the undecided stretch that it lies in. A band without width has none."""
    for place, each in enumerate(ranges):
        if not each.flatter and each.low <= radius <= each.high:
            before, after = ranges[:place], ranges[place + 1 :]
            certain = bool(before and after) and before[-1].flatter != after[0].flatter
            return Crossover(radius, each.low if before else 0.0, each.high if after else float("inf"), certain)
    return Crossover(radius, radius, radius, certain=True)


def unsupported(plain: Verdict, scaled: Verdict) -> tuple[Range, ...]:
    """The stretches in which ``plain`` decides for a side and ``scaled``, at the same radii, not for the same one.

    ``flatter`` is what plain says there: what may be the scale of the logits and not flatness.
    """
    ends = sorted({end for found in (plain, scaled) for each in found.ranges for end in (each.low, each.high)})
    parts = []
    for low, high in pairwise(ends):
        said, held = (_at((low + high) / 2, found.ranges) for found in (plain, scaled))
        parts.append(Range(low, high, said if said != held else ""))
    return tuple(each for each in _joined(parts) if each.flatter)


def _at(radius: float, ranges: tuple[Range, ...]) -> Side:
    return next((each.flatter for each in ranges if each.low <= radius <= each.high), "")
