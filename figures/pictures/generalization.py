"""How well each measure orders a sweep's networks as their gaps do: a forest of Kendall's τ and of Ψ.

Rows are the measures on the loss that the gap is of, sorted by Ψ, and the reference measures, which are known for what
they are. τ is over all pairs of networks, Ψ over pairs that differ in one factor, each factor counting alike.
"""

from functools import partial

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from tables.reading import TableError
from tables.rows import check_columns

from ..style.look import GREY, PAGE, caption, legend
from ..style.methods import losses
from ..words.comparison import Tables, needed
from ..words.prose import number, sentence
from .correlation import one_of_each_kind
from .picture import Picture

_MOST = 36  # rows
_PANELS = {"tau": ("low", "high", "Kendall's τ"), "granulated": ("granulated_low", "granulated_high", "Ψ, by factor")}


def rows_of(frame: pd.DataFrame, gap: str) -> pd.DataFrame:
    """The rows among all networks, given nothing, of the measures on the gap's loss and the references, by Ψ.

    The most common T where there are several. Raises TableError where none has a finite Ψ.
    """
    check_columns(frame, "granulated", "granulated_low", "granulated_high")
    if "timesteps" in frame and frame["timesteps"].notna().any():
        frame = frame[frame["timesteps"] == frame["timesteps"].mode().iloc[0]]
    found = frame[(frame["gap"] == gap) & (frame["among"] == "all") & (frame["given"] == "")]
    found = found[np.isfinite(found["granulated"]) & np.isfinite(found["tau"])]
    if found.empty:
        raise TableError(f"no measure has a finite τ and Ψ with the gap in {gap}")
    first = next(iter(losses(found["loss"])), "")
    found = found[found["loss"].isin([first, ""])]
    measured = found[found["control"] == ""]
    if len(measured) > _MOST:
        kept = one_of_each_kind(list(measured["measure"]))
        found = found[(found["control"] != "") | found["measure"].isin(kept)]
    return found.sort_values("granulated", ascending=False, kind="stable").reset_index(drop=True)


def forest(figure: Figure, frame: pd.DataFrame, *, gap: str) -> dict[tuple[str, str], Line2D]:
    """Draw a row per measure into ``figure``, whose height is set to hold them: markers by (measure, column)."""
    table = rows_of(frame, gap)
    figure.set_figheight(1.5 + 0.165 * len(table))
    axes = figure.subplots(1, 2, sharey=True)
    markers = {}
    for ax, (column, (low, high, title)) in zip(axes, _PANELS.items(), strict=True):
        for height, row in table.iterrows():
            markers[row["measure"], column] = _row(ax, float(str(height)), row, column, low, high)
        finish(ax, table, title)
        ax.set_xlim(-1.05, 1.05)
        ax.axvline(0.0, color="black", linewidth=0.7, zorder=1)
    legend(figure, handles())
    caption(figure, f"Gap in {gap}. Bars: 95 % intervals over seeds, for these settings; {counts(table)}.")
    return markers


def counts(table: pd.DataFrame) -> str:
    """How many networks, settings and seeds."""
    told = [f"{table['n'].max():.0f} networks"]
    for column, word in (("combinations", "settings"), ("seeds", "seeds")):
        if column in table and np.isfinite(table[column]).any():
            told.append(f"{table[column].max():.0f} {word}")
    return ", ".join(told)


def finish(ax: Axes, table: pd.DataFrame, title: str) -> None:
    """Names of measures at the side, the first row on top."""
    ax.set_yticks(range(len(table)), list(table["title"]))
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    ax.grid(axis="y", color="#e8e8e8", linewidth=0.5)
    ax.set_axisbelow(True)
    ax.set(xlabel=title, ylim=(len(table) - 0.4, -0.6))


def handles() -> list[Line2D]:
    """Measures and references."""
    looks = (("measure", "black", "o"), ("reference, known for what it is", GREY, "D"))
    return [
        Line2D([], [], color=colour, marker=marker, label=label, linestyle="none", markersize=4)
        for label, colour, marker in looks
    ]


def _row(ax: Axes, height: float, row: pd.Series, column: str, low: str, high: str) -> Line2D:
    colour, marker = (GREY, "D") if row["control"] else ("black", "o")
    if np.isfinite([row[low], row[high]]).all():
        ax.plot([row[low], row[high]], [height, height], "-", color=colour, linewidth=1.0, solid_capstyle="butt")
    (found,) = ax.plot([row[column]], [height], marker, color=colour, markersize=4, zorder=3)
    return found


def reading(tables: Tables, *, gap: str) -> str:
    """For how many measures Ψ is decided, and how the best one compares with oracle and random numbers."""
    table = rows_of(needed(tables, "generalization"), gap)
    own = table[table["control"] == ""]
    if own.empty:
        raise TableError("no measure but references")
    above, below = (own["granulated_low"] > 0).sum(), (own["granulated_high"] < 0).sum()
    clauses = [
        f"of {len(own)} measures, Ψ with the gap in {gap} is positive for {above}, negative for {below} and undecided "
        f"for {len(own) - above - below} (chance alone would decide {0.05 * len(own):.1f}; {counts(table)}; "
        "intervals are over seeds, for these settings)",
        f"the largest is that of {_told(own.iloc[0])}",
    ]
    known = table[table["control"].isin([f"oracle of {gap}", "random"])]
    clauses += [f"{row['title']}: {number(row['granulated'])}" for _, row in known.iterrows()]
    return sentence(*clauses)


def _told(row: pd.Series) -> str:
    low, high = row["granulated_low"], row["granulated_high"]
    interval = f"{number(low)} … {number(high)}" if np.isfinite([low, high]).all() else "no interval"
    return f"{row['title']}, {number(row['granulated'])} ({interval})"


PICTURES = tuple(
    Picture(
        f"generalization-{gap}", "generalization", partial(forest, gap=gap), PAGE, 5.0,
        f"Which measures order networks as their gaps in {gap}", partial(reading, gap=gap), order, together=True,
        narrowest=PAGE,
    )
    for order, gap in ((304, "loss"), (305, "accuracy"))
)  # fmt: skip
