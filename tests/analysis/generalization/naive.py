"""The statistics written out as their papers have them: loops over networks, no vectors."""

from collections import Counter
from collections.abc import Sequence
from itertools import combinations, permutations
from math import exp, log
from statistics import mean

import numpy as np

from analysis.generalization.sweep import Sweep


def sign(number: float) -> int:
    return (number > 0) - (number < 0)


def networks(sweep: Sweep, measure: Sequence[float]) -> list[dict]:
    gap = sweep.gaps["loss"]
    levels = sweep.levels.to_dict("records")
    return [
        {"levels": one, "seed": int(seed), "measure": float(m), "gap": float(g)}
        for one, seed, m, g in zip(levels, sweep.seeds, measure, gap, strict=True)
    ]


def tau(points: Sequence[dict]) -> float:
    """Jiang et al.'s: the mean over ordered pairs."""
    pairs = list(permutations(points, 2))
    return sum(sign(a["measure"] - b["measure"]) * sign(a["gap"] - b["gap"]) for a, b in pairs) / len(pairs)


def psi(sweep: Sweep, measure: Sequence[float], factor: str) -> float:
    """The mean over settings of the other factors (and seeds) of the τ of the networks that differ in one factor."""
    found: dict[tuple, list[dict]] = {}
    for one in networks(sweep, measure):
        context = tuple(word for name, word in one["levels"].items() if name != factor)
        found.setdefault((*context, one["seed"]), []).append(one)
    return mean(tau(points) for points in found.values() if len(points) > 1)


def entropy(counts: Counter) -> float:
    total = sum(counts.values())
    return -sum(count / total * log(count / total) for count in counts.values())


def information(sweep: Sweep, measure: Sequence[float], given: Sequence[str]) -> float:
    """I(V_μ; V_g | U_S) / H(V_g | U_S) over ordered pairs."""
    cells: dict[tuple, list[tuple[int, int]]] = {}
    for a, b in permutations(networks(sweep, measure), 2):
        if a["gap"] != b["gap"]:
            where = tuple((a["levels"][name], b["levels"][name]) for name in given)
            ordered = (sign(a["measure"] - b["measure"]), sign(a["gap"] - b["gap"]))
            cells.setdefault(where, []).append(ordered)
    total = sum(map(len, cells.values()))
    mutual = conditional = 0.0
    for signs in cells.values():
        both, ours, theirs = Counter(signs), Counter(s for s, _ in signs), Counter(s for _, s in signs)
        n: int = len(signs)
        for (s, t), count in both.items():
            mutual += n / total * count / n * log((count / n) / (ours[s] / n * theirs[t] / n))
        conditional += n / total * entropy(theirs)
    return mutual / conditional if conditional else float("nan")


def k(sweep: Sweep, measure: Sequence[float]) -> float:
    names = list(sweep.levels)
    sets = [given for size in range(3) for given in combinations(names, size)]
    return float(np.nanmin([information(sweep, measure, given) for given in sets]))


def hoeffding(one: float, other: float, images: int) -> float:
    """Dziugaite et al.'s weight, before ½ is taken off."""
    return max(0.0, 1 - 2 * exp(-2 * images * (abs(one - other) / 2) ** 2)) ** 2


def sign_errors(sweep: Sweep, measure: Sequence[float], weight=lambda a, b: 1.0) -> dict[frozenset, float]:
    """Of every two settings that differ in one factor: the weighted mean of ½ (1 − sign · sign)."""
    found: dict[frozenset, list[tuple[float, float]]] = {}
    for a, b in combinations(networks(sweep, measure), 2):
        if sum(a["levels"][name] != b["levels"][name] for name in sweep.levels) == 1 and a["gap"] != b["gap"]:
            error = (1 - sign(a["measure"] - b["measure"]) * sign(a["gap"] - b["gap"])) / 2
            key = frozenset({tuple(a["levels"].values()), tuple(b["levels"].values())})
            found.setdefault(key, []).append((weight(a, b), error))
    return {
        key: sum(w * e for w, e in some) / sum(w for w, _ in some)
        for key, some in found.items()
        if sum(w for w, _ in some) > 0
    }
