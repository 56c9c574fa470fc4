"""Accuracy against the number of timesteps: of the mean output up to T (the form of Figure 4A), and of each step alone.

A network trained at T is tested at every other T without retraining. The thin vertical line is the T it was trained at;
networks trained at different T get curves of their own.
"""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from .bands import Curve, curve, handles, remark
from .style import GREY, LOOKS, caption, legend
from .tables import check_measured

Curves = dict[tuple[str, str, int], Curve]
_MARKERS = {"train": "", "test": None}
_MEAN = "Class of the mean output. Differences paired by seed, at T = 1 and the trained T: compare.csv."
_ALPHAS = {"train": 0.45, "test": 1.0}


def cumulative(figure: Figure, frame: pd.DataFrame) -> Curves:
    """Draw the accuracy of the mean output over steps 1..T: curves by (training, split, trained T)."""
    return _accuracy(figure, frame, "accuracy_cumulative", "timesteps T at inference", _MEAN)


def at_step(figure: Figure, frame: pd.DataFrame) -> Curves:
    """Draw the accuracy of each step's output alone: curves by (training, split, trained T)."""
    return _accuracy(figure, frame, "accuracy_at_step", "timestep t", "Class of the output at step t alone.")


def _accuracy(figure: Figure, frame: pd.DataFrame, column: str, xlabel: str, what: str) -> Curves:
    ax = figure.subplots()
    check_measured(frame, column)
    rows = frame.assign(percent=100 * frame[column])
    curves: Curves = {}
    for key, part in rows.groupby(["split", "training", "trained_timesteps"]):
        split, training, trained = str(key[0]), str(key[1]), int(str(key[2]).split(".")[0])
        curves[training, split, trained] = _draw(ax, part, split, training, trained, rows)
    for trained in sorted(rows["trained_timesteps"].unique()):
        ax.axvline(trained, color=GREY, linewidth=0.6, zorder=0)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    ax.set(xlabel=xlabel, ylabel="accuracy (%)")
    legend(figure, handles(one for _, one in sorted(curves.items())))
    trained_at = ", ".join(f"{trained:.0f}" for trained in sorted(rows["trained_timesteps"].unique()))
    images = ", ".join(f"{split} {part['images'].max():.0f}" for split, part in rows.groupby("split"))
    caption(
        figure,
        f"{what} Vertical line: trained at T = {trained_at}. Images: {images}. {remark(curves.values())}",
    )
    return curves


def _draw(ax: Axes, part: pd.DataFrame, split: str, training: str, trained: int, rows: pd.DataFrame) -> Curve:
    several = f", T = {trained}" if rows["trained_timesteps"].nunique() > 1 else ""
    name = f"{LOOKS[training].label} {split}{several}"
    return curve(
        ax, part, "timesteps", "percent", training,
        marker=_MARKERS.get(split), alpha=_ALPHAS.get(split, 1.0), name=name,
    )  # fmt: skip
