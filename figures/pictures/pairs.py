"""Whether the gradients of different timesteps point the same way: cos(ḡ(t), ḡ(s)), a small heatmap per method.

ḡ(t) is the step's term of the mean gradient (equations 8 and 10, Deng et al. 2022) of the cross-entropy part of the
loss that was trained with. Cosines are averaged over seeds; the number below is their standard deviation between seeds
(n−1 in the denominator), neither a standard error nor a band. The colours span all that a cosine can be, −1 … 1 with
white at 0, and so compare between panels and between pictures. The diagonal is 1 by definition, except that a gradient
of zero has no cosine.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure

from tables.reading import TableError
from tables.rows import check_timed

from ..style.bands import counted
from ..style.look import COLUMN, PAPER, SMALL, caption, wrapped
from ..style.methods import look_of, looks
from ..words.comparison import RESCALED, Tables, incomparable, needed
from ..words.gaps import Gap, gap
from ..words.own_loss import matching, trained, under_one_loss
from ..words.prose import sentence
from ..words.verdicts import each, told
from .picture import Picture

_COLOURS = "PRGn"  # apart for the colour-blind, and neither end is a method's colour
_DARK = (-0.633, 0.743)  # beyond these, white numbers have more contrast with the cell than black ones
_UNMEASURED = "#bdbdbd"
_BESIDE, _WRITTEN = 4, 10  # the most timesteps for panels side by side, and for numbers that fit into their cells


@dataclass(frozen=True)
class Pairs:
    """One method over seeds, timestep down and other across: ``mean``, ``std`` (NaN for one seed), and ``n``."""

    mean: pd.DataFrame
    std: pd.DataFrame
    n: pd.DataFrame

    @property
    def between(self) -> np.ndarray:
        """n of the pairs of different timesteps."""
        return self.n.to_numpy()[~np.eye(len(self.n), dtype=bool)]


def pairs(frame: pd.DataFrame) -> Pairs:
    """Average the cosines of one method over seeds; those that aren't finite are not measured and left out."""
    steps = sorted({*frame["timestep"].dropna().astype(int), *frame["other"].dropna().astype(int)})
    finite = frame[np.isfinite(frame["cosine"])]
    seeds = finite.groupby(["timestep", "other", "seed"])["cosine"].mean().groupby(["timestep", "other"])
    mean, std, n = (
        one.unstack().reindex(index=steps, columns=steps) for one in (seeds.mean(), seeds.std(), seeds.count())
    )
    return Pairs(mean, std, n.fillna(0).astype(int))


def cosines(figure: Figure, frame: pd.DataFrame) -> dict[str, QuadMesh]:
    """Draw a panel per method into ``figure``, whose height is set to hold them: the cells by method.

    Panels stand side by side up to four timesteps and above each other beyond, and cells have numbers up to ten. A
    method without a finite cosine of two different timesteps is left out; raises TableError when that's all.
    """
    check_timed(frame, "timestep")
    rows = matching(frame)
    parts = {method: pairs(rows[rows["method"] == method]) for method in looks(rows["method"])}
    found = {method: one for method, one in parts.items() if one.between.any()}
    if not found:
        raise TableError("no finite cosine of two different timesteps")
    steps = max(len(one.mean) for one in found.values())
    axes = _axes(figure, len(found), beside=steps <= _BESIDE)
    cells = {}
    for ax in axes.flat[len(found) :]:
        ax.remove()
    for ax, (method, one) in zip(axes.flat, found.items(), strict=False):
        cells[method] = _panel(ax, one, written=steps <= _WRITTEN)
        ax.set_title(wrapped(f"{look_of(method).label}-trained, {counted(one.between.tolist())}", COLUMN / 2))
    for ax in axes[:, 0]:
        ax.set_ylabel("timestep t")
    for ax in axes.flat[max(0, len(found) - axes.shape[1]) : len(found)]:
        ax.set_xlabel("timestep s")
    _colours(figure, axes.flat[: len(found)], next(iter(cells.values())))
    caption(figure, _text(trained(frame), found, written=steps <= _WRITTEN))
    return cells


def _axes(figure: Figure, panels: int, *, beside: bool) -> np.ndarray:
    """As many square panels, two ``beside`` each other or one, in a figure as high as they need."""
    figure.set_layout_engine("compressed")  # no gaps where square panels leave room
    columns = min(2, panels) if beside else 1
    lines = -(-panels // columns)
    figure.set_figheight(1.15 + 1.8 * lines if beside else 1.05 + 3.15 * lines)
    return figure.subplots(lines, columns, squeeze=False)


def _panel(ax: Axes, one: Pairs, *, written: bool) -> QuadMesh:
    """The heatmap, and in its cells the mean above the deviation."""
    sns.heatmap(
        one.mean, ax=ax, vmin=-1.0, vmax=1.0, cmap=_COLOURS, cbar=False, square=True, linewidths=0.5, linecolor=PAPER,
        annot=one.mean.map(_number) if written else None, fmt="", annot_kws={"fontsize": SMALL},
    )  # fmt: skip
    means, deviations = one.mean.to_numpy(), one.std.to_numpy()
    for text in list(ax.texts):
        column, row = (int(place) for place in text.get_position())
        text.set_color("black" if _DARK[0] < means[row, column] < _DARK[1] else "white")
        deviation = deviations[row, column]
        if row == column:
            text.set_text("1")  # by definition, and so without a deviation
        elif np.isfinite(deviation):
            text.set_verticalalignment("bottom")
            below = ax.text(column + 0.5, row + 0.5, f"±{_number(deviation)}", ha="center", va="top", fontsize=SMALL)
            below.set_color(text.get_color())
    ax.set(facecolor=_UNMEASURED, xlabel="", ylabel="")
    ax.tick_params(length=0, labelrotation=0)
    (mesh,) = (drawn for drawn in ax.collections if isinstance(drawn, QuadMesh))
    return mesh


def _number(value: float) -> str:
    """Two decimals, with no zero before the point (a cosine needs none) and never minus zero."""
    return f"{round(value, 2) + 0.0:.2f}".replace("0.", ".", 1).replace("-", "−")


def _colours(figure: Figure, axes: np.ndarray, cells: QuadMesh) -> None:
    """One scale for all panels, below them and as far from them in a high figure as in a low one."""
    bar = figure.colorbar(
        cells, ax=axes, location="bottom", label="cos(ḡ(t), ḡ(s))", ticks=[-1, -0.5, 0, 0.5, 1],
        aspect=35, pad=0.1 / figure.get_figheight(),
    )  # fmt: skip
    bar.outline.set_linewidth(0.4)


def _text(loss: str, found: dict[str, Pairs], *, written: bool) -> str:
    text = f"Gradients of {loss}, at two timesteps. "
    if max(one.between.max() for one in found.values()) == 1:
        text += "One seed."
    else:
        text += "Mean ± standard deviation over seeds." if written else "Mean over seeds."
    return text + (" Grey: not measured." if any((one.n == 0).any(axis=None) for one in found.values()) else "")


def reading(tables: Tables) -> str:
    """The mean cosine between the gradients of two different timesteps, and of the first and the last."""
    frame = needed(tables, "momentum_pairs")
    frame = frame[frame["timestep"] != frame["other"]]
    if frame.empty:
        raise TableError("no two different timesteps")
    rows = matching(frame)
    first, last = rows["timestep"].min(), rows["timestep"].max()
    doubts = (*incomparable(tables), RESCALED)

    def claims(some: pd.DataFrame) -> dict[str, Gap]:
        found = {"in the mean over pairs": gap(some, "cosine", doubts=doubts)}
        if last - first > 1:
            ends = some[(some["timestep"] == first) & (some["other"] == last)]
            found[f"of steps {first:.0f} and {last:.0f}"] = gap(ends, "cosine", doubts=doubts)
        return found

    text = told("the cosine between the gradients of two timesteps", claims(rows))
    return sentence(text, *under_one_loss(frame, "it", claims), f"the mean over pairs is {each(rows, 'cosine', 0.0)}")


PICTURES = (
    Picture(
        "momentum-pairs", "momentum_pairs", cosines, COLUMN, 2.8, "Cosines between the timesteps' gradients", reading,
        150,
    ),
)  # fmt: skip
