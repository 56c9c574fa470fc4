"""Accuracy against energy per image, one point per number of timesteps: the form of Figure 4B (Deng et al. 2022).

The energy is whole-network and per *image*, all its T steps together; the paper's millijoules can't be per image, so
axes differ from its figure. The vertical line is the same network without spikes, which multiplies at every synapse,
once; where it lies far from the points the caption alone says where.
"""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure

from tables.rows import check_measured, most_trained, one_split

from ..style.bands import counted, over_seeds
from ..style.look import GREY, LOOKS, SMALL, caption, legend

_UNITS = {"J": 1.0, "mJ": 1e-3, "µJ": 1e-6, "nJ": 1e-9, "pJ": 1e-12}


def unit(joules: pd.Series) -> tuple[str, float]:
    """The largest unit in which the median is at least 1, and its size in joules."""
    positive = joules[np.isfinite(joules) & (joules > 0)]
    middle = float(positive.median()) if len(positive) else 1.0
    return next(((name, size) for name, size in _UNITS.items() if middle >= size), ("pJ", 1e-12))


def accuracy(figure: Figure, frame: pd.DataFrame) -> dict[str, ErrorbarContainer]:
    """Draw accuracy against energy into ``figure``, each point labelled with its T: error bars by training.

    Of networks trained at the T that most were. Raises TableError when the table has no finite total.
    """
    split, rows = one_split(frame, "test")
    trained, rows = most_trained(rows) if "trained_timesteps" in rows else (None, rows)
    rows = rows[(rows["layer"] == "total") & np.isfinite(rows["joules"]) & np.isfinite(rows["accuracy"])]
    check_measured(rows, "joules")
    name, size = unit(rows["joules"])
    ax = figure.subplots()
    highest = rows.groupby("training")["accuracy"].mean().idxmax()
    drawn = {}
    for training in LOOKS:
        part = rows[rows["training"] == training]
        if len(part):
            drawn[training] = _points(ax, part, training, size, above=training == highest)
    ax.set(xlabel=f"energy per image ({name})", ylabel=f"{split} accuracy (%)")
    ax.margins(0.12)
    said = _twin(ax, rows, size, name)
    legend(figure, list(drawn.values()))
    images = " or ".join(f"{count:.0f}" for count in sorted(rows["images"].unique()))
    several = rows["seed"].nunique() > 1
    caption(
        figure,
        f"Accuracy on {images} {split} images. Labels: timesteps T{f', trained at T = {trained}' * bool(trained)}. "
        f"Energy of the whole network per image, all its steps together, operations as counted. {said}"
        + ("Mean and 95 % t-intervals over seeds, both ways." if several else "One seed: no interval."),
    )
    return drawn


def _points(ax: Axes, rows: pd.DataFrame, training: str, size: float, *, above: bool) -> ErrorbarContainer:
    """The points of one training, joined in the order of T, their labels above or below."""
    look = LOOKS[training]
    x = over_seeds(rows.assign(joules=rows["joules"] / size), ["timesteps"], "joules")
    y = over_seeds(rows.assign(accuracy=100 * rows["accuracy"]), ["timesteps"], "accuracy")
    bars = ax.errorbar(
        x["mean"], y["mean"], (y["high"] - y["mean"]).fillna(0.0), (x["high"] - x["mean"]).fillna(0.0),
        color=look.colour, marker=look.marker, linestyle=look.dash, linewidth=0.8, elinewidth=0.8,
        label=f"{look.label}, {counted(y['n'])}",
    )  # fmt: skip
    for steps, at, height in zip(x["timesteps"], x["mean"], y["mean"], strict=True):
        ax.annotate(
            f"{steps:.0f}", (at, height), xytext=(4, 4 if above else -4), textcoords="offset points",
            fontsize=SMALL, va="bottom" if above else "top",
        )  # fmt: skip
    return bars


def _twin(ax: Axes, rows: pd.DataFrame, size: float, name: str) -> str:
    """A line at the energy of the twin without spikes if the points are near it; what the caption says of it."""
    twin = rows["twin_joules"].dropna().unique() / size if "twin_joules" in rows else np.array([])
    if len(twin) != 1:  # the table has none, or prices differ
        return ""
    low, high = ax.get_xlim()
    shown = bool(low - (high - low) <= twin[0] <= high + (high - low))
    if shown:
        ax.axvline(twin[0], color=GREY, linewidth=0.8, linestyle="--", zorder=0)
    return f"Without spikes{' (line)' * shown}: {twin[0]:.3g}\u00a0{name}. "
