"""Rows of table measures: one measure's value of each checkpoint, and how many images it is of."""

from typing import Any

import numpy as np
import pandas as pd

from tables.measures import Measure
from tables.schema import IDENTITY

KEYS = list(IDENTITY)


def rows(table: pd.DataFrame, measure: Measure, value: str, *, rescaling: str | None = None) -> pd.DataFrame:
    """Rows of one measure: the mean of column ``value`` per checkpoint and landscape loss, NaN where one of them is."""
    keys = [*KEYS, *(["loss"] if "loss" in table else [])]
    plan: dict[str, Any] = {"value": (value, whole_mean)}
    plan |= {"converged": ("converged", "all")} if "converged" in table else {}
    plan |= {"images": ("images", _said)} if "images" in table else {}
    found = table.groupby(keys, as_index=False, sort=False).agg(**plan)
    fixed = {"measure": measure.id, "title": measure.title, "unit": measure.unit, "side": measure.side}
    fixed |= {"better": measure.better, "rescaling": measure.invariance if rescaling is None else rescaling}
    return pd.DataFrame({"loss": "", "converged": True, "images": ""} | found.to_dict("series") | fixed)


def whole_mean(values: pd.Series) -> float:
    """The mean; NaN where one value is: a loss that can't be computed is no reason to take the others for all."""
    return float(values.mean(skipna=False))


def _said(images: pd.Series) -> str:
    """How many images, as a word: "200", or "50 to 200" where rows differ."""
    if not pd.api.types.is_numeric_dtype(images):
        return ", or ".join(dict.fromkeys(images))
    low, high = images.min(), images.max()
    if np.isnan(low):
        return ""
    return f"{low:.0f}" if low == high else f"{low:.0f} to {high:.0f}"
