"""Test images shifted as in CIFAR-10-C (rows of table robustness), in two numbers: mean accuracy and mean loss.

Each shift counts alike, and of each every severity, the images as they are not among them; the mean corruption error of
Hendrycks and Dietterich (2019) without its division by another network's. Which shifts and severities are part of the
measure's id: means over others are other measures.
"""

from collections.abc import Iterator

import pandas as pd

from tables.measures import MEASURES, SHIFTS, Measure
from tables.schema import IDENTITY

from .rows import whole_mean


def shifted(table: pd.DataFrame) -> Iterator[tuple[pd.DataFrame, Measure, str]]:
    """Rows with a value per checkpoint (and landscape loss), the measure, and the column of its values."""
    chosen = table[table["perturbation"].isin(SHIFTS) & (table["strength"] > 0) & (table["split"] == "test")]
    if chosen.empty:
        return
    keys = [*IDENTITY, "loss"]
    parts = [dict(zip(keys, key, strict=True)) | _means(rows) for key, rows in chosen.groupby(keys, sort=False)]
    for (names, severities), means in pd.DataFrame(parts).groupby(["names", "severities"], sort=False):
        words = ("all" if names == "+".join(SHIFTS) else str(names), str(severities))
        titled = "six shifts" if words[0] == "all" else str(names).replace("_", " ").replace("+", ", ")
        once = means.drop_duplicates(list(IDENTITY)).drop(columns="loss")  # the same with all losses
        yield once, MEASURES["shifted_accuracy"].said(words, (titled, words[1])), "accuracy"
        yield means, MEASURES["shifted_loss"].said(words, (titled, words[1])), "value"


def _means(rows: pd.DataFrame) -> dict[str, object]:
    """Means over shifts of the means over severities; which they are."""
    means = rows.groupby("perturbation")[["accuracy", "value"]].agg(whole_mean).agg(whole_mean)
    names = [name for name in SHIFTS if name in set(rows["perturbation"])]
    severities = "+".join(f"{one:g}" for one in sorted(rows["strength"].unique()))
    return {"names": "+".join(names), "severities": severities, "images": rows["images"].max(), **means}
