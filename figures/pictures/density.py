"""How many eigenvalues are large: the share above each λ, by stochastic Lanczos quadrature, on logarithmic axes.

A smoothed density shows the far eigenvalues as bumps of the smoothing's own width, each a single eigenvalue. The share
of eigenvalues above λ, Σ ω over nodes θ > λ (Σ ω = 1 for a probe), needs no smoothing, falls in steps where
eigenvalues are few, and is a straight line where they follow a power law. Faint is the share below −λ. Written above
each panel are the largest eigenvalue and how far it stands above the fifth, both from the table of eigenvalues: a
single outlier has a large quotient. Rows are operators, columns losses, in raw coordinates, as in
:mod:`figures.pictures.spectra`.
"""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator

from tables.rows import check_measured

from ..style.bands import named
from ..style.look import PAGE, SMALL, caption, legend
from ..style.methods import alone, look_of, looks
from ..words.comparison import RESCALED, Tables, needed, of_one_on_each_loss, on_each_loss
from ..words.prose import number
from .picture import Picture
from .spectra import by_operator, ids, panels, raw

_SHOWN = 1e-3  # of the largest node: what is smaller is the bulk, which few nodes resolve
_FIFTH = 5
_FAINT = 0.45
_LINE = 9.0  # points that a line of text takes
_DEEPEST = 1e-8


def density(figure: Figure, frame: pd.DataFrame, eigenvalues: pd.DataFrame) -> dict[tuple[str, str, str], Line2D]:
    """Draw the share above λ into ``figure``: the mean curves by (operator, loss, method).

    Thin lines are seeds (means over probes), thick ones the mean over seeds. ``eigenvalues`` is the table hessian.
    """
    frame = raw(frame)
    frame = frame[np.isfinite(frame["node"]) & np.isfinite(frame["weight"])]
    check_measured(frame, "node")
    if "coordinates" in eigenvalues:
        eigenvalues = eigenvalues[eigenvalues["coordinates"] == "raw"]
    means: dict[tuple[str, str, str], Line2D] = {}
    high = _LINE / 72 * frame["method"].nunique()
    for operator, loss, ax, rows in panels(figure, frame, taller=high):
        grid = _grid(rows["node"])
        found = {}
        for method in looks(rows["method"]):
            part = rows[rows["method"] == method]
            if len(part):
                found[method] = _lines(ax, part, grid, method)
                means[operator, loss, method] = found[method]
        own = eigenvalues[(eigenvalues["operator"] == operator) & (eigenvalues["loss"] == loss)]
        _print(ax, own, list(found))
        ax.set(xlabel="λ", ylabel="share of eigenvalues\nabove λ", xscale="log", xlim=(grid[0], grid[-1]))
        if any((np.asarray(line.get_ydata()) > 0).any() for line in ax.lines):
            ax.set_yscale("log")
            low, high = ax.get_ylim()
            ax.set_ylim(max(low, high * _DEEPEST), high)
            ax.yaxis.set_major_locator(LogLocator(numticks=6))
    seeds = frame.groupby(["operator", "loss", "method"])["seed"].nunique()
    legend(figure, named((look_of(key[2]).label, line, [int(seeds[key])]) for key, line in means.items()))
    probes = int(frame.groupby(["checkpoint", "operator", "loss"])["probe"].nunique().max())
    below = "; faint: below −λ" if (frame["node"] < 0).any() else ""
    caption(
        figure,
        f"Stochastic Lanczos quadrature, {probes} probe{'s' * (probes > 1)} a seed, of eigenvalues above a thousandth "
        f"of the largest. Thick: mean over seeds, thin: each seed{below}. λ₁: the largest eigenvalue, and its quotient "
        "to the fifth, means over seeds.",
    )
    return means


def above(nodes: np.ndarray, weights: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """Σ ω over nodes θ > λ, at each λ of ``grid``."""
    return np.asarray((nodes[None, :] > grid[:, None]) @ weights)


def _grid(nodes: pd.Series) -> np.ndarray:
    """λ from a thousandth of the largest node's size to a little beyond it."""
    size = float(nodes.abs().max()) if len(nodes) else 1.0
    return np.geomspace(_SHOWN, 1.3, 400) * (size or 1.0)


def _lines(ax: Axes, rows: pd.DataFrame, grid: np.ndarray, method: str) -> Line2D:
    """The line of the mean, thin ones of seeds, and both below −λ where any node is."""
    look = look_of(method)
    ours, negative = (_of_seeds(rows.assign(node=sign * rows["node"]), grid) for sign in (1, -1))
    for one in ours if len(ours) > 1 else ():
        ax.plot(grid, _drawn(one), color=look.colour, linewidth=0.4, alpha=0.45)
    (mean,) = ax.plot(grid, _drawn(np.mean(ours, axis=0)), color=look.colour, linestyle=look.dash)
    if np.any(negative):
        ax.plot(grid, _drawn(np.mean(negative, axis=0)), color=look.colour, linestyle=look.dash, alpha=_FAINT)
    return mean


def _of_seeds(rows: pd.DataFrame, grid: np.ndarray) -> list[np.ndarray]:
    """The share above λ of each seed, its probes averaged."""
    found = []
    for _, seed in rows.groupby("seed"):
        probes = [
            above(one["node"].to_numpy(), one["weight"].to_numpy(), grid)
            for _, one in seed.groupby(["checkpoint", "probe"])
        ]
        found.append(np.mean(probes, axis=0))
    return found


def _drawn(share: np.ndarray) -> np.ndarray:
    """NaN where nothing is left, which a logarithmic axis doesn't show."""
    return np.where(share > 0, share, np.nan)


def _print(ax: Axes, rows: pd.DataFrame, methods: list[str]) -> None:
    """λ₁ and λ₁/λ₅ of each method, between the panel and its title, where no curve is."""
    lines = []
    for method in methods:
        own = rows[(rows["method"] == method) & np.isfinite(rows["eigenvalue"])]
        first, fifth = (own[own["rank"] == rank].groupby("seed")["eigenvalue"].mean() for rank in (1, _FIFTH))
        if len(first):
            quotient = (first / fifth.where(fifth != 0)).mean()
            text = f"{look_of(method).label}: λ₁ = {number(first.mean())}"
            lines.append(text + (f", λ₁/λ₅ = {number(quotient, 2)}" if np.isfinite(quotient) else ""))
    for place, line in enumerate(lines):
        high = (0, 2 + _LINE * (len(lines) - 1 - place))
        ax.annotate(
            line, (0.5, 1.0), xytext=high, xycoords="axes fraction", textcoords="offset points", fontsize=SMALL,
            ha="center", va="bottom",
        )  # fmt: skip
    ax.set_title(ax.get_title(), pad=5 + _LINE * len(lines))


def mean_of_density(tables: Tables) -> str:
    """The trace, which is the density's mean times the number of weights."""
    what = "the trace (the density's mean times the number of weights)"
    if alone():
        return of_one_on_each_loss(what, "trace", by_operator(needed(tables, "trace")), RESCALED)
    return on_each_loss(tables, what, ids("trace"))


PICTURES = (
    Picture(
        "density", "density", density, PAGE, 4.2, "How many eigenvalues are large", mean_of_density, 50, ("hessian",)
    ),
)
