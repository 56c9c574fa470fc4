"""Table controls in words: measure by control, what all levels of a control say together."""

import pandas as pd

PASSED, FAILED, UNDECIDED = "passed", "failed", "undecided"
_FACTOR = "factor"
_PLACE = ["network", "data", "method", "title"]


def wide(frame: pd.DataFrame) -> pd.DataFrame:
    """A row for each measure of a network, data set and method, a column for each control; "" where not put to it."""
    controls = list(dict.fromkeys(map(str, frame["control"])))
    found = []
    for key, rows in frame.groupby(_PLACE, sort=False):
        by_control = {str(name): word(own) for name, own in rows.groupby("control", sort=False)}
        found.append(dict(zip(_PLACE, key, strict=True)) | {name: by_control.get(name, "") for name in controls})
    return pd.DataFrame(found, columns=[*_PLACE, *controls])


def word(rows: pd.DataFrame) -> str:
    """The verdict on a measure: failed where it failed at any level, passed where it passed at some and failed at none.

    With how many levels said so, where not all did; and the factors by which it moved, where it should not have.
    """
    counts = rows["verdict"].value_counts()
    found = next((name for name in (FAILED, PASSED) if counts.get(name, 0)), UNDECIDED)
    said = f" {counts[found]}/{len(rows)}" if counts[found] < len(rows) else ""
    moved = rows.loc[(rows["unit"] == _FACTOR) & (rows["verdict"] == FAILED), "value"].dropna()
    return found + said + (f" (×{', ×'.join(f'{value:.3g}' for value in moved)})" if len(moved) else "")
