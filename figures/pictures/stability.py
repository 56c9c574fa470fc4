"""Top eigenvalue of the loss that was trained on, epoch by epoch, beside the limit of what the optimizer can stand.

A row of panels for each matrix that has a limit, SDT at the left and TET at the right, on one scale. Above the dashed
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
from ..style.look import GREY, LOOKS, caption, empty, legend, log_scale

TRAINED = "trained"
MATRICES = {"hessian": "Hessian", "preconditioned": "preconditioned Hessian"}
_DASHED: LineStyleType = (0, (3, 1.5))


def stability(figure: Figure, frame: pd.DataFrame) -> dict[tuple[str, str], Curve]:
    """Draw the panels into ``figure``: curves by (matrix, training)."""
    rows = limited(frame)
    matrices = [name for name in MATRICES if (rows["matrix"] == name).any()]
    figure.set_figheight(1.2 + 1.7 * len(matrices))
    axes = figure.subplots(len(matrices), len(LOOKS), squeeze=False, sharex=True, sharey="row")
    curves: dict[tuple[str, str], Curve] = {}
    for line, matrix in zip(axes, matrices, strict=True):
        for ax, training in zip(line, LOOKS, strict=True):
            part = rows[(rows["matrix"] == matrix) & (rows["training"] == training)]
            ax.set_title(f"trained with {LOOKS[training].label}")
            if len(part):
                curves[matrix, training] = _panel(ax, part, training)
            else:
                empty(ax, "not measured")
        log_scale(*line)
        _fit(line[0], [one for (name, _), one in curves.items() if name == matrix], rows, matrix)
        line[0].set_ylabel(f"top eigenvalue,\n{MATRICES[matrix]}")
    for ax in axes[-1]:
        ax.set_xlabel("epoch")
    dashed = Line2D([], [], color=GREY, linestyle=_DASHED, linewidth=1.0, label="stability limit")
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


def _panel(ax: Axes, part: pd.DataFrame, training: str) -> Curve:
    limit = over_seeds(part, ["epoch"], "limit").sort_values("epoch")
    ax.plot(limit["epoch"], limit["mean"], color=GREY, linestyle=_DASHED, linewidth=1.0, zorder=1.5, label="_limit")
    one = curve(ax, part, "epoch", "top_eigenvalue", training)
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
