"""Where the curvature sits: in which layers of the network, and in which timesteps of the TET loss.

The top eigenvalue of each part is the formal Hessian's where the table has it. The share of the trace is Gauss–Newton's
where the table has it: that matrix is positive semi-definite, so its shares lie between 0 and 1, and those of a formal
Hessian need not. Shares are taken within a checkpoint and sum to 1. Layers stand in the order of the network, their
weights in raw coordinates, in which a layer changes its curvature with its scale.
"""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from tables.reading import TableError

from ..style.bands import Curve, curve, handles, remark
from ..style.look import LOOKS, LOSSES, PAGE, SMALL, caption, fit_means, legend, reference
from .momentum import reference_handle
from .spectra import OPERATORS, raw

QUANTITIES = {"top_eigenvalue": ("top eigenvalue", "hessian"), "share": ("share of the trace", "gauss_newton")}
_MOST = 24  # names of layers that fit beside each other
Curves = dict[tuple[str, str, str], Curve]


def layers(figure: Figure, frame: pd.DataFrame) -> Curves:
    """Draw top eigenvalue (above) and share of the trace by layer: curves by (quantity, loss, training)."""
    rows = raw(frame)
    order = {name: place for place, name in enumerate(dict.fromkeys(rows["layer"]))}
    rows = rows.assign(at=rows["layer"].map(order))
    losses = [name for name in LOSSES if (rows["loss"] == name).any()]
    figure.set_figheight(3.1 + 0.055 * min(24, max(map(len, order))))
    axes = figure.subplots(2, len(losses), sharex=True, sharey="row", squeeze=False)
    curves = _draw(axes, rows, losses)
    for one in curves.values():
        one.line.set_linestyle((0, (1, 2)))  # layers are no scale: the line only leads the eye
    step = -(-len(order) // _MOST)
    for ax in axes[-1]:
        ax.set_xticks(range(0, len(order), step), list(order)[::step], rotation=90, fontsize=SMALL)
    return _finish(figure, curves, rows)


def steps(figure: Figure, frame: pd.DataFrame) -> Curves:
    """Draw top eigenvalue (left) and share of the trace by timestep: curves by (quantity, "tet", training)."""
    rows = raw(frame)
    rows = rows.assign(at=rows["timestep"])
    axes = figure.subplots(1, 2)[:, None]
    curves = _draw(axes, rows, ["tet"])
    for ax in axes.flat:
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        ax.set_xlabel("timestep t")
        ax.set_ylim(bottom=min(0.0, ax.get_ylim()[0]))
    reference(axes[1, 0], 1 / rows["timestep"].max())
    return _finish(figure, curves, rows, even=True)


def _draw(axes: np.ndarray, rows: pd.DataFrame, losses: list[str]) -> Curves:
    """A line of panels for each quantity, one a loss. Raises TableError when nothing is finite."""
    curves: Curves = {}
    for line, (name, (title, _)) in zip(axes, QUANTITIES.items(), strict=True):
        chosen = of_quantity(rows, name)
        for ax, loss in zip(line, losses, strict=True):
            for training in LOOKS:
                part = chosen[(chosen["training"] == training) & (chosen["loss"] == loss)]
                if np.isfinite(part[name]).any():
                    curves[name, loss, training] = curve(ax, part, "at", name, training)
            ax.set_title(f"{LOSSES[loss]}, {OPERATORS.get(operator(rows, name), '')}", fontsize=SMALL)
            ax.set_ylabel(title if ax is line[0] else "")
        ends = [one.table[["mean", "low", "high"]] for key, one in curves.items() if key[0] == name]
        if ends:
            table = pd.concat(ends)
            low = 0.0 if not (table["mean"] < 0).any() else -np.inf
            fit_means(line[0], table["mean"], table[["low", "high"]].to_numpy().ravel(), low=low, high=np.inf)
    if not curves:
        raise TableError("no finite value of top_eigenvalue, trace")
    return curves


def operator(rows: pd.DataFrame, quantity: str) -> str:
    """The matrix a quantity is taken of: the one it is made for, or the first in the table."""
    found = list(dict.fromkeys(rows["operator"]))
    wanted = QUANTITIES[quantity][1]
    return wanted if wanted in found else str(found[0])


def of_quantity(rows: pd.DataFrame, quantity: str) -> pd.DataFrame:
    """The rows of the matrix that ``quantity`` is taken of, with each part's share of its checkpoint's trace."""
    chosen = rows[rows["operator"] == operator(rows, quantity)]
    with np.errstate(invalid="ignore"):  # infinities of both signs have no sum
        total = chosen.groupby(["checkpoint", "loss"])["trace"].transform(lambda traces: traces.sum(skipna=False))
    return chosen.assign(share=chosen["trace"] / total.where(total != 0))


def _finish(figure: Figure, curves: Curves, rows: pd.DataFrame, *, even: bool = False) -> Curves:
    legend(figure, [*handles(curves.values()), *([reference_handle("even share 1/T")] if even else [])])
    lost = int(of_quantity(rows, "top_eigenvalue")["converged"].eq(False).sum())
    text = "Eigenvalues in nats per squared weight" + (f", {lost} not converged" if lost else "")
    whole = "their own blocks' traces" if not even else "the traces of all steps"
    wide = figure.get_figwidth() >= PAGE
    share = f"; shares of the sum of {whole}." if wide else "; shares of all steps' traces."
    caption(figure, f"{text}{share} Bands may leave the panel. {remark(curves.values())}")
    return curves
