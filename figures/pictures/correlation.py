"""Measures of flatness against the generalization gap: a forest of Kendall's τ, and the three strongest as points.

Rows are measures on the first loss that a gap was taken of: one of each kind, in the order of the table, the middle
one where a kind was taken at several radii. Which they are has nothing to do with τ; the order is by it. τ is among
all checkpoints; *within* counts only pairs of one method, and a correlation that is gone within says that the method
moves both. The three with the largest |τ| are chosen by what is shown, so that their points look better than those of
any three would.
"""

import textwrap
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
from ..style.look import GREY, PAGE, PAPER, SMALL, caption, legend, narrow, wrapped
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
_MOST, _POINTS = 12, 3  # rows of the forest, and panels of points
_AMONG = {"all": ("among all", "black", "o", -0.17), "within": ("within methods", GREY, "D", 0.17)}
Points = dict[tuple[str, str], PathCollection]


def scatter(figure: Figure, values: pd.DataFrame, taus: pd.DataFrame, *, gap: str) -> Points:
    """Draw forest and points into ``figure``, whose height is set to hold them: the points by (measure, method).

    ``values`` is the table measures, ``taus`` the table correlation. Raises TableError when no checkpoint has both the
    gap and a measure, or no measure has a τ.
    """
    measure, ylabel, scale = GAPS[gap]
    if "within" in taus and taus["within"].nunique() > 1:
        raise TableError("correlations are within each of several methods, points of all: see correlation.csv")
    if "timesteps" in values:  # networks at another T are others; the most common one is drawn
        values = values[values["timesteps"] == values["timesteps"].mode().iloc[0]]
    loss = _loss(values)
    both = _paired(values, measure, loss)
    known = list(dict.fromkeys(both["measure"]))
    if not known:
        raise TableError(f"no checkpoint has both a measure of flatness and the {MEASURES[measure].title}")
    of_gap = taus[(taus["loss"] == loss) & (taus["gap"] == gap)]
    table = _rows(of_gap, one_of_each_kind(known))
    forest, panels = _axes(figure, table)
    for height, name in enumerate(table.index):
        for among in _AMONG:
            _bar(forest, height, of_gap, name, among)
    _finish(forest, list(table["title"]))
    points: Points = {}
    strongest = table["tau"].abs().sort_values(ascending=False, kind="stable").index[: len(panels)]
    for ax, name in zip(panels, strongest, strict=True):
        for method in looks(both["method"]):
            part = both[(both["measure"] == name) & (both["method"] == method)]
            if len(part):
                points[name, method] = points_of(ax, part, method, scale)
        part = both[both["measure"] == name].iloc[0]
        ax.set_xlabel(wrapped(f"{part['title']}{_unit(str(part['unit']), loss)}", 1.9), fontsize=SMALL)
        ax.xaxis.set_major_locator(MaxNLocator(4))
        ax.set_ylabel(ylabel.format(loss_unit([loss])), fontsize=SMALL)
    kinds = [
        Line2D([], [], color=colour, marker=marker, label=f"τ {words}", linestyle="none", markersize=4)
        for among, (words, colour, marker, _) in _AMONG.items()
        if (taus["among"] == among).any()
    ]
    legend(figure, [*kinds, *handles_of(points)])
    caption(figure, _text(both, len(table), gap, loss))
    return points


def _rows(taus: pd.DataFrame, chosen: list[str]) -> pd.DataFrame:
    """Title and τ among all of the ``chosen`` measures that have one, the largest first; TableError where none has."""
    rows = taus[(taus["among"] == "all") & taus["measure"].isin(chosen) & np.isfinite(taus["tau"])]
    if rows.empty:
        raise TableError("no measure of flatness has a rank correlation with the gap")
    rows = rows.drop_duplicates("measure").set_index("measure")
    return rows.sort_values("tau", ascending=False, kind="stable")[["title", "tau"]]


def _axes(figure: Figure, table: pd.DataFrame) -> tuple[Axes, list[Axes]]:
    """The forest, and beside it the panels of points: below it where the figure is narrow."""
    panels = min(_POINTS, len(table))
    forest = sum(0.09 + 0.12 * len(_wrapped(title).split("\n")) for title in table["title"])
    if narrow(figure):
        figure.set_figheight(1.1 + forest + 1.5 * panels)
        axes = figure.subplots(1 + panels, 1, height_ratios=[forest + 0.4, *[1.3] * panels])
        return axes[0], list(axes[1:])
    figure.set_figheight(max(0.9 + forest, 0.5 + 1.35 * panels))
    grid = figure.add_gridspec(panels, 2, width_ratios=[1.25, 1])
    return figure.add_subplot(grid[:, 0]), [figure.add_subplot(grid[row, 1]) for row in range(panels)]


def _bar(ax: Axes, height: int, taus: pd.DataFrame, name: str, among: str) -> None:
    """τ of one measure with its interval, where it has one that says something."""
    rows = taus[(taus["measure"] == name) & (taus["among"] == among)].head(1)
    _, colour, marker, side = _AMONG[among]
    if rows.empty or not np.isfinite(rows["tau"].iloc[0]):
        return
    if settled(rows).all():
        ends = rows[["low", "high"]].iloc[0]
        ax.plot(ends, [height + side] * 2, "-", color=colour, linewidth=1.0, solid_capstyle="butt")
    ax.plot(rows["tau"], [height + side], marker, color=colour, markersize=3.5, zorder=3)


def _finish(ax: Axes, titles: list[str]) -> None:
    ax.set_yticks(range(len(titles)), [_wrapped(title) for title in titles])
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    ax.grid(axis="y", color="#e8e8e8", linewidth=0.5)
    ax.set_axisbelow(True)
    ax.axvline(0.0, color="black", linewidth=0.7, zorder=1)
    ax.set(xlabel="Kendall's τ with the gap", xlim=(-1.05, 1.05), ylim=(len(titles) - 0.4, -0.6))


def _unit(unit: str, loss: str) -> str:
    """In brackets; nothing for a number without one."""
    return "" if unit in ("", "1") else f" ({unit.replace('loss', loss_unit([loss]))})"


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


def points_of(ax: Axes, part: pd.DataFrame, method: str, scale: float) -> PathCollection:
    """Columns value and gap (times ``scale``) of a method's checkpoints, a point each."""
    look = look_of(method)
    return ax.scatter(
        part["value"], scale * part["gap"], s=16, marker=look.marker, color=look.colour, edgecolors=PAPER,
        linewidths=0.4, label=look.label,
    )  # fmt: skip


def settled(taus: pd.DataFrame) -> pd.Series:
    """Whether the interval of each row says something: one of which all resamples are alike doesn't."""
    known = np.isfinite(taus["low"]) & np.isfinite(taus["high"])
    return known & taus["interval"].eq("") if "interval" in taus else known


def _wrapped(name: str) -> str:
    """On two lines where it is long."""
    return "\n".join(textwrap.wrap(name, 30))


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
        f"Gap: {of}. τ: Kendall's rank correlation of measure and gap, bars its 95 % intervals over seeds; on the "
        f"{loss_label(loss)}, {drawn} of {total} measures of flatness, one of each kind; all, and those of complexity, "
        f"are in correlation.csv. Points: checkpoints, for the {_POINTS} with the largest |τ|."
    )


_LEVEL = 0.05


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
            held = (known["p_adjusted"] < _LEVEL).sum() if "p_adjusted" in known else None
            sure = "" if held is None else f"; by p with Holm's adjustment {held}"
            n, left = listed([f"{one:.0f}" for one in sorted(part["n"].unique())]), len(part) - positive - negative
            clauses.append(
                f"{words} (n = {n}{few}), of {len(part)} measures of flatness or complexity on the {loss_label(loss)} "
                f"the rank correlation with the gap in {what} is positive for {positive}, negative for {negative} and "
                f"undecided for {left} (positive: the sharper, or more complex, the larger the gap; "
                f"chance alone would decide {_LEVEL * len(part):.1f}{sure})"
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
