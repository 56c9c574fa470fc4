"""Stopping when confident: accuracy against the mean number of steps used, one point for each threshold.

The faint line is the same networks with a fixed number of steps for every image. The panel on the right is the accuracy
above that line, at the same mean number of steps, the fair comparison: paired by image, and here averaged over seeds.
"""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tables.rows import check_measured, most_trained, one_split

from ..style.bands import FAINT, Curve, drawn, faint, handles, over_seeds, remark
from ..style.look import PAGE, caption, fit_percent, legend, reference
from ..style.methods import label, look_of, looks
from ..words.comparison import Tables, needed
from ..words.prose import listed, number, sentence
from ..words.verdicts import each
from .picture import Picture
from .scalability import as_trained

_THRESHOLD = 0.9


def anytime(figure: Figure, frame: pd.DataFrame, fixed: pd.DataFrame) -> dict[tuple[str, str], Curve]:
    """Draw both panels into ``figure``: curves by ("accuracy", "fixed" or "gain", method).

    ``fixed`` is the table timesteps. On one split, of networks trained at the T that most were.
    """
    split, rows = one_split(frame, "test")
    trained, rows = most_trained(rows)
    check_measured(rows, "accuracy")
    fixed = as_trained(fixed)
    fixed = fixed[(fixed["split"] == split) & (fixed["trained_timesteps"] == trained)]
    rows = rows.assign(accuracy=100 * rows["accuracy"], gain=100 * rows["gain"])
    left, right = figure.subplots(1, 2, sharex=True)
    curves: dict[tuple[str, str], Curve] = {}
    for method in looks(rows["method"]):
        part = rows[rows["method"] == method]
        same = fixed[fixed["method"] == method]
        if len(same):
            table = over_seeds(same.assign(percent=100 * same["accuracy_cumulative"]), ["timesteps"], "percent")
            table = table.sort_values("timesteps").assign(low=np.nan, high=np.nan)  # its band hides the other's
            curves["fixed", method] = drawn(left, table, "timesteps", method, marker="", alpha=FAINT)
        if len(part):
            curves["accuracy", method] = _against_steps(left, part, "accuracy", method)
            curves["gain", method] = _against_steps(right, part, "gain", method)
    reference(right, 0.0)
    fit_percent(left)
    left.set_ylabel(f"{split} accuracy (%)")
    right.set_ylabel("gain over T for all (points)")
    for ax in (left, right):
        ax.set_xlabel("mean timesteps used")
    own = [one for (kind, _), one in curves.items() if kind != "fixed"]
    legend(figure, [*handles(own), faint("faint: T for all")])
    sweep = sorted(rows["threshold"].unique())
    caption(
        figure,
        f"Stops when the largest probability of the mean output reaches a threshold, {sweep[0]:g} … {sweep[-1]:g},"
        f" at T = {rows['limit'].max():.0f} at the latest. {rows['images'].max():.0f} {split} examples; trained at"
        f" T = {trained}. {remark(curves.values())}",
    )
    return curves


def _against_steps(ax: Axes, rows: pd.DataFrame, column: str, method: str) -> Curve:
    """Means over seeds at each threshold: of ``column`` up, of the steps used across."""
    table = over_seeds(rows, ["threshold"], column)
    steps = over_seeds(rows, ["threshold"], "mean_steps").set_index("threshold")["mean"]
    table["steps"] = table["threshold"].map(steps)
    return drawn(ax, table.sort_values("threshold"), "steps", method, name=look_of(method).label)


def reading(tables: Tables) -> str:
    """What stopping at a confidence of 0.9 gains over the same number of steps for all."""
    split, rows = one_split(needed(tables, "anytime"), "test")
    _, rows = most_trained(rows)
    check_measured(rows, "threshold")
    threshold = min(rows["threshold"].dropna().unique(), key=lambda one: (abs(one - _THRESHOLD), one))
    rows = rows.assign(gain=100 * rows["gain"])[rows["threshold"] == threshold]
    steps = rows.groupby("method")["mean_steps"].mean().to_dict()
    used = listed([f"{number(steps[name])} steps with {label(name)}" for name in looks(rows["method"])])
    stop = f"stopping at a confidence of {threshold:g} takes {used} in the mean, of {rows['limit'].max():.0f}"
    gain = f"the gain over as many steps for all {split} examples, in points, is {each(rows, 'gain', 0.0)}"
    return sentence(stop, gain)


PICTURES = (
    Picture(
        "anytime", "anytime", anytime, PAGE, 2.8, "Stopping when confident", reading, 130, ("timesteps",),
        together=True,
    ),
)  # fmt: skip
