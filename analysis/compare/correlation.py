"""Does a measure of flatness order the subjects as their generalization gap does, or what they survive?

Kendall's rank correlation τ-b of measure and gap (Jiang, Neyshabur, Mobahi, Krishnan, Bengio 2020; Dziugaite et al.
2020). The gap in loss is that of the mean output that inference uses, on test minus training images; that in accuracy
is training minus test. "Accuracy lost to …" stands for a gap too: with τ > 0 the flatter minimum survives more. (An
average rise under weight noise and the accuracy lost to it are nearly one thing, on other images.)

Among *all* subjects τ also sees the difference between methods; among those of one method (its name) it doesn't, and
*within* takes the pairs of every method together: a pair counts when both were trained with one. A correlation among
all that is gone within says that the method moves both.

Subjects of one seed share initial weights and batches and are much alike, so that seeds, not subjects, are left out
and dealt: two methods of five seeds are five things seen twice. The 95 % interval
(:mod:`analysis.compare.rank_interval`) is over seeds, for these methods. ``p`` is how often τ is as far from 0 when the
gaps' seeds are dealt anew, all methods of a seed together (:mod:`analysis.compare.exchange`): of all deals, or of so
many drawn. Five seeds have 120 deals, so that p is 1/120 at the least; three have 6, and nothing can be found.

*All* asks whether measure and gap are unrelated over methods, too, if there are three or more: gaps are then dealt
among methods as well as seeds. With one or two only seeds are dealt: the difference of two methods, which any two
numbers would order one way or the other, is no evidence.

Simulated size of p ≤ 0.05 (normal values; seed effects with 0 or 90 % of the variance): five seeds of two methods 2 %
within and 3 to 4 % all, with means equal or up to three standard deviations apart in both; three to eight methods 4 to
5.5 % with means of any size drawn independently. (Subjects dealt one by one: 13 %.) What is left: if three or more
methods differ in *spread* by five times, in measure and gap alike, all rejects 7 to 9 %.
"""

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int, Shaped

from .agreement import FEW, agreement, agreements, signs, untied
from .difference import holm
from .exchange import Exchanges, exchanges
from .rank_interval import tau_interval

METHOD = "group"
SURVIVED = "accuracy_lost["
ALL, WITHIN = "all", "within"
_BLOCK = 10**6


@dataclass(frozen=True)
class RankCorrelation:
    """Kendall's τ-b of ``n`` subjects, with the 95 % interval over seeds and the p of unrelatedness.

    ``interval`` is empty, or "degenerate" where there is none and ``low`` and ``high`` are NaN: so is τ, or no pair of
    subjects has two seeds.
    """

    tau: float
    low: float
    high: float
    interval: str
    p: float
    n: int
    seeds: int


def correlations(values: pd.DataFrame, *, resamples: int, seed: int) -> list[dict[str, Any]]:
    """Rows of measure, title, loss, gap, among, and what :class:`RankCorrelation` has, for one network on one data set.

    ``p_adjusted`` is Holm's, over the measures that are set against the same gap among the same subjects. Raises
    ValueError for a method whose name says something else in column among.
    """
    for name in {ALL, WITHIN} & set(values[METHOD]):
        raise ValueError(f"a method can't be called {name}: that stands for the subjects of every method")
    rows = pd.DataFrame(_rows(values, resamples, seed))
    if rows.empty:
        return []
    rows["p_adjusted"] = rows.groupby(["gap", "among"])["p"].transform(lambda p: holm(p.to_numpy()))
    return [{str(name): value for name, value in row.items()} for row in rows.to_dict("records")]


def _rows(values: pd.DataFrame, resamples: int, seed: int) -> Iterator[dict[str, Any]]:
    subjects = values.drop_duplicates("checkpoint").set_index("checkpoint")
    labels = subjects[METHOD].to_numpy(dtype=str), subjects["seed"].to_numpy()
    survived = [name for name in values["measure"].unique() if name.startswith(SURVIVED)]
    in_loss = next(iter(values.loc[values["measure"] == "gap_in_loss", "loss"]), "")  # the first that there is
    of_gap = {"loss": ("gap_in_loss", in_loss), "accuracy": ("gap_in_accuracy", "")}
    of_gap |= {name: (name, "") for name in survived}
    numbers = {
        key: group.set_index("checkpoint")["value"].reindex(subjects.index).to_numpy(dtype=float)
        for key, group in values.groupby(["measure", "loss"], sort=False)
    }
    chosen = values["side"].isin(["flatness", "complexity"])
    set_against = values.loc[chosen, ["measure", "loss", "title"]].drop_duplicates(["measure", "loss"])
    for (*key, title), (name, gap) in product(set_against.itertuples(index=False, name=None), of_gap.items()):
        if gap in numbers:
            x, y = numbers[tuple(key)], numbers[gap]
            for among, some in _choices(labels[0], ~np.isnan(x) & ~np.isnan(y)):
                parts = (side[some] for side in (x, y, *labels))
                found = rank_correlation(*parts, within=among == WITHIN, resamples=resamples, seed=seed)
                yield {"measure": key[0], "title": title, "loss": key[1], "gap": name, "among": among} | asdict(found)


def _choices(
    methods: Shaped[np.ndarray, " n"], known: Bool[np.ndarray, " n"]
) -> Iterator[tuple[str, Bool[np.ndarray, " n"]]]:
    """Among which subjects τ is asked for, three of them at least; with one method *all* is all there is to ask."""
    names, counts = np.unique(methods[known], return_counts=True)
    if counts.sum() >= 3:
        yield ALL, known
    if len(names) > 1:
        if counts.sum() >= 3 and counts.max() > 1:
            yield WITHIN, known
        yield from ((str(name), known & (methods == name)) for name in names[counts >= 3])


def rank_correlation(
    x: Float[np.ndarray, " n"],
    y: Float[np.ndarray, " n"],
    methods: Shaped[np.ndarray, " n"],
    seeds: Shaped[np.ndarray, " n"],
    *,
    within: bool,
    resamples: int,
    seed: int,
) -> RankCorrelation:
    """τ-b over all pairs of subjects, or only those ``within`` a method, its interval and p.

    p is over all deals of seeds (and, unless ``within``, of three methods or more), or over ``resamples`` of them where
    there are more. Raises ValueError where two subjects have method and seed in common.
    """
    labels = tuple(methods.tolist()), tuple(seeds.tolist())
    of_method, of_seed = (_coded(names) for names in labels)
    groups = of_method if within else np.zeros_like(of_method)
    tau, left_out = kendall(x, y, groups, of_seed)
    low, high = tau_interval(tau, left_out, *labels, within=within)
    of_methods = not within and len(set(labels[0])) > 2
    deals = _exchanges(*labels, of_methods=of_methods, most=resamples, seed=seed)
    p = deals.p(_farther(x, y, groups, deals)) if np.isfinite(tau) else np.nan
    interval = "" if np.isfinite(low) else "degenerate"
    return RankCorrelation(tau, low, high, interval, p, len(x), len(left_out))


@lru_cache(maxsize=64)
def _exchanges(
    methods: tuple[Any, ...], seeds: tuple[Any, ...], *, of_methods: bool, most: int, seed: int
) -> Exchanges:
    return exchanges(methods, seeds, of_methods=of_methods, most=most, seed=seed)


def _coded(names: Sequence[Hashable]) -> Int[np.ndarray, " n"]:
    """Names as numbers, in the order in which they come."""
    codes = {name: code for code, name in enumerate(dict.fromkeys(names))}
    return np.array([codes[name] for name in names])


def _farther(
    x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"], groups: Int[np.ndarray, " n"], deals: Exchanges
) -> int:
    """How many deals of ``y`` agree or disagree with ``x`` at least as much as ``y`` does, within groups.

    τ's denominator is the same for all, so that its numerator will do.
    """
    (found,) = abs(agreements(x, y[None], groups))
    size = max(1, _BLOCK // (len(x) * min(len(x), FEW)))
    starts = range(0, len(deals.order), size)
    dealt = (agreements(x, y[deals.order[start : start + size]], groups) for start in starts)
    return sum(int((np.abs(some) >= found).sum()) for some in dealt)


def kendall(
    x: Float[np.ndarray, " n"],
    y: Float[np.ndarray, " n"],
    groups: Int[np.ndarray, " n"],
    parts: Int[np.ndarray, " n"],
) -> tuple[float, Float[np.ndarray, " part"]]:
    """Kendall's τ-b over the pairs within ``groups``, and that without each of ``parts`` (0, 1, …).

    NaN where one side has no two different values. Equal values are tied, two infinite ones of one sign too.
    """
    sums = (_over_pairs if len(x) <= FEW else _by_sorting)(x, y, groups, parts)
    with np.errstate(invalid="ignore"):
        taus = sums[0] / np.sqrt(sums[1] * sums[2])
    return float(taus[0]), taus[1:]


def _over_pairs(x: np.ndarray, y: np.ndarray, groups: np.ndarray, parts: np.ndarray) -> list[Float[np.ndarray, " one"]]:
    """Of pairs within groups, whole and without each part: how many more agree than don't, and are untied on a side."""
    ours, theirs = signs(x), signs(y)
    same, kept = groups[:, None] == groups, (parts != np.arange(-1, parts.max() + 1)[:, None]).astype(float)
    return [((kept @ (of * same)) * kept).sum(-1) for of in (ours * theirs, ours**2, theirs**2)]


def _by_sorting(x: np.ndarray, y: np.ndarray, groups: np.ndarray, parts: np.ndarray) -> list[Float[np.ndarray, " one"]]:
    """The same; a part's own pairs go twice as it is taken away from both sides, and come back once."""
    both = np.unique(groups * (parts.max() + 1) + parts, return_inverse=True)[1]
    sums = []
    for of in (lambda pairs: agreement(x, y, pairs), lambda pairs: untied(x, pairs), lambda pairs: untied(y, pairs)):
        each = of(groups).astype(float)
        without = each.sum() - 2 * np.bincount(parts, each) + np.bincount(parts, of(both))
        sums.append(np.append(each.sum(), without))
    return sums
