"""Which method found the flatter minimum, by every measure: a forest plot of relative differences.

A panel for each method against the reference, three beside each other. The relative difference is (method − reference)
/ |mean of both|, and its interval is divided likewise. Every measure drawn is one of flatness, where less is flatter,
so that left of zero says that the method is flatter. Dividing by the mean lets measures of different units share an
axis; it is not a test, and a measure that is near zero under both gets a huge value.
"""

from string import ascii_lowercase
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from tables.interval import FEWEST
from tables.reading import TableError

from ..style.look import GREY, PAGE, SMALL, caption, legend, wrapped
from ..style.methods import label, look_of, looks, loss_label, sides
from ..words.comparison import Tables, comparison, counted_rows
from ..words.prose import listed, number
from .picture import Picture

_WIDEST = 2.2  # two positive numbers differ by at most twice their mean
_NAMES = 3.2  # inches: about what the names of measures need
_BESIDE = 3  # panels


def relative(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows on flatness with columns x, left and right (the interval), sorted from method to reference flatter.

    ``height`` is the place of a measure and loss, the same for all methods: that of the first that has it. Raises
    TableError when no row on flatness has a finite difference.
    """
    rows = frame[frame["side"] == "flatness"]
    scale = (0.5 * (rows["reference_mean"] + rows["method_mean"])).abs().replace(0.0, np.nan)
    table = rows.assign(x=rows["difference"] / scale, left=rows["low"] / scale, right=rows["high"] / scale)
    table = table[np.isfinite(table["x"])]
    if table.empty:
        raise TableError("no row on flatness has a finite difference")
    first = table["method"].map({name: place for place, name in enumerate(dict.fromkeys(table["method"]))})
    table = table.assign(place=first).sort_values(["place", "x"], kind="stable").drop(columns="place")
    keys = pd.MultiIndex.from_frame(table[["timesteps", "measure", "loss"]])
    return table.assign(height=keys.factorize()[0]).reset_index(drop=True)


def forest(figure: Figure, frame: pd.DataFrame) -> dict[tuple[str, str], Line2D]:
    """Draw a row per measure and loss into ``figure``, whose height is set to hold them: markers by (row, method)."""
    frame = frame if "timesteps" in frame else frame.assign(timesteps="")
    table = relative(frame)
    labels = table.drop_duplicates("height").sort_values("height").apply(_label, axis=1)
    pairs = list(dict.fromkeys(zip(table["reference"], table["method"], strict=True)))
    axes = _panels(figure, len(pairs), 0.165 * len(labels))
    limit, letters = _limit(table), _letters(table["trust"])
    markers = {}
    for ax, (reference, method) in zip(axes, pairs, strict=True):
        own = table[(table["reference"] == reference) & (table["method"] == method)]
        for _, row in own.iterrows():
            markers[labels.iloc[row["height"]], method] = _row(ax, row, limit)
            _reasons(ax, row["trust"], letters, row["height"])
        _finish(ax, labels, limit)
        _sides(ax, reference, method, min(_BESIDE, len(pairs)))
    legend(figure, _handles(table))
    caption(figure, _text(table, frame, letters, limit))
    return markers


def _panels(figure: Figure, panels: int, inches: float) -> list[Axes]:
    """As many panels, each so high, in a figure as high as they need."""
    columns = min(_BESIDE, panels)
    lines = -(-panels // columns)
    figure.set_figheight(1.35 + inches + (inches + 0.9) * (lines - 1) + 0.3 * (panels > 1))
    axes = list(figure.subplots(lines, columns, squeeze=False, sharey=True).flat)
    for ax in axes[panels:]:
        ax.remove()
    return axes[:panels]


def _limit(table: pd.DataFrame) -> float:
    """Half the width of the panel: what the intervals need, between 0.2 and a little over 2."""
    ends = table[["x", "left", "right"]].abs().to_numpy()
    return float(np.clip(1.08 * ends[np.isfinite(ends)].max(), 0.2, _WIDEST))


def _label(row: pd.Series) -> str:
    loss = f", {loss_label(row['loss'])}" if row["loss"] else ""
    return f"{row['title']}{loss}"


def _row(ax: Axes, row: pd.Series, limit: float) -> Line2D:
    """Marker and interval; what leaves the panel ends in an arrowhead on its edge."""
    look, height = look_of(row["flatter"]) if row["flatter"] else None, row["height"]
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


def _finish(ax: Axes, labels: pd.Series, limit: float) -> None:
    ax.set_yticks(range(len(labels)), labels)
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    ax.grid(axis="y", color="#e8e8e8", linewidth=0.5)
    ax.set_axisbelow(True)
    ax.axvline(0.0, color="black", linewidth=0.7, zorder=1)
    ax.set(xlim=(-limit, limit), ylim=(len(labels) - 0.4, -0.6))


def _sides(ax: Axes, reference: str, method: str, beside: int) -> None:
    """Who is flatter on which side, on lines of their own where several panels stand beside each other."""
    ours, theirs = look_of(method).label, look_of(reference).label
    left, right = f"← {ours} flatter", f"{theirs} flatter →"
    if beside == 1:
        ax.set_xlabel(f"relative difference ({ours} − {theirs}) / |mean of both|")
        ax.set_title(left, loc="left", fontsize=8)
        ax.set_title(right, loc="right", fontsize=8)
    else:
        width = (PAGE - _NAMES) / beside
        ax.set_xlabel(wrapped(f"({ours} − {theirs}) / |mean|", width))
        ax.set_title(wrapped(f"{left}\n{right}", width), fontsize=SMALL)


def _handles(table: pd.DataFrame) -> list[Line2D]:
    style: dict[str, Any] = {"linestyle": "none", "markersize": 4}
    named = [
        Line2D([], [], color=look.colour, marker=look.marker, label=f"{look.label} flatter", **style)
        for look in looks(table["flatter"][table["flatter"] != ""]).values()
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
    left_out = int((frame["side"] == "flatness").sum()) - len(table)
    return (
        f"Bars: 95 % intervals, n = {', '.join(map(str, n))}; arrowheads: beyond ±{limit:.2g}."
        + (f" Not to be trusted without care: {reasons}." if letters else "")
        + (f" Not drawn: {left_out} without a finite value." if left_out else "")
    )


def reading(tables: Tables) -> str:
    """How many rows call which side flatter, the chance of so many, and which is flatter at which radius."""
    rows = comparison(tables)
    rows = rows[rows["side"] == "flatness"]
    said = counted_rows(rows, "of {} measures of flatness (lower is flatter)")
    chance = _chance(tables) if (rows["n"] >= FEWEST).any() else ""
    return " ".join(filter(None, (said, chance, _by_radius(tables))))


def _of_sides(tables: Tables, name: str) -> pd.DataFrame:
    """The rows of a table about the two that are faced; none where it isn't there."""
    rows, (reference, method) = tables.get(name, pd.DataFrame({"reference": [], "method": []})), sides()
    return rows[(rows["reference"] == reference) & (rows["method"] == method)]


def _chance(tables: Tables) -> str:
    """All rows at once: how likely so many are for one side where no row differs."""
    counts = _of_sides(tables, "counts")
    counts = counts[counts["side"] == "flatness"] if len(counts) else counts
    if counts.empty:
        return ""
    one = counts.iloc[0]
    named = listed(
        [
            f"{one[f'{side}_rows']:.0f} for {label(str(one[side]))} (p = {number(one[f'p_{side}'], 2)})"
            for side in ("reference", "method")
        ]
    )
    said = f"All rows at once: {named}, where chance reaches {one['percentile']:.0f} in 5 % of cases"
    if np.isfinite(one["independent"]):  # unknown with few pairs
        said += f"; they hang together as about {number(one['independent'], 2)} independent ones would"
    return f"{said}."


def _by_radius(tables: Tables) -> str:
    """On random planes, with logits as they are and at one scale."""
    rows = _of_sides(tables, "crossovers")
    rows = rows[(rows["along"] == "plane") & (rows["loss"] == rows["loss"].iloc[0])] if len(rows) else rows
    found = {name: rows.loc[rows["logits"] == name, "verdict"] for name in ("plain", "network")} if len(rows) else {}
    said = [
        f"{words} {verdict.iloc[0].partition(': ')[2]}"
        for words, verdict in zip(("by radius", "with logits at one scale"), found.values(), strict=False)
        if len(verdict)
    ]
    return f"{label(sides()[1])} on random planes: {'; '.join(said)}." if said else ""


PICTURES = (
    Picture(
        "flatness",
        "compare",
        forest,
        PAGE,
        4.0,
        "Which minimum is flatter, by every measure",
        reading,
        310,
        narrowest=PAGE,
    ),
)
