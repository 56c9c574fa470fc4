"""Measure by control, in words, for reading at a terminal."""

import pandas as pd

from .answers import FAILED, PASSED, UNDECIDED

_FACTOR = "factor"


def wide(frame: pd.DataFrame) -> pd.DataFrame:
    """A row for each measure, a column for each control: what it says at all its levels together."""
    keys = ["network", "data", "method", "title"]
    cells = frame.groupby([*keys, "control"], sort=False).apply(word, include_groups=False)
    return cells.unstack("control").reindex(columns=frame["control"].unique()).fillna("").reset_index()


def word(rows: pd.DataFrame) -> str:
    """The verdict on a measure: failed where it failed at any level, passed where it passed at some and failed at none.

    With how many levels said so, where not all did; and the factor by which it moved, where it should not have.
    """
    counts = rows["verdict"].value_counts()
    found = next((name for name in (FAILED, PASSED) if counts.get(name, 0)), UNDECIDED)
    said = f" {counts[found]}/{len(rows)}" if counts[found] < len(rows) else ""
    moved = rows.loc[(rows["unit"] == _FACTOR) & (rows["verdict"] == FAILED), "value"].dropna()
    return found + said + (f" (×{', ×'.join(f'{value:.3g}' for value in moved)})" if len(moved) else "")


def table(frame: pd.DataFrame) -> str:
    """The wide view of each network, data set and method."""
    parts = []
    for key, rows in wide(frame).groupby(["network", "data", "method"], sort=False):
        network, data, method = map(str, key)
        body = rows.drop(columns=["network", "data", "method"]).to_string(index=False)
        parts += [f"{network} on {data}, {method}", body]
    return "\n".join(parts)
