"""The outermost eigenvalues of the curvature.

Rows are operators, named in full because they are different things: the *formal* Hessian is double backward through the
surrogate derivative of the spike, Gauss–Newton is positive semi-definite. Columns are the losses the curvature is of.

Drawn are eigenvalues in raw coordinates; rows in others, which have other units, are left out.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from tables.measures import MEASURES
from tables.measures import OPERATORS as COMPARED
from tables.reading import TableError
from tables.rows import check_measured

from ..style.bands import named, offsets, over_seeds
from ..style.look import GREY, PAGE, caption, legend, narrow
from ..style.methods import alone, look_of, looks, loss_label, losses
from ..words.comparison import RESCALED, Tables, needed, of_one_on_each_loss, on_each_loss
from ..words.kinds import formal
from ..words.units import loss_unit
from .picture import Picture

OPERATORS = {
    "hessian": "formal Hessian",
    "gauss_newton": "Gauss–Newton",
    "remainder": "remainder H − G",
    "empirical_fisher": "empirical Fisher",
    "fisher": "Fisher",
}
_FOR = {"hessian": "for the formal Hessian", "gauss_newton": "for Gauss–Newton"}


def panels(
    figure: Figure, frame: pd.DataFrame, *, taller: float = 0.0
) -> Iterator[tuple[str, str, Axes, pd.DataFrame]]:
    """One panel per operator (rows) and loss (columns): operator, loss, axes, its rows of the table."""
    operators = [name for name in OPERATORS if (frame["operator"] == name).any()]
    operators += sorted(set(frame["operator"]) - set(operators))
    columns = losses(frame["loss"])
    wide = 1 if narrow(figure) else len(columns)
    figure.set_figheight(0.5 + (1.75 + taller) * len(operators) * len(columns) / wide)
    axes = figure.subplots(
        len(operators) * len(columns) // wide, wide, squeeze=False, sharey="row" if wide > 1 else False
    )
    for row, operator in zip(axes.reshape(len(operators), len(columns)), operators, strict=True):
        for ax, loss in zip(row, columns, strict=True):
            ax.set_title(f"{formal(OPERATORS.get(operator, operator))}, {loss_label(loss)}")
            yield operator, loss, ax, frame[(frame["operator"] == operator) & (frame["loss"] == loss)]


def eigenvalues(figure: Figure, frame: pd.DataFrame) -> dict[tuple[str, str, str], PathCollection]:
    """Draw each seed's eigenvalues by rank into ``figure``, and their means: the points by (operator, loss, method).

    Points of eigenvalues that did not converge are hollow.
    """
    frame = raw(frame)
    check_measured(frame, "eigenvalue")
    points: dict[tuple[str, str, str], PathCollection] = {}
    means: list[tuple[str, Line2D, pd.Series]] = []
    beside = offsets(looks(frame["method"]), 0.32)
    for operator, loss, ax, rows in panels(figure, frame):
        ranks = sorted(rows["rank"].unique(), key=lambda rank: (rank < 0, rank))
        for method in looks(rows["method"]):
            part = rows[(rows["method"] == method) & np.isfinite(rows["eigenvalue"])]
            if len(part):
                points[operator, loss, method], n = _seeds_and_mean(ax, part, ranks, method, beside[method])
                means.append((look_of(method).label, _entry(method), n))
        ax.set_xticks(range(len(ranks)), [f"{rank:.0f}".replace("-", "−") for rank in ranks])
        ax.set(xlabel="rank (1: largest, −1: smallest)", ylabel="eigenvalue")
        if (rows["eigenvalue"] < 0).any():
            ax.axhline(0.0, color=GREY, linewidth=0.5, zorder=0)
    legend(figure, named(means))
    unconverged, lost = int(frame["converged"].eq(False).sum()), int((~np.isfinite(frame["eigenvalue"])).sum())
    hollow = f" Hollow: {unconverged} not converged." if unconverged else ""
    missing = f" Not drawn: {lost} not finite." if lost else ""
    unit = f"{loss_unit(frame['loss'])} per squared weight"
    caption(figure, f"Points: seeds; bars: their mean. In {unit}.{hollow}{missing}")
    return points


def raw(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows in raw coordinates, which all are where no column says so; TableError where none are."""
    if "coordinates" not in frame:
        return frame
    chosen = frame[frame["coordinates"] == "raw"]
    if chosen.empty:
        raise TableError("no row in raw coordinates: measure with --coordinates raw or both")
    return chosen


def _seeds_and_mean(
    ax: Axes, rows: pd.DataFrame, ranks: Sequence[float], method: str, side: float
) -> tuple[PathCollection, pd.Series]:
    """Every seed's point beside the rank's tick, a bar at the mean; the points, and n."""
    look = look_of(method)
    place = {rank: i + side for i, rank in enumerate(ranks)}
    solid, clear = to_rgba(look.colour, 0.55), (0.0, 0.0, 0.0, 0.0)
    faces = [clear if converged is False else solid for converged in rows["converged"]]
    points = ax.scatter(
        rows["rank"].map(place), rows["eigenvalue"], s=9, marker=look.marker, facecolors=faces, edgecolors=look.colour,
        linewidths=0.6,
    )  # fmt: skip
    table = over_seeds(rows, ["rank"], "eigenvalue")
    ax.plot(
        table["rank"].map(place), table["mean"], linestyle="none", marker="_", markersize=9, markeredgewidth=1.6,
        color=look.colour,
    )  # fmt: skip
    return points, table["n"]


def _entry(method: str) -> Line2D:
    """A legend's line with the method's marker: bars are alike but for their colour."""
    look = look_of(method)
    return Line2D([], [], color=look.colour, marker=look.marker, linewidth=1.6, markersize=3.5)


def outermost(tables: Tables) -> str:
    """The top eigenvalue of each operator."""
    what = "the top eigenvalue"
    if alone():
        rows = needed(tables, "hessian")
        return of_one_on_each_loss(what, "eigenvalue", by_operator(rows[rows["rank"] == 1]), RESCALED)
    return on_each_loss(tables, what, ids("top_eigenvalue"))


def by_operator(frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The rows in raw coordinates of each operator that comparisons have, by the words for it."""
    frame = raw(frame)
    return {formal(words): frame[frame["operator"] == operator] for operator, words in _FOR.items()}


def ids(measure: str) -> dict[str, str]:
    """The comparison's ids of a measure of each operator that it has, by the words for it."""
    return {formal(_FOR[operator]): MEASURES[measure].asked(operator).id for operator in COMPARED}


PICTURES = (
    Picture("eigenvalues", "hessian", eigenvalues, PAGE, 4.2, "Largest and smallest eigenvalues", outermost, 40),
)
