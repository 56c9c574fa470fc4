"""Each measure of flatness against the generalization gap, a point a checkpoint, with Kendall's τ and its interval.

Panels are measures on the first loss that a gap was taken of: one of each kind, in the order of the table, the middle
one where a kind was taken at several radii. Which they are has nothing to do with τ. τ is among all checkpoints;
*within* counts only pairs of one method, and a correlation that is gone within says that the method moves both.
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

from tables.interval import FEWEST
from tables.measures import MEASURES, family
from tables.reading import TableError

from ..style.bands import counted
from ..style.look import PAGE, PAPER, SMALL, caption, legend
from ..style.methods import first_loss, look_of, looks, loss_label
from ..words.comparison import Tables, asked, at_radius, needed
from ..words.prose import listed, sentence
from ..words.units import loss_unit
from .picture import Picture

GAPS = {
    "loss": ("gap_in_loss", "gap in loss ({})", 1.0),
    "accuracy": ("gap_in_accuracy", "gap in accuracy (%)", 100.0),
}
_FEWEST = 2 * FEWEST  # checkpoints: of fewer an interval says little
_FILTER = "_filter"  # ends the names of measures in filter-normalized coordinates
_MOST, _COLUMNS = 12, 3
Points = dict[tuple[str, str], PathCollection]


def scatter(figure: Figure, values: pd.DataFrame, taus: pd.DataFrame, *, gap: str) -> Points:
    """Draw the panels into ``figure``, whose height is set to hold them: the points by (measure, method).

    ``values`` is the table measures, ``taus`` the table correlation. Raises TableError when no checkpoint has both the
    gap and a measure.
    """
    measure, ylabel, scale = GAPS[gap]
    if "within" in taus and taus["within"].nunique() > 1:
        raise TableError("correlations are within each of several methods, points of all: see correlation.csv")
    if "timesteps" in values:  # networks at another T are others; the most common one is drawn
        values = values[values["timesteps"] == values["timesteps"].mode().iloc[0]]
    loss = _loss(values)
    both = _paired(values, measure, loss)
    chosen = one_of_each_kind(list(dict.fromkeys(both["measure"])))
    if not chosen:
        raise TableError(f"no checkpoint has both a measure of flatness and the {MEASURES[measure].title}")
    lines = -(-len(chosen) // _COLUMNS)
    figure.set_figheight(0.95 + 1.75 * lines)
    axes = figure.subplots(lines, min(_COLUMNS, len(chosen)), sharey=True, squeeze=False)
    points: Points = {}
    for ax, name in zip(axes.flat, chosen, strict=False):
        for method in looks(both["method"]):
            part = both[(both["measure"] == name) & (both["method"] == method)]
            if len(part):
                points[name, method] = points_of(ax, part, method, scale)
        _finish(ax, both[both["measure"] == name], _of(taus, name, loss, gap), loss)
    for ax in axes.flat[len(chosen) :]:
        ax.remove()
    for ax in axes[:, 0]:
        ax.set_ylabel(ylabel.format(loss_unit([loss])))
    legend(figure, handles_of(points))
    caption(figure, _text(both, len(chosen), gap, loss))
    return points


gap_in_loss = partial(scatter, gap="loss")
gap_in_accuracy = partial(scatter, gap="accuracy")


def one_of_each_kind(measures: list[str]) -> list[str]:
    """At most twelve ids, in order: of those that differ in a radius alone the middle, filter-normalized if any is."""
    kinds: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for name in measures:
        of, words = at_radius(name) or (family(name), asked(name))
        kinds.setdefault((of.removesuffix(_FILTER), words), []).append(name)
    for kind, names in kinds.items():
        kinds[kind] = [name for name in names if family(name).endswith(_FILTER)] or names
    return [names[len(names) // 2] for names in kinds.values()][:_MOST]


def _loss(values: pd.DataFrame) -> str:
    """The loss that panels are of: the first that a gap was taken of, or else the first that anything is of."""
    gaps = values[(values["measure"] == "gap_in_loss") & (values["loss"] != "")]
    return first_loss(gaps if len(gaps) else values)


def _paired(values: pd.DataFrame, measure: str, loss: str) -> pd.DataFrame:
    """Finite measures of flatness on one loss, with the column ``gap`` of their checkpoint."""
    of_gap = (values["measure"] == measure) & values["loss"].isin([loss, ""])
    gaps = values[of_gap].drop_duplicates("checkpoint").set_index("checkpoint")["value"]
    rows = values[(values["side"] == "flatness") & (values["loss"] == loss)]
    rows = rows.assign(gap=rows["checkpoint"].map(gaps))
    return rows[np.isfinite(rows["value"]) & np.isfinite(rows["gap"])]


def _of(taus: pd.DataFrame, measure: str, loss: str, gap: str) -> pd.DataFrame:
    return taus[(taus["measure"] == measure) & (taus["loss"] == loss) & (taus["gap"] == gap)]


def points_of(ax: Axes, part: pd.DataFrame, method: str, scale: float) -> PathCollection:
    """Columns value and gap (times ``scale``) of a method's checkpoints, a point each."""
    look = look_of(method)
    return ax.scatter(
        part["value"], scale * part["gap"], s=16, marker=look.marker, color=look.colour, edgecolors=PAPER,
        linewidths=0.4, label=look.label,
    )  # fmt: skip


def _finish(ax: Axes, part: pd.DataFrame, taus: pd.DataFrame, loss: str) -> None:
    """The measure below, and τ with its interval above."""
    name, unit = str(part["title"].iloc[0]), str(part["unit"].iloc[0]).replace("loss", loss_unit([loss]))
    ax.set_xlabel(f"{_wrapped(name)}\n({unit})", fontsize=SMALL)
    ax.xaxis.set_major_locator(MaxNLocator(4))
    ax.set_title("\n".join(_tau(taus, among) for among in ("all", "within") if (taus["among"] == among).any()))
    ax.title.set_fontsize(SMALL)


def _tau(taus: pd.DataFrame, among: str) -> str:
    rows = taus[taus["among"] == among]
    if rows.empty or not np.isfinite(rows["tau"].iloc[0]):
        return f"{among}: no τ"
    tau, low, high = rows[["tau", "low", "high"]].iloc[0]
    interval = f"{low:.2f} … {high:.2f}" if settled(rows).all() else "no interval"
    return f"{among}: τ = {tau:.2f} ({interval})".replace("-", "−")


def settled(taus: pd.DataFrame) -> pd.Series:
    """Whether the interval of each row says something: one of which all resamples are alike doesn't."""
    known = np.isfinite(taus["low"]) & np.isfinite(taus["high"])
    return known & taus["interval"].eq("") if "interval" in taus else known


def _wrapped(name: str) -> str:
    """On two lines where it is long, broken where it says of what or where."""
    return re.sub(r",? (?=(formal|Gauss|at radius|within))", ",\n" if "," in name else "\n", name, count=1)


def handles_of(points: Points) -> list[Line2D]:
    """A legend entry for each method."""
    handles = []
    style: dict[str, Any] = {"linestyle": "none", "markersize": 4}
    for method, look in looks(method for _, method in points).items():
        found = [len(np.asarray(one.get_offsets())) for (_, trained), one in points.items() if trained == method]
        named = f"{look.label}, {counted(found)}"
        handles.append(Line2D([], [], color=look.colour, marker=look.marker, label=named, **style))
    return handles


def _text(both: pd.DataFrame, drawn: int, gap: str, loss: str) -> str:
    of = "test minus training loss" if gap == "loss" else "training minus test accuracy"
    total = both["measure"].nunique()
    return (
        f"Gap: {of}. Points: checkpoints. τ: Kendall's rank correlation, in brackets its 95 % interval over seeds. "
        f"{drawn} of {total} measures of flatness on the {loss_label(loss)}; all, and those of complexity, are in "
        "correlation.csv."
    )


def in_loss(tables: Tables) -> str:
    """How many measures go with the gap in loss."""
    return _reading(tables, "loss")


def in_accuracy(tables: Tables) -> str:
    """How many measures go with the gap in accuracy."""
    return _reading(tables, "accuracy")


def _reading(tables: Tables, what: str) -> str:
    rows = needed(tables, "correlation")
    loss = first_loss(rows)
    rows = rows[(rows["gap"] == what) & (rows["loss"] == loss) & np.isfinite(rows["tau"])]
    clauses = []
    for among, words in (("all", "among all checkpoints"), ("within", "within one method")):
        part = rows[rows["among"] == among]
        if len(part):
            known = part[np.isfinite(part[["low", "high"]]).all(axis=1) & (part["n"] >= _FEWEST) & settled(part)]
            positive, negative = (known["low"] > 0).sum(), (known["high"] < 0).sum()
            few = ", too few checkpoints" if part["n"].max() < _FEWEST else ""
            n, left = listed([f"{one:.0f}" for one in sorted(part["n"].unique())]), len(part) - positive - negative
            clauses.append(
                f"{words} (n = {n}{few}), of {len(part)} measures of flatness or complexity on the {loss_label(loss)} "
                f"the rank correlation with the gap in {what} is positive for {positive}, negative for {negative} and "
                f"undecided for {left} (chance alone would decide {0.05 * len(part):.1f})"
            )
    if not clauses:
        raise TableError(f"no correlation with the gap in {what}")
    return sentence(*clauses)


PICTURES = (
    Picture(
        "gap-in-loss", "measures", gap_in_loss, PAGE, 6.0, "Flatness against the gap in loss", in_loss, 280,
        ("correlation",), together=True,
    ),
    Picture(
        "gap-in-accuracy", "measures", gap_in_accuracy, PAGE, 6.0, "Flatness against the gap in accuracy",
        in_accuracy, 290, ("correlation",), together=True,
    ),
)  # fmt: skip
