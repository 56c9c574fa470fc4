"""Flatness forced: SAM at growing ρ, the same seeds at each. Does the measure fall with ρ, and the gap with it?

Kendall's τ-b over the radii within each seed, and its mean over seeds: of the measure with ρ, which has to fall, and of
the measure with the gap, which follows if flatness has anything to do with it. The interval is the jackknife's over
seeds as wholes (:func:`analysis.generalization.jackknife.interval`). Where all seeds say exactly the same it has no
width and is none; p decides there. That is how often the mean is as far from zero when each seed's values are dealt
anew among its radii: exact by convolution of each seed's distribution over all orders, up to seven radii.
"""

from collections import Counter
from functools import lru_cache
from itertools import permutations

import numpy as np
import pandas as pd
from jaxtyping import Float

from tables.controls import FAILED, PASSED, UNDECIDED

from ..generalization.jackknife import interval
from .answers import Answer, Measured, side

_LARGEST = 7
_ROUND = 9


def tau(x: Float[np.ndarray, " radius"], y: Float[np.ndarray, " radius"]) -> float:
    """Kendall's τ-b; NaN where one of both doesn't vary."""
    one, other = (np.sign(values[:, None] - values[None, :]) for values in (x, y))
    length = np.sqrt((one**2).sum() * (other**2).sum())
    return float((one * other).sum() / length) if length else float("nan")


def falls(measure: Measured, radii: dict[float, str]) -> Answer:
    """Whether ``measure`` falls as ρ grows."""
    table = pd.DataFrame({rho: measure.of(label) for rho, label in radii.items()}).dropna()
    rho = np.array(list(radii), dtype=float)
    return _answer([(rho, row) for row in table.to_numpy(float)], right=-1)


def followed(measure: Measured, gap: Measured, radii: dict[float, str]) -> Answer:
    """Whether the gap falls where ``measure`` does, over the radii."""
    tables = [pd.DataFrame({rho: one.of(label) for rho, label in radii.items()}).dropna() for one in (gap, measure)]
    seeds = tables[0].index.intersection(tables[1].index)
    both = zip(*(one.loc[seeds].to_numpy(float) for one in tables), strict=True)
    return _answer(list(both), right=1)


def _answer(rows: list[tuple[np.ndarray, np.ndarray]], *, right: int) -> Answer:
    """Of each seed's two rows: ``right`` is the sign of τ that passes."""
    known = [(x, y, value) for x, y in rows if np.isfinite(value := tau(x, y))]
    found = np.array([value for _, _, value in known])
    if not len(found):
        return Answer(UNDECIDED, unit="τ", why="not measured at all radii of any seed")
    mean, count = float(found.mean()), len(found)
    left = [(found.sum() - value) / (count - 1) for value in found] if count > 1 else []
    low, high = interval(np.array([mean, *left]))
    p = chance([x for x, _, _ in known], [y for _, y, _ in known])
    sign = side(low, high, count)
    why = ""
    if count > 1 and np.ptp(found) < 1e-9 and np.isfinite(p):
        sign = int(np.sign(mean)) * int(p < 0.05)
        why = "all seeds say the same: decided by p"
    verdict = {0: UNDECIDED, right: PASSED, -right: FAILED}[sign]
    return Answer(verdict, mean, "τ", low, high, count, p, why)


def chance(fixed: list[np.ndarray], dealt: list[np.ndarray]) -> float:
    """How often the mean τ of seeds is as far from zero as seen, each seed's values dealt anew; NaN of too many radii.

    Exact: the distribution of a sum of independent τ.
    """
    if any(len(row) > _LARGEST for row in fixed):
        return float("nan")
    seen, whole = 0.0, {0.0: 1.0}
    for x, y in zip(fixed, dealt, strict=True):
        seen += tau(x, y)
        own = _orders(_ranks(x), _ranks(y))
        more: dict[float, float] = {}
        for total, weight in whole.items():
            for value, share in own.items():
                place = round(total + value, _ROUND)
                more[place] = more.get(place, 0.0) + weight * share
        whole = more
    return float(min(1.0, sum(share for total, share in whole.items() if abs(total) >= abs(seen) - 1e-6)))


def _ranks(values: Float[np.ndarray, " radius"]) -> tuple[int, ...]:
    return tuple(np.unique(values, return_inverse=True)[1].tolist())


@lru_cache(maxsize=256)
def _orders(x: tuple[int, ...], y: tuple[int, ...]) -> dict[float, float]:
    """How τ is distributed over all orders of ``y``."""
    values = np.array(x, dtype=float)
    found = Counter(round(tau(values, np.array(order, dtype=float)), _ROUND) for order in permutations(y))
    total = sum(found.values())
    return {value: count / total for value, count in found.items()}
