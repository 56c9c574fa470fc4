"""Top eigenvalue of the loss that was trained on, epoch by epoch, beside the limit of what the optimizer can stand.

A row of panels for each matrix that has a limit, a column a method, on one scale. Above the dashed
line the optimizer's steps would diverge on a quadratic loss of that curvature. The line is the mean limit over seeds;
it rises as the learning rate falls.
"""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.typing import LineStyleType

from tables.reading import TableError
from tables.rows import check_measured

from ..style.bands import Curve, curve, handles, over_seeds, remark
from ..style.look import COLUMN, GREY, PAGE, caption, empty, legend, log_scale, wrapped
from ..style.methods import look_of, looks
from ..words.comparison import Tables, needed
from ..words.prose import sentence
from ..words.verdicts import each
from .picture import Picture

TRAINED = "trained"
MATRICES = {"hessian": "Hessian", "preconditioned": "preconditioned Hessian"}
_DOTTED: LineStyleType = (0, (3, 1.5))


def stability(figure: Figure, frame: pd.DataFrame) -> dict[tuple[str, str], Curve]:
    """Draw the panels into ``figure``: curves by (matrix, method)."""
    rows = limited(frame)
    matrices = [name for name in MATRICES if (rows["matrix"] == name).any()]
    shown = list(looks(rows["method"]))
    figure.set_figwidth(COLUMN if len(shown) < 3 else PAGE)
    figure.set_figheight(1.2 + 1.7 * len(matrices))
    axes = figure.subplots(len(matrices), len(shown), squeeze=False, sharex=True, sharey="row")
    curves: dict[tuple[str, str], Curve] = {}
    for line, matrix in zip(axes, matrices, strict=True):
        for ax, method in zip(line, shown, strict=True):
            part = rows[(rows["matrix"] == matrix) & (rows["method"] == method)]
            ax.set_title(wrapped(f"trained with {look_of(method).label}", figure.get_figwidth() / len(shown)))
            if len(part):
                curves[matrix, method] = _panel(ax, part, method)
            else:
                empty(ax, "not measured")
        log_scale(*line)
        _fit(line[0], [one for (name, _), one in curves.items() if name == matrix], rows, matrix)
        line[0].set_ylabel(f"top eigenvalue,\n{MATRICES[matrix]}")
    for ax in axes[-1]:
        ax.set_xlabel("epoch")
    dashed = Line2D([], [], color=GREY, linestyle=_DOTTED, linewidth=1.0, label="stability limit")
    legend(figure, [*handles(curves.values()), dashed])
    caption(figure, f"{_whose(rows)}, of the objective of training. {remark(curves.values())}")
    return curves


def limited(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows of the loss that was trained on that have a limit. Raises TableError where there is nothing in them."""
    rows = frame[frame["loss"] == TRAINED]
    if rows.empty:
        raise TableError(f"no rows of loss '{TRAINED}': the limit is about the loss that was trained on")
    check_measured(rows, "limit")
    rows = rows[np.isfinite(rows["limit"]) & rows["matrix"].isin(list(MATRICES))]
    check_measured(rows, "top_eigenvalue")
    return rows


def _panel(ax: Axes, part: pd.DataFrame, method: str) -> Curve:
    limit = over_seeds(part, ["epoch"], "limit").sort_values("epoch")
    ax.plot(limit["epoch"], limit["mean"], color=GREY, linestyle=_DOTTED, linewidth=1.0, zorder=1.5, label="_limit")
    one = curve(ax, part, "epoch", "top_eigenvalue", method)
    one.line.set_markevery(max(1, len(one.table) // 8))
    return one


def _fit(axes: Axes, curves: list[Curve], rows: pd.DataFrame, matrix: str) -> None:
    """A y range that holds the means, the upper ends of the bands, and the limit's beginning: it ends at infinity."""
    ends = np.concatenate([one.table[["mean", "high"]].to_numpy().ravel() for one in curves])
    ends = np.append(ends, rows.loc[rows["matrix"] == matrix, "limit"].min())
    ends = ends[np.isfinite(ends) & (ends > 0)]
    if len(ends):
        axes.set_ylim(0.5 * ends.min(), 5 * ends.max())


def _whose(rows: pd.DataFrame) -> str:
    kinds = sorted(rows["curvature"].unique())
    return f"{' and '.join(kinds).capitalize()} second derivatives"


def reading(tables: Tables) -> str:
    """How close the top eigenvalue comes to the optimizer's limit, at the epoch where it comes closest."""
    rows = limited(needed(tables, "stability"))
    rows = rows.assign(part=rows["top_eigenvalue"] / rows["limit"])
    clauses = []
    for name, words in MATRICES.items():
        part = rows[rows["matrix"] == name]
        if len(part):
            most = part.groupby(["checkpoint", "method", "seed"])["part"].max().reset_index()
            what = f"the top eigenvalue of the {words} over the stability limit, in the epoch where that is largest,"
            clauses.append(f"{what} is {each(most, 'part', 1.0)}")
    return sentence(*clauses)


PICTURES = (
    Picture(
        "stability", "stability", stability, COLUMN, 2.9, "Top eigenvalue along training", reading, 300, together=True,
    ),
)  # fmt: skip
