"""How often each measure has two networks in the wrong order, environment by environment, and where it is worst.

A row per measure, a faint point per environment (two settings that differ in one factor), a bar at their mean and a
cross at the worst. A robust measure's cross lies left of ½, which is chance; with so many environments random numbers
have theirs near 1.
"""

import numpy as np
import pandas as pd
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from tables.reading import TableError

from ..style.look import GREY, PAGE, caption, legend
from ..words.comparison import Tables, needed
from ..words.prose import number, sentence
from .generalization import finish, rows_of
from .picture import Picture


def environments(figure: Figure, errors: pd.DataFrame, frame: pd.DataFrame) -> dict[str, PathCollection]:
    """Draw a row per measure into ``figure``, whose height is set to hold them: points by measure."""
    gap, table, own = _chosen(errors, frame)
    figure.set_figheight(1.5 + 0.165 * len(table))
    ax = figure.subplots()
    points = {}
    for height, row in table.iterrows():
        found = own[own["measure"] == row["measure"]]["sign_error"].to_numpy(float)
        place, colour = float(str(height)), GREY if row["control"] else "black"
        spread = place + 0.5 * (np.arange(len(found)) % 7 / 6 - 0.5)
        points[row["measure"]] = ax.scatter(found, spread, s=3, color=colour, alpha=0.25, linewidths=0)
        ax.plot([found.mean()], [place], "|", color=colour, markersize=9, zorder=3)
        ax.plot([found.max()], [place], "x", color=colour, markersize=4, zorder=3)
    finish(ax, table, "sign error")
    ax.set_xlim(-0.03, 1.03)
    ax.axvline(0.5, color="black", linewidth=0.7, zorder=1)
    marks = (("mean", "|", "black"), ("worst", "x", "black"), ("grey: references", "D", GREY))
    legend(
        figure, [Line2D([], [], linestyle="none", marker=m, color=c, label=name, markersize=5) for name, m, c in marks]
    )
    caption(figure, f"Gap in {gap}. {_count(own)} environments, each two settings that differ in one factor.")
    return points


def _chosen(errors: pd.DataFrame, frame: pd.DataFrame) -> tuple[str, pd.DataFrame, pd.DataFrame]:
    """The gap, in loss where there is one, the measures, and the environments of those that have any."""
    finite = errors[np.isfinite(errors["sign_error"]) & (errors["among"] == "all")]
    if "timesteps" in finite and len(finite):
        finite = finite[finite["timesteps"] == finite["timesteps"].mode().iloc[0]]
    gap = "loss" if (finite["gap"] == "loss").any() else "accuracy"
    table = rows_of(frame, gap)
    own = finite[(finite["gap"] == gap) & finite["loss"].isin(table["loss"])]
    table = table[table["measure"].isin(own["measure"])].reset_index(drop=True)
    if table.empty:
        raise TableError("no measure has a sign error in any environment")
    return gap, table, own


def _count(own: pd.DataFrame) -> str:
    counts = own.groupby("measure").size()
    return f"{counts.min()}" if counts.min() == counts.max() else f"{counts.min()} to {counts.max()}"


def reading(tables: Tables) -> str:
    """How many measures are right more often than not in every environment, and what random numbers reach."""
    gap, table, own = _chosen(needed(tables, "sign_errors"), needed(tables, "generalization"))
    table = table.assign(worst=table["measure"].map(own.groupby("measure")["sign_error"].max()))
    measured, known = table[table["control"] == ""], table[table["control"].isin(["random", f"oracle of {gap}"])]
    if measured.empty:
        raise TableError("no measure but references")
    best, right = measured.sort_values("worst", kind="stable").iloc[0], (measured["worst"] < 0.5).sum()
    clauses = [
        f"by the gap in {gap}, {right} of {len(measured)} measures order more pairs rightly than wrongly in each of "
        f"{_count(own)} environments seen",
        f"the smallest worst sign error is that of {best['title']}, {number(best['worst'])}",
        *(f"{row['title']}: {number(row['worst'])}" for _, row in known.iterrows()),
    ]
    return sentence(*clauses) + " A worst of many environments has no interval here; read it beside the references."


PICTURES = (
    Picture(
        "sign-errors", "sign_errors", environments, PAGE, 5.0, "Where each measure is wrong", reading, 306,
        ("generalization",), together=True, narrowest=PAGE,
    ),
)  # fmt: skip
