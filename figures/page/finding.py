"""What a row of the comparison says, in a cell: its interval and its finding."""

import numpy as np
import pandas as pd

from tables.interval import bounds

from ..style.methods import label
from ..words.gaps import of_row
from ..words.prose import number


def interval(row: pd.Series) -> str:
    """Its interval, or "none"."""
    low, high = bounds(row)
    return "none" if np.isnan(low) else f"{number(low)}\u00a0…\u00a0{number(high)}"


def finding(row: pd.Series) -> str:
    """Which is flatter or more robust or where it is lower, by the interval; or that it can't be told."""
    verdict = of_row(row).verdict
    if verdict in ("few", "lost"):
        return {"few": "too few seeds", "lost": "not measured"}[verdict]
    if verdict == "undecided":
        return "can't be told apart"
    if row["flatter"]:
        return f"{label(row['flatter'])} flatter"
    return (
        f"{label(row['more_robust'])} more robust" if row["more_robust"] else f"{verdict} with {label(row['method'])}"
    )
