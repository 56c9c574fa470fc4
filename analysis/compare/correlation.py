"""Does a measure of flatness order the checkpoints as their generalization gap does, or what they survive?

Kendall's rank correlation τ-b of measure and gap (Jiang, Neyshabur, Mobahi, Krishnan, Bengio 2020; Dziugaite et al.
2020). The gap in loss is L_SDT, the loss of the mean output that inference uses, on test minus training images; that in
accuracy is training minus test. "Accuracy lost to …" stands for a gap too: with τ > 0 the flatter minimum survives
more. (An average rise under weight noise and the accuracy lost to it are nearly one thing, on other images.)

Among *all* checkpoints τ also sees the difference between the training losses; among those of one loss (*sdt*, *tet*)
it doesn't, and *within* takes the pairs of both together: a pair counts when both were trained with one loss. A
correlation among all that is gone within says that the training loss moves both.

The interval is a 95 % percentile bootstrap over checkpoints (within: over those of each loss). With a handful of
checkpoints it is wide, and that is the finding; but if all of them are in order, so is every resample, and the interval
[1, 1] says nothing. ``p`` then still does: how often the gaps, dealt out anew (within: among those of one loss), are as
far from 0, (1 + such deals) / (1 + deals). Checkpoints count as independent, though those of one seed share their
initial weights.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from .difference import holm
from .measures import IDENTITY

_GAPS = {
    "loss": ("generalization gap in loss (test - train)", "sdt"),
    "accuracy": ("generalization gap in accuracy (train - test)", ""),
}
SURVIVED = "accuracy lost to "
_BLOCK = 10**6


def correlations(values: pd.DataFrame, *, resamples: int, seed: int) -> list[dict[str, Any]]:
    """Rows of measure, loss, gap, among, tau, low, high, p, p_adjusted, n for one network on one data set.

    ``p_adjusted`` is Holm's, over the measures that are set against the same gap among the same checkpoints.
    """
    rows = pd.DataFrame(_rows(values, resamples, seed))
    if rows.empty:
        return []
    rows["p_adjusted"] = rows.groupby(["gap", "among"])["p"].transform(lambda p: holm(p.to_numpy()))
    return [{str(name): value for name, value in row.items()} for row in rows.to_dict("records")]


def _rows(values: pd.DataFrame, resamples: int, seed: int) -> Iterator[dict[str, Any]]:
    survived = [name for name in values["measure"].unique() if name.startswith(SURVIVED)]
    gaps = {name: _one(values, *key) for name, key in (_GAPS | {name: (name, "") for name in survived}).items()}
    set_against = values[values["flatness"] | values["complexity"]]
    for (measure, loss), group in set_against.groupby(["measure", "loss"], sort=False):
        for name, gap in gaps.items():
            both = pd.concat([group.set_index(IDENTITY)["value"].rename("measure"), gap], axis=1).dropna()
            training = both.index.get_level_values("training")
            for among in ("all", "within", "sdt", "tet"):
                chosen = both if among in ("all", "within") else both[training == among]
                if len(chosen) >= 3:
                    strata = (training == "tet").astype(int) if among == "within" else np.zeros(len(chosen), int)
                    x, y = (chosen[side].to_numpy(dtype=float) for side in ("measure", "gap"))
                    found = rank_correlation(x, y, np.asarray(strata), resamples=resamples, seed=seed)
                    yield {"measure": measure, "loss": loss, "gap": name, "among": among} | found


def _one(values: pd.DataFrame, measure: str, loss: str) -> pd.Series:
    chosen = values[(values["measure"] == measure) & (values["loss"] == loss)]
    return chosen.set_index(IDENTITY)["value"].rename("gap")


def rank_correlation(
    x: Float[np.ndarray, "n"], y: Float[np.ndarray, "n"], strata: Int[np.ndarray, "n"], *, resamples: int, seed: int
) -> dict[str, Any]:
    """τ-b over the pairs within ``strata``, with its bootstrap interval, permutation p, and n."""
    generator = np.random.default_rng(seed)
    same = strata[:, None] == strata
    tau = float(kendall(x, y, same))
    members = [np.flatnonzero(strata == one) for one in np.unique(strata)]
    counts = np.zeros((resamples, len(x)))
    for places in members:
        counts[:, places] = generator.multinomial(len(places), np.full(len(places), 1 / len(places)), resamples)
    taus = kendall(x, y, same, counts)
    taus = taus[np.isfinite(taus)]
    low, high = np.quantile(taus, [0.025, 0.975]) if len(taus) else (np.nan, np.nan)
    far = _farther(x, y, same, members, generator, resamples)
    p = (1 + far) / (1 + resamples) if np.isfinite(tau) else np.nan
    return {"tau": tau, "low": low, "high": high, "p": p, "n": len(x)}


def _farther(
    x: Float[np.ndarray, "n"],
    y: Float[np.ndarray, "n"],
    same: Bool[np.ndarray, "n n"],
    members: list[Int[np.ndarray, "_member"]],
    generator: np.random.Generator,
    deals: int,
) -> int:
    """How many of so many deals of ``y`` within strata agree or disagree with ``x`` at least as much as ``y`` does.

    τ's denominator is the same for all, so that its numerator will do.
    """
    ours, theirs = _signs(x) * same, _signs(y)
    found, far = abs((ours * theirs).sum()), 0
    for block in range(0, deals, size := max(1, _BLOCK // len(x) ** 2)):
        order = np.tile(np.arange(len(x)), (min(size, deals - block), 1))
        for places in members:
            order[:, places] = generator.permuted(order[:, places], axis=1)
        dealt = theirs[order[:, :, None], order[:, None, :]]
        far += int((np.abs((ours * dealt).sum((1, 2))) >= found).sum())
    return far


def kendall(
    x: Float[np.ndarray, "n"],
    y: Float[np.ndarray, "n"],
    pairs: Bool[np.ndarray, "n n"] | bool = True,
    counts: Float[np.ndarray, "*sample n"] | None = None,
) -> Float[np.ndarray, "*sample"]:
    """Kendall's τ-b over ``pairs``; with ``counts``, of samples that hold each value so many times.

    NaN where one side has no two different values. Equal values are tied, two infinite ones of one sign too.
    """
    signs = [_signs(side) for side in (x, y)]
    weights = np.ones(len(x)) if counts is None else counts

    def total(of: Float[np.ndarray, "n n"]) -> Float[np.ndarray, "*sample"]:
        return np.asarray((weights @ (of * pairs) * weights).sum(-1))

    with np.errstate(invalid="ignore"):
        return np.asarray(total(signs[0] * signs[1]) / np.sqrt(total(signs[0] ** 2) * total(signs[1] ** 2)))


def _signs(values: Float[np.ndarray, "n"]) -> Float[np.ndarray, "n n"]:
    return (values[:, None] > values).astype(float) - (values[:, None] < values)
