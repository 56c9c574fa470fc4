"""Accuracy against energy per image, one point per number of timesteps: the form of Figure 4B (Deng et al. 2022).

The energy is whole-network and per *image*, all its T steps together; the paper's millijoules can't be per image, so
axes differ from its figure. The vertical line is the same network without spikes, which multiplies at every synapse,
once; where it lies far from the points the caption alone says where. Papers reckon firing rates times the synapses of
pooled maps; what that would give stands in the caption, since it can lie on the other side of the line.
"""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure

from tables.interval import FEWEST
from tables.reading import TableError
from tables.rows import check_measured, check_timed, most_trained, one_split

from ..style.bands import compared_means, counted, half_of
from ..style.look import COLUMN, GREY, SMALL, caption, fit_percent, legend
from ..style.methods import look_of, looks
from ..words.comparison import Tables, needed
from ..words.gaps import gap
from ..words.prose import listed, number, sentence
from ..words.verdicts import told
from .picture import Picture

_ABOVE, _BELOW = (4, "bottom"), (-4, "top")
_INTERVALS = {
    False: "Mean and 95 % t-intervals over seeds, both ways.",
    True: "Bars: 95 % intervals of differences from the reference, by seed, both ways.",
}
_UNITS = {"J": 1.0, "mJ": 1e-3, "µJ": 1e-6, "nJ": 1e-9, "pJ": 1e-12}


def unit(joules: pd.Series) -> tuple[str, float]:
    """The largest unit in which the median is at least 1, and its size in joules."""
    positive = joules[np.isfinite(joules) & (joules > 0)]
    middle = float(positive.median()) if len(positive) else 1.0
    return next(((name, size) for name, size in _UNITS.items() if middle >= size), ("pJ", 1e-12))


def accuracy(figure: Figure, frame: pd.DataFrame) -> dict[str, ErrorbarContainer]:
    """Draw accuracy against energy into ``figure``, each point labelled with its T: error bars by method.

    Of networks trained at the T that most were. Raises TableError when the table has no finite total, no accuracy
    beside it, or T = 1 alone.
    """
    split, rows = one_split(frame, "test")
    trained, rows = most_trained(rows) if "trained_timesteps" in rows else (None, rows)
    rows = rows[(rows["layer"] == "total") & np.isfinite(rows["joules"])]
    check_measured(rows, "joules")
    check_timed(rows)
    rows = rows[np.isfinite(rows["accuracy"])]
    if rows.empty:
        raise TableError("no accuracy to set against the energy")
    name, size = unit(rows["joules"])
    ax = figure.subplots()
    order = list(rows.groupby("method")["accuracy"].mean().sort_values().index)
    sides = {order[0]: _BELOW} | {order[-1]: _ABOVE}  # those between would be labelled over each other
    drawn = {}
    for method in looks(rows["method"]):
        if (rows["method"] == method).any():
            drawn[method] = _points(ax, rows, method, size, sides.get(method))
    ax.set(xlabel=f"energy per example ({name})", ylabel=f"{split} accuracy (%)")
    ax.margins(0.12)
    fit_percent(ax)
    at = f", trained at T = {trained}" if trained else ""
    between = ", the same order on curves between" if len(order) > 2 else ""
    said = _twin(ax, rows, size, name) + _by_rate(rows, trained)
    legend(figure, list(drawn.values()))
    images = " or ".join(f"{count:.0f}" for count in sorted(rows["images"].unique()))
    several = bool(rows.groupby("method")["seed"].nunique().max() >= FEWEST)
    caption(
        figure,
        f"Accuracy on {images} {split} examples. Labels: timesteps T{between}{at}. "
        f"Energy of the whole network per example, all its steps together, operations as counted. {said}"
        + (_INTERVALS[rows["method"].nunique() > 1] if several else "Fewer than three seeds: no interval."),
    )
    return drawn


def _points(ax: Axes, every: pd.DataFrame, method: str, size: float, side: tuple[int, str] | None) -> ErrorbarContainer:
    """The points of one method among ``every``, joined in the order of T, their labels to a side, or none."""
    look = look_of(method)
    every = every.assign(joules=every["joules"] / size, accuracy=100 * every["accuracy"])
    rows = every[every["method"] == method]
    x, y = (compared_means(rows, "timesteps", column, every)[0] for column in ("joules", "accuracy"))
    bars = ax.errorbar(
        x["mean"], y["mean"], half_of(y), half_of(x),
        color=look.colour, marker=look.marker, linestyle=look.dash, linewidth=0.8, elinewidth=0.8,
        label=f"{look.label}, {counted(y['n'])}",
    )  # fmt: skip
    if side:
        style: dict[str, Any] = {"textcoords": "offset points", "fontsize": SMALL, "va": side[1]}
        for steps, at, height in zip(x["timesteps"], x["mean"], y["mean"], strict=True):
            ax.annotate(f"{steps:.0f}", (at, height), xytext=(4, side[0]), **style)
    return bars


def _twin(ax: Axes, rows: pd.DataFrame, size: float, name: str) -> str:
    """A line at the energy of the twin without spikes if the points are near it; what the caption says of it."""
    twin = rows["twin_joules"].dropna().unique() / size if "twin_joules" in rows else np.array([])
    if len(twin) != 1:  # the table has none, or prices differ
        return ""
    low, high = ax.get_xlim()
    shown = bool(low - (high - low) <= twin[0] <= high + (high - low))
    if shown:
        ax.axvline(twin[0], color=GREY, linewidth=0.8, linestyle=(0, (1, 1.5)), zorder=0)
    return f"Without spikes{' (line)' * shown}: {twin[0]:.3g}\u00a0{name}. "


def own_twin(rows: pd.DataFrame) -> bool:
    """Whether networks take what they would without spikes: nothing fires then, and there is no other convention."""
    return "twin_joules" in rows and bool(np.allclose(rows["twin_joules"], rows["joules"], rtol=1e-6, atol=0.0))


def pooled(rows: pd.DataFrame) -> bool:
    """Whether spikes are averaged before they meet synapses; of older tables, whether both ways of counting differ."""
    if "window" in rows:
        return bool((rows["window"] > 1).any())
    return not np.allclose(rows["joules_by_rate"], rows["joules"], rtol=1e-6, atol=0.0, equal_nan=True)


def by_rate(rows: pd.DataFrame, method: str) -> float:
    """The mean over seeds of what firing rates times pooled synapses would take, in joules; NaN where no row says.

    And where nothing is pooled.
    """
    if "joules_by_rate" not in rows or not pooled(rows):
        return float("nan")
    part = rows[(rows["method"] == method) & np.isfinite(rows["joules_by_rate"])]
    return float(part.groupby("seed")["joules_by_rate"].mean().mean())


def _by_rate(rows: pd.DataFrame, trained: int | None) -> str:
    """What the caption says of the other convention, at the T trained at or else the largest."""
    steps = trained if trained in set(rows["timesteps"]) else rows["timesteps"].max()
    chosen = rows[rows["timesteps"] == steps]
    name, size = unit(chosen["joules"])
    found = {look.label: by_rate(chosen, method) / size for method, look in looks(chosen["method"]).items()}
    told = [f"{joules:.3g}\u00a0{name} ({label})" for label, joules in found.items() if np.isfinite(joules)]
    if not told:
        return ""
    reckoned = f"Firing rates times the synapses of pooled maps, as papers reckon: {listed(told)}"
    return f"{reckoned} at T = {steps:.0f}. "


def reading(tables: Tables) -> str:
    """The energy per image at the trained T, and what decides on which side of the network without spikes it lies."""
    split, rows = one_split(needed(tables, "energy"), "test")
    total = rows[rows["layer"] == "total"]
    if total.empty:
        raise TableError("no row for the whole network")
    trained, total = most_trained(total) if "trained_timesteps" in total else (int(total["timesteps"].max()), total)
    total = total[total["timesteps"] == trained]
    name, size = unit(total["joules"])
    at = f"at T = {trained}" if total["timesteps"].max() > 1 else ""
    claims = {at: gap(total, "joules").scaled(1 / size)}
    return sentence(
        told(f"the energy per example on {split} examples", claims, unit=name), _convention(total, name, size)
    )


def _convention(total: pd.DataFrame, name: str, size: float) -> str:
    """What firing rates times pooled synapses give, the twin without spikes, and whether it lies between for all.

    Nothing of networks that are their own twin: they don't spike.
    """
    if own_twin(total):
        return ""
    reckoned = {look.label: by_rate(total, method) / size for method, look in looks(total["method"]).items()}
    values = listed([f"{number(one)} {name} with {label}" for label, one in reckoned.items() if np.isfinite(one)])
    if not values:
        return ""
    said = f"firing rates times the synapses of pooled maps, as papers reckon, would make it {values}"
    twin = total["twin_joules"].dropna().unique() if "twin_joules" in total else np.array([])
    if len(twin) != 1:
        return said
    sides = [set(total[column].dropna() > twin[0]) for column in ("joules", "joules_by_rate")]
    turned = len(sides[0]) == len(sides[1]) == 1 and sides[0] != sides[1]
    between = ", which lies between the two for every network: which takes less depends on how pooling is counted"
    return f"{said}; without spikes it would take {number(twin[0] / size)} {name}{between if turned else ''}"


PICTURES = (Picture("energy", "energy", accuracy, COLUMN, 2.8, "Accuracy against energy", reading, 210),)
