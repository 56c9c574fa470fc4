"""Does a measure of flatness order the checkpoints as their generalization gap does?

Kendall's rank correlation τ-b of measure and gap (Jiang, Neyshabur, Mobahi, Krishnan, Bengio 2020; Dziugaite et al.
2020), among all checkpoints and among those of each training loss, with a 95 % percentile bootstrap over checkpoints.
The gap in loss is L_SDT, the loss of the mean output that inference uses, on test minus training images; that in
accuracy is training minus test. With a handful of checkpoints the interval is wide, and that is the finding.
"""

from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from .measures import IDENTITY

_GAPS = {
    "loss": ("generalization gap in loss (test - train)", "sdt"),
    "accuracy": ("generalization gap in accuracy (train - test)", ""),
}


def correlations(values: pd.DataFrame, *, resamples: int, seed: int) -> list[dict[str, Any]]:
    """Rows of measure, loss, gap, among, tau, low, high, n for the measures of one network on one data set."""
    rows = []
    gaps = {name: _one(values, *key) for name, key in _GAPS.items()}
    for (measure, loss), group in values[values["flatness"]].groupby(["measure", "loss"], sort=False):
        for name, gap in gaps.items():
            both = pd.concat([group.set_index(IDENTITY)["value"].rename("measure"), gap], axis=1).dropna()
            for among in ("all", "sdt", "tet"):
                chosen = both if among == "all" else both[both.index.get_level_values("training") == among]
                if len(chosen) >= 3:
                    head = {"measure": measure, "loss": loss, "gap": name, "among": among}
                    rows.append(head | _rank_correlation(chosen["measure"], chosen["gap"], resamples, seed))
    return rows


def _one(values: pd.DataFrame, measure: str, loss: str) -> pd.Series:
    chosen = values[(values["measure"] == measure) & (values["loss"] == loss)]
    return chosen.set_index(IDENTITY)["value"].rename("gap")


def _rank_correlation(measure: pd.Series, gap: pd.Series, resamples: int, seed: int) -> dict[str, Any]:
    x, y = measure.to_numpy(dtype=float), gap.to_numpy(dtype=float)
    draws = np.random.default_rng(seed).integers(len(x), size=(resamples, len(x)))
    taus = kendall(x[draws], y[draws])
    taus = taus[np.isfinite(taus)]
    low, high = np.quantile(taus, [0.025, 0.975]) if len(taus) else (np.nan, np.nan)
    return {"tau": float(kendall(x, y)), "low": low, "high": high, "n": len(x)}


def kendall(x: Float[np.ndarray, "*sample n"], y: Float[np.ndarray, "*sample n"]) -> Float[np.ndarray, "*sample"]:
    """Kendall's τ-b along the last axis; NaN where one side has no two different values."""
    with np.errstate(invalid="ignore"):  # two infinite values are neither above nor below each other
        pairs = [np.sign(side[..., :, None] - side[..., None, :]) for side in (x, y)]
    agreement, *sizes = ((a * b).sum((-2, -1)) for a, b in ((pairs[0], pairs[1]), (pairs[0],) * 2, (pairs[1],) * 2))
    with np.errstate(invalid="ignore"):
        return np.asarray(agreement / np.sqrt(sizes[0] * sizes[1]))
