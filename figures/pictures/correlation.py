"""Each measure of flatness against the generalization gap, a point a checkpoint, with Kendall's τ and its interval.

Panels are measures on the SDT loss, whose gap it is: one of each kind, in the order of the table, the middle one where
a kind was taken at several radii. Which they are has nothing to do with τ. τ is among all checkpoints; *within* counts
only pairs of one training loss, and a correlation that is gone within says that the training loss moves both.
"""

import re
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from tables.reading import TableError

from ..style.bands import counted
from ..style.look import LOOKS, PAPER, SMALL, caption, legend

GAPS = {
    "loss": ("generalization gap in loss (test - train)", "sdt", "gap in loss (nats)", 1.0),
    "accuracy": ("generalization gap in accuracy (train - test)", "", "gap in accuracy (%)", 100.0),
}
_MOST, _COLUMNS = 12, 3
Points = dict[tuple[str, str], PathCollection]


def scatter(figure: Figure, values: pd.DataFrame, taus: pd.DataFrame, *, gap: str) -> Points:
    """Draw the panels into ``figure``, whose height is set to hold them: the points by (measure, training).

    ``values`` is the table measures, ``taus`` the table correlation. Raises TableError when no checkpoint has both the
    gap and a measure.
    """
    measure, loss, label, scale = GAPS[gap]
    if "timesteps" in values:  # networks at another T are others; the most common one is drawn
        values = values[values["timesteps"] == values["timesteps"].mode().iloc[0]]
    both = _paired(values, measure, loss)
    chosen = one_of_each_kind(list(dict.fromkeys(both["measure"])))
    if not chosen:
        raise TableError(f"no checkpoint has both a measure of flatness and the {measure}")
    lines = -(-len(chosen) // _COLUMNS)
    figure.set_figheight(0.95 + 1.75 * lines)
    axes = figure.subplots(lines, min(_COLUMNS, len(chosen)), sharey=True, squeeze=False)
    points: Points = {}
    for ax, name in zip(axes.flat, chosen, strict=False):
        for training in LOOKS:
            part = both[(both["measure"] == name) & (both["training"] == training)]
            if len(part):
                points[name, training] = _points(ax, part, training, scale)
        _finish(ax, both[both["measure"] == name], taus[(taus["measure"] == name) & (taus["gap"] == gap)])
    for ax in axes.flat[len(chosen) :]:
        ax.remove()
    for ax in axes[:, 0]:
        ax.set_ylabel(label)
    legend(figure, _handles(points))
    caption(figure, _text(both, len(chosen), gap))
    return points


gap_in_loss = partial(scatter, gap="loss")
gap_in_accuracy = partial(scatter, gap="accuracy")


def one_of_each_kind(measures: list[str]) -> list[str]:
    """At most twelve, in order: of names that differ in a radius alone the middle one, filter-normalized if any is."""
    kinds: dict[str, list[str]] = {}
    for name in measures:
        kinds.setdefault(re.sub(r" at radius \S+$|, filter-normalized$", "", name), []).append(name)
    for kind, names in kinds.items():
        kinds[kind] = [name for name in names if name.endswith("filter-normalized")] or names
    return [names[len(names) // 2] for names in kinds.values()][:_MOST]


def _paired(values: pd.DataFrame, measure: str, loss: str) -> pd.DataFrame:
    """Finite measures of flatness on the SDT loss, with the column ``gap`` of their checkpoint."""
    of_gap = (values["measure"] == measure) & (values["loss"] == loss)
    gaps = values[of_gap].drop_duplicates("checkpoint").set_index("checkpoint")["value"]
    rows = values[values["flatness"].eq(True) & (values["loss"] == "sdt")]
    rows = rows.assign(gap=rows["checkpoint"].map(gaps))
    return rows[np.isfinite(rows["value"]) & np.isfinite(rows["gap"])]


def _points(ax: Axes, part: pd.DataFrame, training: str, scale: float) -> PathCollection:
    look = LOOKS[training]
    return ax.scatter(
        part["value"], scale * part["gap"], s=16, marker=look.marker, color=look.colour, edgecolors=PAPER,
        linewidths=0.4, label=look.label,
    )  # fmt: skip


def _finish(ax: Axes, part: pd.DataFrame, taus: pd.DataFrame) -> None:
    """The measure below, and τ with its interval above."""
    name, unit = str(part["measure"].iloc[0]), str(part["unit"].iloc[0]).replace("loss", "nats")
    ax.set_xlabel(f"{_wrapped(name)}\n({unit})", fontsize=SMALL)
    ax.xaxis.set_major_locator(MaxNLocator(4))
    ax.set_title("\n".join(_tau(taus, among) for among in ("all", "within") if (taus["among"] == among).any()))
    ax.title.set_fontsize(SMALL)


def _tau(taus: pd.DataFrame, among: str) -> str:
    rows = taus[(taus["among"] == among) & (taus["loss"] == "sdt")]
    if rows.empty or not np.isfinite(rows["tau"].iloc[0]):
        return f"{among}: no τ"
    tau, low, high = rows[["tau", "low", "high"]].iloc[0]
    return f"{among}: τ = {tau:.2f} ({low:.2f} … {high:.2f})".replace("-", "−")


def _wrapped(name: str) -> str:
    """On two lines where it is long, broken where it says of what or where."""
    return re.sub(r",? (?=(formal|Gauss|at radius|within))", ",\n" if "," in name else "\n", name, count=1)


def _handles(points: Points) -> list[Line2D]:
    handles = []
    for training, look in LOOKS.items():
        found = [len(np.asarray(one.get_offsets())) for (_, trained), one in points.items() if trained == training]
        if found:
            style: dict[str, Any] = {"linestyle": "none", "markersize": 4}
            label = f"{look.label}, {counted(found)}"
            handles.append(Line2D([], [], color=look.colour, marker=look.marker, label=label, **style))
    return handles


def _text(both: pd.DataFrame, drawn: int, gap: str) -> str:
    of = "test minus training loss" if gap == "loss" else "training minus test accuracy"
    total = both["measure"].nunique()
    return (
        f"Gap: {of}. Points: checkpoints. τ: Kendall's rank correlation, in brackets its 95 % bootstrap interval over "
        f"checkpoints. {drawn} of {total} measures on the SDT loss; all are in correlation.csv."
    )
