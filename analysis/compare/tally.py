"""Table counts: how many rows name a side, with the chance of so many, for each method against the reference.

One row for each network, data, T, method and side ("flatness", "robustness"): rows (with an interval),
reference_rows and method_rows (that name the one or the other), p_reference and p_method (the chance of so many where
no row differs, all rows at once), percentile, independent, how (:mod:`analysis.compare.counts`), and headline, the
measure that was chosen to speak first, where the comparison has it.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from tables.interval import FEWEST, pairs

from .counts import HEADLINES, Count, paired_count, unpaired_count

SIDES = {"flatness": "flatter", "robustness": "more_robust"}


def tallies(values: pd.DataFrame, comparison: list[dict[str, Any]], reference: str) -> Iterator[dict[str, Any]]:
    """The rows of table counts for one network, data and T, from its values and its rows of the comparison."""
    rows = pd.DataFrame(comparison)
    for (method, side), about in rows[rows["side"].isin(list(SIDES))].groupby(["method", "side"], sort=False):
        own = values[values["side"] == side]
        groups = [_wide(own[own["group"] == name], about) for name in (reference, str(method))]
        called = about[SIDES[str(side)]].map({str(method): -1, reference: 1}).fillna(0).to_numpy(int)
        count = _count(groups, np.where(about["better"] == "higher", -1.0, 1.0)[:, None], called)
        if count is None:
            continue
        headline = HEADLINES[str(side)]
        spoken = about.loc[about["measure"] == headline, "loss"]
        yield {
            "reference": reference,
            "method": method,
            "side": side,
            "rows": count.rows,
            "reference_rows": count.above,
            "method_rows": count.below,
            "p_reference": count.p_above,
            "p_method": count.p_below,
            "percentile": count.percentile,
            "independent": count.independent,
            "how": count.how,
            "headline": headline if len(spoken) else "",
            "loss": next(iter(spoken), ""),  # the first: of the mean output where there is time
        }


def _wide(values: pd.DataFrame, about: pd.DataFrame) -> pd.DataFrame:
    """A row for each row of the comparison, a column for each seed."""
    wide = values.pivot(index=["measure", "loss"], columns="seed", values="value")
    return wide.reindex(pd.MultiIndex.from_frame(about[["measure", "loss"]]))


def _count(groups: list[pd.DataFrame], turn: np.ndarray, called: np.ndarray) -> Count | None:
    """The count with lower values named; None where no row has seeds enough.

    Where seeds pair, a row that has too few pairs is left out, though Welch's interval may call it: it would be drawn
    otherwise than the rest.
    """
    reference, method = groups
    common = pairs(reference.columns, method.columns)
    with np.errstate(invalid="ignore"):
        if len(common):
            values = [turn * (method[common] - reference[common]).to_numpy(float)]
        else:
            values = [turn * reference.to_numpy(float), turn * method.to_numpy(float)]
    enough = np.all([(np.isfinite(one).sum(1) >= FEWEST) & ~np.isinf(one).any(1) for one in values], axis=0)
    if not enough.any():
        return None
    count = paired_count if len(common) else unpaired_count
    return count(*(one[enough] for one in values), called=called[enough])
