"""The three measures with the largest |Ψ| against the gap, a point a network, a marker a method.

They are chosen by what is shown, so that their points look better than those of any three would; τ and Ψ of all
measures are in the forest.
"""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from tables.reading import TableError

from ..style.look import PAGE, SMALL, caption, legend
from ..style.methods import looks
from ..words.comparison import Tables, needed
from ..words.prose import listed, number
from ..words.units import loss_unit
from .correlation import GAPS, Points, handles_of, points_of
from .generalization import rows_of
from .picture import Picture

_PANELS = 3


def strongest(frame: pd.DataFrame) -> tuple[str, pd.DataFrame]:
    """The gap, in loss where there is one, and the rows of three measures. Raises TableError where there is none."""
    gap = "loss" if (frame["gap"] == "loss").any() else "accuracy"
    rows = rows_of(frame, gap)
    rows = rows[rows["control"] == ""]
    if rows.empty:
        raise TableError("no measure but references")
    return gap, rows.loc[rows["granulated"].abs().sort_values(ascending=False, kind="stable").index].head(_PANELS)


def scatter(figure: Figure, values: pd.DataFrame, frame: pd.DataFrame) -> Points:
    """Draw a panel per measure into ``figure``: the points by (measure, method)."""
    gap, rows = strongest(frame)
    if "timesteps" in values:
        values = values[values["timesteps"] == values["timesteps"].mode().iloc[0]]
    of_gap, label, scale = GAPS[gap]
    axes = figure.subplots(1, len(rows), sharey=True, squeeze=False)[0]
    points: Points = {}
    for ax, (_, row) in zip(axes, rows.iterrows(), strict=True):
        both = _both(values, row["measure"], row["loss"], of_gap)
        for method in looks(both["method"]):
            points[row["measure"], method] = points_of(ax, both[both["method"] == method], method, scale)
        ax.set_xlabel(str(row["title"]), fontsize=SMALL)
        ax.set_title(f"Ψ = {number(row['granulated'], 2)}, τ = {number(row['tau'], 2)}", fontsize=SMALL)
    if not points:
        raise TableError("no network has both the gap and a measure")
    losses = values.loc[values["measure"] == of_gap, "loss"]
    axes[0].set_ylabel(label.format(loss_unit(losses.head(1))))
    legend(figure, handles_of(points))
    caption(figure, "Points: networks. Chosen by |Ψ| among all measures.")
    return points


def _both(values: pd.DataFrame, measure: str, loss: str, of_gap: str) -> pd.DataFrame:
    """Networks with a finite measure and gap, in columns value and gap."""
    gaps = values[values["measure"] == of_gap]
    if of_gap == GAPS["loss"][0] and len(gaps):
        gaps = gaps[gaps["loss"] == gaps["loss"].iloc[0]]
    rows = values[(values["measure"] == measure) & (values["loss"] == loss)]
    known = gaps.drop_duplicates("checkpoint").set_index("checkpoint")["value"].to_dict()
    rows = rows.assign(gap=rows["checkpoint"].map(known).astype(float))  # of none, too
    return rows[np.isfinite(rows["value"]) & np.isfinite(rows["gap"])]


def reading(tables: Tables) -> str:
    """Which three they are, with their τ's interval."""
    gap, rows = strongest(needed(tables, "generalization"))
    told = [f"{row['title']} (τ {number(row['tau'], 2)}, {_interval(row)})" for _, row in rows.iterrows()]
    return f"Strongest with the gap in {gap} by |Ψ|: {listed(told)}; the strongest of many are flattered by the choice."


def _interval(row: pd.Series) -> str:
    if not np.isfinite([row["low"], row["high"]]).all():
        return "no interval"
    undecided = ": can't be told from 0" if row["low"] <= 0 <= row["high"] else ""
    return f"{number(row['low'], 2)} … {number(row['high'], 2)} over seeds{undecided}"


PICTURES = (
    Picture(
        "strongest", "measures", scatter, PAGE, 2.8, "The strongest measures against the gap", reading, 307,
        ("generalization",), together=True,
    ),
)  # fmt: skip
