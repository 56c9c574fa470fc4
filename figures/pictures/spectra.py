"""Curvature spectra: the outermost eigenvalues, and the spectral density by stochastic Lanczos quadrature.

Rows are operators, named in full because they are different things: the *formal* Hessian is double backward through the
surrogate derivative of the spike, Gauss–Newton is positive semi-definite. Columns are the losses the curvature is of.

A density's nodes θ and weights ω (Σω = 1 for a probe) are smoothed by a Gaussian of width σ, Σ ω·N(λ; θ, σ²), so that
the area under a curve is one whatever σ; all methods of a panel get the same σ. No peak is narrower than σ: widths
of that size are the smoothing's and not the spectrum's.

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
from ..style.look import GREY, PAGE, caption, legend
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
_FLOOR = 1e-6  # of the highest peak: one eigenvalue of a million


def panels(figure: Figure, frame: pd.DataFrame) -> Iterator[tuple[str, str, Axes, pd.DataFrame]]:
    """One panel per operator (rows) and loss (columns): operator, loss, axes, its rows of the table."""
    operators = [name for name in OPERATORS if (frame["operator"] == name).any()]
    operators += sorted(set(frame["operator"]) - set(operators))
    columns = losses(frame["loss"])
    figure.set_figheight(0.75 + 1.75 * len(operators))
    axes = figure.subplots(len(operators), len(columns), squeeze=False, sharey="row")
    for row, operator in zip(axes, operators, strict=True):
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
                points[operator, loss, method], mean, n = _seeds_and_mean(ax, part, ranks, method, beside[method])
                means.append((look_of(method).label, mean, n))
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
) -> tuple[PathCollection, Line2D, pd.Series]:
    """Every seed's point beside the rank's tick, a bar at the mean, and n."""
    look = look_of(method)
    place = {rank: i + side for i, rank in enumerate(ranks)}
    solid, clear = to_rgba(look.colour, 0.55), (0.0, 0.0, 0.0, 0.0)
    faces = [clear if converged is False else solid for converged in rows["converged"]]
    points = ax.scatter(
        rows["rank"].map(place), rows["eigenvalue"], s=9, marker=look.marker, facecolors=faces, edgecolors=look.colour,
        linewidths=0.6,
    )  # fmt: skip
    table = over_seeds(rows, ["rank"], "eigenvalue")
    (mean,) = ax.plot(
        table["rank"].map(place), table["mean"], linestyle="none", marker="_", markersize=9, markeredgewidth=1.6,
        color=look.colour,
    )  # fmt: skip
    return points, mean, table["n"]


def smoothed(nodes: np.ndarray, weights: np.ndarray, grid: np.ndarray, width: float) -> np.ndarray:
    """Σ ω·N(λ; θ, σ²) at each λ of ``grid``, σ = ``width``."""
    scaled = (grid[:, None] - nodes[None, :]) / width
    return (np.exp(-0.5 * scaled**2) @ weights) / (width * np.sqrt(2 * np.pi))


def density(figure: Figure, frame: pd.DataFrame) -> dict[tuple[str, str, str], Line2D]:
    """Draw the spectral density into ``figure``, log y: the mean curves by (operator, loss, method).

    σ is a hundredth of the panel's range. Thin lines are seeds (means over probes), thick ones the mean over seeds.
    """
    frame = raw(frame)
    frame = frame[np.isfinite(frame["node"]) & np.isfinite(frame["weight"])]
    check_measured(frame, "node")
    means: dict[tuple[str, str, str], Line2D] = {}
    for operator, loss, ax, rows in panels(figure, frame):
        grid, width = _grid(rows["node"])
        for method in looks(rows["method"]):
            part = rows[rows["method"] == method]
            if len(part):
                means[operator, loss, method] = _density_lines(ax, part, grid, width, method)
        ax.set(xlabel="eigenvalue", ylabel="density")
        peak = max((np.max(line.get_ydata()) for key, line in means.items() if key[:2] == (operator, loss)), default=0)
        if peak > 0:
            ax.set(yscale="log", ylim=(_FLOOR * peak, 3 * peak))
        ax.axvline(0.0, color=GREY, linewidth=0.5, zorder=0)
    seeds = frame.groupby(["operator", "loss", "method"])["seed"].nunique()
    legend(figure, named((look_of(key[2]).label, line, [int(seeds[key])]) for key, line in means.items()))
    probes = int(frame.groupby(["checkpoint", "operator", "loss"])["probe"].nunique().max())
    caption(
        figure,
        f"Stochastic Lanczos quadrature, {probes} probe{'s' * (probes > 1)} a seed, smoothed with σ = 1 % of the "
        "panel's range, which spreads mass by σ, also below zero; thick: mean over seeds, thin: each seed. Cut off at "
        "a millionth of the peak.",
    )
    return means


def _grid(nodes: pd.Series) -> tuple[np.ndarray, float]:
    """Where the panel's densities are evaluated, six widths beyond the outermost nodes, and the width σ."""
    if nodes.empty:
        return np.array([0.0, 1.0]), 1.0
    low, high = float(nodes.min()), float(nodes.max())
    width = 0.01 * (high - low) or 0.01 * abs(high) or 0.01
    return np.linspace(low - 6 * width, high + 6 * width, 561), width


def _density_lines(ax: Axes, rows: pd.DataFrame, grid: np.ndarray, width: float, method: str) -> Line2D:
    look, curves = look_of(method), []
    for _, seed in rows.groupby("seed"):
        repeats = [
            smoothed(probe["node"].to_numpy(), probe["weight"].to_numpy(), grid, width)
            for _, probe in seed.groupby(["checkpoint", "probe"])
        ]
        curves.append(np.mean(repeats, axis=0))
    if len(curves) > 1:
        for one in curves:
            ax.plot(grid, one, color=look.colour, linewidth=0.4, alpha=0.45)
    (mean,) = ax.plot(grid, np.mean(curves, axis=0), color=look.colour, linestyle=look.dash)
    return mean


def outermost(tables: Tables) -> str:
    """The top eigenvalue of each operator."""
    what = "the top eigenvalue"
    if alone():
        rows = needed(tables, "hessian")
        return of_one_on_each_loss(what, "eigenvalue", _by_operator(rows[rows["rank"] == 1]), RESCALED)
    return on_each_loss(tables, what, _ids("top_eigenvalue"))


def mean_of_density(tables: Tables) -> str:
    """The trace, which is the density's mean times the number of weights."""
    what = "the trace (the density's mean times the number of weights)"
    if alone():
        return of_one_on_each_loss(what, "trace", _by_operator(needed(tables, "trace")), RESCALED)
    return on_each_loss(tables, what, _ids("trace"))


def _by_operator(frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The rows in raw coordinates of each operator that comparisons have, by the words for it."""
    frame = raw(frame)
    return {formal(words): frame[frame["operator"] == operator] for operator, words in _FOR.items()}


def _ids(measure: str) -> dict[str, str]:
    """The comparison's ids of a measure of each operator that it has, by the words for it."""
    return {formal(_FOR[operator]): MEASURES[measure].asked(operator).id for operator in COMPARED}


PICTURES = (
    Picture("eigenvalues", "hessian", eigenvalues, PAGE, 4.2, "Largest and smallest eigenvalues", outermost, 40),
    Picture("density", "density", density, PAGE, 4.2, "Spectral density", mean_of_density, 50),
)
