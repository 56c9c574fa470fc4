"""Loss surfaces around the minima: the plane of Figure 2 (Deng et al. 2022), and lines through it.

:func:`planes` crosses the method a network was trained with (rows) and the loss that is drawn (columns). All panels
share levels and colours, or they could not be compared. What is contoured is the mean over draws of directions and over
seeds; a mean is smoother than any of its surfaces, which is why one level is also drawn for each seed.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.contour import QuadContourSet
from matplotlib.figure import Figure

from tables.measures import MEASURES
from tables.reading import TableError
from tables.rows import any_measured, check_measured, one_split

from ..style.bands import Curve, counted, curve, handles, remark
from ..style.contours import contours, ladder
from ..style.look import GREY, PAGE, PAPER, caption, empty, fit_percent, legend, wrapped
from ..style.methods import alone, label, look_of, looks, loss_label, losses
from ..views import IMAGES, TRAJECTORY, spanned
from ..words.comparison import Tables, needed, of_one_on_each_loss, on_each_loss
from ..words.units import loss_unit
from .picture import Picture


@dataclass(frozen=True)
class Plane:
    """The surfaces of one panel: ``mean`` over seeds and draws ``[beta, alpha]``, and each seed's mean over draws."""

    alphas: np.ndarray
    betas: np.ndarray
    mean: np.ndarray
    seeds: dict[float, np.ndarray]
    draws: int

    @property
    def spread(self) -> float:
        """Standard deviation between seeds, root mean square over the plane; NaN for one seed."""
        stack = np.array(list(self.seeds.values()))
        stack[~np.isfinite(stack)] = np.nan
        enough = np.isfinite(stack).sum(axis=0) > 1
        return float(np.sqrt(np.nanvar(stack[:, enough], axis=0, ddof=1).mean())) if enough.any() else float("nan")

    @property
    def lowest(self) -> tuple[float, float, float]:
        """alpha, beta and value of the grid point where the mean is lowest."""
        row, column = np.unravel_index(np.nanargmin(self.mean), self.mean.shape)
        return float(self.alphas[column]), float(self.betas[row]), float(self.mean[row, column])


def plane(frame: pd.DataFrame) -> Plane:
    """Average the rows of one panel: over draws in each seed, then over seeds.

    Raises TableError for a grid of fewer than two by two points.
    """
    by_seed = {seed: _grid(frame[frame["seed"] == seed]) for seed in sorted(frame["seed"].unique())}
    everywhere = _grid(frame)
    seeds = {seed: grid.reindex_like(everywhere).to_numpy(copy=True) for seed, grid in by_seed.items()}
    stack = np.array(list(seeds.values()))
    counts = (~np.isnan(stack)).sum(axis=0)
    total = np.where(np.isnan(stack), 0.0, stack).sum(axis=0)
    mean = np.where(counts > 0, total / np.maximum(counts, 1), np.nan)
    if min(mean.shape) < 2:
        raise TableError(f"a plane needs at least 2 by 2 points, got {mean.shape[0]} by {mean.shape[1]}")
    draws = int(frame.groupby("seed")["draw"].nunique().max())
    return Plane(everywhere.columns.to_numpy(), everywhere.index.to_numpy(), mean, seeds, draws)


def _grid(rows: pd.DataFrame) -> pd.DataFrame:
    """Mean over draws, beta down and alpha across; a loss of −∞ is no loss and counts as not measured."""
    return rows.replace({"value": -np.inf}, np.nan).groupby(["beta", "alpha"])["value"].mean().unstack()


def planes(figure: Figure, frame: pd.DataFrame) -> dict[tuple[str, str], QuadContourSet]:
    """Draw the panels into ``figure``, whose height is set to hold them: the filled contours by (method, loss)."""
    split, rows = one_split(_kind(frame, "plane"), "train")
    methods, shown = list(looks(rows["method"])), list(losses(rows["loss"]))
    crossed = list(product(methods, shown))
    groups = {key: rows[(rows["method"] == key[0]) & (rows["loss"] == key[1])] for key in crossed}
    check_measured(rows, "value")
    found = {key: plane(part) for key, part in groups.items() if np.isfinite(part["value"]).any()}
    levels = ladder(np.concatenate([one.mean.ravel() for one in found.values()]))
    figure.set_layout_engine("compressed")  # square panels without gaps
    figure.set_figheight(1.0 + min(2.5, 5.6 / len(shown)) * len(methods))
    axes = figure.subplots(len(methods), len(shown), sharex=True, sharey=True, squeeze=False)
    filled: dict[tuple[str, str], QuadContourSet] = {}
    for (method, loss), ax in zip(crossed, axes.flat, strict=True):
        if (method, loss) in found:
            filled[method, loss] = _panel(ax, found[method, loss], levels)
        else:
            empty(ax, f"nothing measured on\nnetworks trained with {look_of(method).label}")
    _name_axes(axes, methods, shown, found)
    words = f"loss on {IMAGES.get(split, split)} ({loss_unit(shown)})"
    bar = figure.colorbar(next(iter(filled.values())), ax=axes, ticks=levels, label=words, aspect=35, pad=0.02)
    bar.outline.set_linewidth(0.4)
    _plane_caption(figure, found, levels, _words(rows))
    return filled


def _kind(frame: pd.DataFrame, kind: str) -> pd.DataFrame:
    """Lines or planes along random directions where the table has them, and else along the first that it has.

    Those along a run's own trajectory are not averaged, and have a picture of their own.
    """
    rows = spanned(frame, kind)
    found = [name for name in dict.fromkeys(rows["directions"]) if name != TRAJECTORY]
    if not found:
        raise TableError(f"no {kind} but along trajectories, which have a picture of their own")
    return rows[rows["directions"] == ("random" if "random" in found else found[0])]


def _words(rows: pd.DataFrame) -> str:
    directions = str(rows["directions"].iloc[0])
    return "filter-normalised random" if directions == "random" else directions


def _panel(ax: Axes, one: Plane, levels: np.ndarray) -> QuadContourSet:
    filled = contours(ax, one.alphas, one.betas, one.mean, levels)
    _each_seed(ax, one, levels)
    alpha, beta, _ = one.lowest
    ax.plot([alpha], [beta], "x", color=PAPER, markersize=4.5, markeredgewidth=1.2, label="minimum")
    ax.set(box_aspect=1)
    ax.locator_params(nbins=5)
    return filled


def _each_seed(ax: Axes, one: Plane, levels: np.ndarray) -> None:
    """The second level of the ladder for every seed: how far the basin's width varies between trainings."""
    level = levels[min(1, len(levels) - 1)]
    for grid in one.seeds.values() if len(one.seeds) > 1 else ():
        finite = np.ma.masked_invalid(grid)
        if finite.min() < level < finite.max():
            ax.contour(one.alphas, one.betas, finite, levels=[level], colors=PAPER, linewidths=0.5, alpha=0.8)


def _name_axes(axes: np.ndarray, methods: list[str], shown: list[str], found: dict[tuple[str, str], Plane]) -> None:
    for ax, loss in zip(axes[0], shown, strict=True):
        ax.set_title(wrapped(loss_label(loss), PAGE / len(shown)))
    for ax, method in zip(axes[:, 0], methods, strict=True):
        n = [len(one.seeds) for (trained, _), one in found.items() if trained == method]
        ax.set_ylabel(wrapped(f"trained with {look_of(method).label} ({counted(n)})\nβ", 2.0))
    for ax in axes[-1]:
        ax.set_xlabel("α")


def _plane_caption(figure: Figure, found: dict[tuple[str, str], Plane], levels: np.ndarray, directions: str) -> None:
    pairs = {f"{look_of(method).label}/{label(loss)}": one for (method, loss), one in found.items()}
    lowest = ", ".join(f"{name} {one.lowest[2]:.2g}" for name, one in pairs.items())
    spread = ", ".join(f"{one.spread:.2g}" for one in found.values())
    draws = max(one.draws for one in found.values())
    text = (
        f"Contours: mean over seeds and {draws} draw{'s' * (draws > 1)} of {directions} directions, the trained "
        f"weights at (0, 0). Cross: lowest grid point ({lowest}; trained with/loss)."
    )
    if any(len(one.seeds) > 1 for one in found.values()):
        level = levels[min(1, len(levels) - 1)]
        text += f" White lines: {level:.3g}, each seed. Standard deviation between seeds, same order: {spread}."
    off = int(sum(np.isinf(one.mean).sum() for one in found.values()))
    caption(figure, text + (f" {off} infinite points: ∞, in the last colour." if off else ""))


def lines(figure: Figure, frame: pd.DataFrame) -> dict[tuple[str, str], Curve]:
    """Draw loss and accuracy against α into ``figure``: curves by (panel, method), a panel a loss, and accuracy.

    Losses share one scale. Accuracy, where there is any, does not depend on the loss that is drawn and has one panel.
    """
    split, rows = one_split(_kind(frame, "line"), "train")
    check_measured(rows, "value", "accuracy")
    rows = rows.assign(accuracy=100 * rows["accuracy"])
    shown, right = losses(rows["loss"]), any_measured(rows, "accuracy")
    axes = figure.subplots(1, len(shown) + right, squeeze=False)[0]
    for ax in axes[1 : len(shown)]:
        ax.sharey(axes[0])
    curves: dict[tuple[str, str], Curve] = {}
    for ax, loss in zip(axes, shown, strict=False):
        part = rows[rows["loss"] == loss]
        curves |= {(loss, method): one for method, one in _by_method(ax, part, "value")}
        ax.set(title=loss_label(loss), xlabel="α", ylabel=f"loss ({loss_unit([loss])})")
    if right:
        curves |= {("accuracy", method): one for method, one in _by_method(axes[-1], rows, "accuracy")}
        axes[-1].set(title="accuracy", xlabel="α", ylabel="accuracy (%)")
        fit_percent(axes[-1])
    for ax in axes:
        ax.axvline(0.0, color=GREY, linewidth=0.5, zorder=0)
    legend(figure, handles(curves.values()))
    draws = int(rows.groupby("seed")["draw"].nunique().max())
    caption(
        figure,
        f"Along {draws} {_words(rows)} direction{'s' * (draws > 1)} a seed, on {IMAGES.get(split, split)}, "
        f"averaged within a seed. {remark(curves.values())}",
    )
    return curves


def _by_method(ax: Axes, rows: pd.DataFrame, value: str) -> Iterator[tuple[str, Curve]]:
    for method in looks(rows["method"]):
        part = rows[rows["method"] == method]
        if len(part):
            yield method, curve(ax, part, "alpha", value, method, marker="")


def near_on_planes(tables: Tables) -> str:
    """The mean rise near the weights, on planes."""
    return _near(tables, "plane")


def near_on_lines(tables: Tables) -> str:
    """The mean rise near the weights, on lines."""
    return _near(tables, "line")


def _near(tables: Tables, kind: str) -> str:
    what = f"the mean rise within half a unit of the weights on random {kind}s"
    if alone():
        _, rows = one_split(_kind(needed(tables, "shapes"), kind), "train")
        return of_one_on_each_loss(what.replace("random", _words(rows)), "mean_rise", {"": rows})
    return on_each_loss(tables, what, {"": MEASURES["rise_within"].asked(kind, "0.5").id})


PICTURES = (
    Picture("surfaces", "surface", planes, PAGE, 6.0, "Loss surfaces around the weights", near_on_planes, 10),
    Picture("surface-lines", "surface", lines, PAGE, 2.6, "Loss along lines through the weights", near_on_lines, 20),
)
