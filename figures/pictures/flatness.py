"""Which training found the flatter minimum, by every measure: a forest plot of relative differences.

The relative difference is (TET − SDT) / |mean of both|, and its interval is divided likewise. Every measure drawn is
one where less is flatter (``lower_is_flatter``; other rows are no measures of flatness), so that left of zero says that
TET is flatter. Dividing by the mean lets measures of different units share an axis; it is not a test, and a measure
that is near zero under both gets a huge value.
"""

from string import ascii_lowercase
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from tables.reading import TableError

from ..style.look import GREY, LOOKS, LOSSES, SMALL, caption, legend

_WIDEST = 2.2  # two positive numbers differ by at most twice their mean


def relative(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows on flatness with columns x, left and right (the interval), sorted from TET flatter to SDT flatter.

    Raises TableError when no row on flatness has a finite difference.
    """
    rows = frame[frame["lower_is_flatter"].eq(True)]
    scale = (0.5 * (rows["sdt"] + rows["tet"])).abs().replace(0.0, np.nan)
    table = rows.assign(x=rows["difference"] / scale, left=rows["low"] / scale, right=rows["high"] / scale)
    table = table[np.isfinite(table["x"])].sort_values("x", kind="stable").reset_index(drop=True)
    if table.empty:
        raise TableError("no row on flatness has a finite difference")
    return table


def forest(figure: Figure, frame: pd.DataFrame) -> dict[str, Line2D]:
    """Draw one row per measure and loss into ``figure``, whose height is set to hold them: markers by row label."""
    table = relative(frame)
    figure.set_figheight(1.35 + 0.165 * len(table))
    ax = figure.subplots()
    limit = _limit(table)
    letters = _letters(table["trust"])
    labels = [_label(row) for _, row in table.iterrows()]
    markers = {}
    for height, (label, (_, row)) in enumerate(zip(labels, table.iterrows(), strict=True)):
        markers[label] = _row(ax, row, height, limit)
        _reasons(ax, row["trust"], letters, height)
    _finish(ax, labels, limit)
    legend(figure, _handles(table))
    caption(figure, _text(table, frame, letters, limit))
    return markers


def _limit(table: pd.DataFrame) -> float:
    """Half the width of the panel: what the intervals need, between 0.2 and a little over 2."""
    ends = table[["x", "left", "right"]].abs().to_numpy()
    return float(np.clip(1.08 * ends[np.isfinite(ends)].max(), 0.2, _WIDEST))


def _label(row: pd.Series) -> str:
    loss = f", {LOSSES.get(row['loss'], row['loss'])}" if row["loss"] else ""
    return f"{row['measure']}{loss}"


def _row(ax: Axes, row: pd.Series, height: int, limit: float) -> Line2D:
    """Marker and interval; what leaves the panel ends in an arrowhead on its edge."""
    look = LOOKS.get(row["flatter"])
    colour = look.colour if look else GREY
    low, high = (np.clip(row[end], -limit, limit) for end in ("left", "right"))
    if np.isfinite([low, high]).all():
        ax.plot([low, high], [height, height], "-", color=colour, linewidth=1.0, solid_capstyle="butt")
    for end, side, head in ((row["left"], -limit, "<"), (row["right"], limit, ">")):
        if abs(end) > limit and np.sign(end) == np.sign(side):
            ax.plot([side], [height], head, color=colour, markersize=3, clip_on=False)
    (marker,) = ax.plot(
        [np.clip(row["x"], -limit, limit)], [height], look.marker if look else "D", color=colour, markersize=4,
        markerfacecolor="white" if row["trust"] else colour, markeredgewidth=0.9, zorder=3,
    )  # fmt: skip
    return marker


def _letters(trust: pd.Series) -> dict[str, str]:
    """A letter for each reason not to trust a row, in order of appearance; reasons are separated by semicolons."""
    reasons = dict.fromkeys(reason for cell in trust for reason in _split(cell))
    return dict(zip(reasons, ascii_lowercase, strict=False))


def _split(cell: str) -> list[str]:
    return [reason.strip() for reason in cell.split(";") if reason.strip()]


def _reasons(ax: Axes, trust: str, letters: dict[str, str], height: int) -> None:
    text = " ".join(sorted(letters.get(reason, "") for reason in _split(trust)))
    ax.annotate(
        text, (1.01, height), xycoords=("axes fraction", "data"), va="center", fontsize=SMALL, color=GREY,
        annotation_clip=False,
    )  # fmt: skip


def _finish(ax: Axes, labels: list[str], limit: float) -> None:
    ax.set_yticks(range(len(labels)), labels)
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    ax.grid(axis="y", color="#e8e8e8", linewidth=0.5)
    ax.set_axisbelow(True)
    ax.axvline(0.0, color="black", linewidth=0.7, zorder=1)
    ax.set(xlim=(-limit, limit), ylim=(len(labels) - 0.4, -0.6))
    ax.set_xlabel("relative difference (TET − SDT) / |mean of both|")
    ax.set_title("← TET flatter", loc="left", fontsize=8)
    ax.set_title("SDT flatter →", loc="right", fontsize=8)


def _handles(table: pd.DataFrame) -> list[Line2D]:
    style: dict[str, Any] = {"linestyle": "none", "markersize": 4}
    named = [
        Line2D([], [], color=look.colour, marker=look.marker, label=f"{look.label} flatter", **style)
        for training, look in LOOKS.items()
        if (table["flatter"] == training).any()
    ]
    if (table["flatter"] == "").any():
        named.append(Line2D([], [], color=GREY, marker="D", label="undecided", **style))
    if (table["trust"] != "").any():
        hollow: dict[str, Any] = {"markerfacecolor": "white", "color": GREY, "marker": "o"}
        named.append(Line2D([], [], label="hollow: see letters", **hollow, **style))
    return named


def _text(table: pd.DataFrame, frame: pd.DataFrame, letters: dict[str, str], limit: float) -> str:
    n = sorted({int(one) for one in table["n"].dropna()})
    reasons = "; ".join(f"{letter}: {reason}" for reason, letter in letters.items())
    left_out = int(frame["lower_is_flatter"].eq(True).sum()) - len(table)
    return (
        f"Bars: 95 % intervals, n = {', '.join(map(str, n))}; arrowheads: beyond ±{limit:.2g}."
        + (f" Not to be trusted without care: {reasons}." if letters else "")
        + (f" Not drawn: {left_out} without a finite value." if left_out else "")
    )
