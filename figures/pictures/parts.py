"""Where the curvature sits: in which layers of the network, and in which timesteps of a loss that is a sum over them.

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
from tables.rows import check_timed

from ..style.bands import Curve, curve, handles, remark
from ..style.look import COLUMN, PAGE, SMALL, caption, fit_means, legend, reference
from ..style.methods import alone, first_loss, looks, loss_label, losses
from ..words.comparison import RESCALED, Tables, incomparable, needed
from ..words.gaps import Gap, gap
from ..words.kinds import formal
from ..words.prose import sentence
from ..words.units import loss_unit
from ..words.verdicts import tally, told
from .momentum import reference_handle
from .picture import Picture
from .spectra import OPERATORS, raw

QUANTITIES = {"top_eigenvalue": ("top eigenvalue", "hessian"), "share": ("share of the trace", "gauss_newton")}
_SCALES = {"top_eigenvalue": (1.0, ""), "share": (100.0, "%")}  # in prose
_MOST = 24  # names of layers that fit beside each other
Curves = dict[tuple[str, str, str], Curve]


def layers(figure: Figure, frame: pd.DataFrame) -> Curves:
    """Draw top eigenvalue (above) and share of the trace by layer: curves by (quantity, loss, method)."""
    rows = raw(frame)
    order = {name: place for place, name in enumerate(dict.fromkeys(rows["layer"]))}
    rows = rows.assign(at=rows["layer"].map(order))
    shown = list(losses(rows["loss"]))
    figure.set_figheight(3.1 + 0.055 * min(24, max(map(len, order))))
    axes = figure.subplots(2, len(shown), sharex=True, sharey="row", squeeze=False)
    curves = _draw(axes, rows, shown)
    for one in curves.values():
        one.line.set(linewidth=0.5)  # layers are no scale: the line only leads the eye
    step = -(-len(order) // _MOST)
    for ax in axes[-1]:
        ax.set_xticks(range(0, len(order), step), list(order)[::step], rotation=90, fontsize=SMALL)
    return _finish(figure, curves, rows)


def steps(figure: Figure, frame: pd.DataFrame) -> Curves:
    """Draw top eigenvalue (left) and share of the trace by timestep: curves by (quantity, loss, method)."""
    rows = raw(frame)
    check_timed(rows, "timestep")
    rows = rows.assign(at=rows["timestep"])
    axes = figure.subplots(1, 2)[:, None]
    curves = _draw(axes, rows, [first_loss(rows)])
    for ax in axes.flat:
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        ax.set_xlabel("timestep t")
        ax.set_ylim(bottom=min(0.0, ax.get_ylim()[0]))
    reference(axes[1, 0], 1 / rows["timestep"].max())
    return _finish(figure, curves, rows, even=True)


def _draw(axes: np.ndarray, rows: pd.DataFrame, shown: list[str]) -> Curves:
    """A line of panels for each quantity, one a loss. Raises TableError when nothing is finite."""
    curves: Curves = {}
    for line, (name, (title, _)) in zip(axes, QUANTITIES.items(), strict=True):
        chosen = of_quantity(rows, name)
        for ax, loss in zip(line, shown, strict=True):
            here = chosen[chosen["loss"] == loss]
            for method in looks(here["method"]):
                part = here[here["method"] == method]
                if np.isfinite(part[name]).any():
                    curves[name, loss, method] = curve(ax, part, "at", name, method, beside=here)
            ax.set_title(f"{loss_label(loss)}, {formal(OPERATORS.get(operator(rows, name), ''))}", fontsize=SMALL)
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
    text = f"Eigenvalues in {loss_unit(rows['loss'])} per squared weight" + (f", {lost} not converged" if lost else "")
    whole = "their own blocks' traces" if not even else "the traces of all steps"
    wide = figure.get_figwidth() >= PAGE
    share = f"; shares of the sum of {whole}." if wide else "; shares of all steps' traces."
    caption(figure, f"{text}{share} Bands may leave the panel. {remark(curves.values())}")
    return curves


def by_layer(tables: Tables) -> str:
    """Of how many layers the top eigenvalue, and the share of the trace, is lower with which method; of one loss.

    Of one method alone, which layer has most of either.
    """
    rows = raw(needed(tables, "layers"))
    loss = first_loss(rows)
    rows, doubts = rows[rows["loss"] == loss], (*incomparable(tables), RESCALED)
    if alone():
        return sentence(*(_largest(rows, name, loss) for name in QUANTITIES))
    clauses = [
        tally(f"of {{}} layers' {words} ({_matrix(rows, name)}, {loss_label(loss)})", _gaps(rows, name, doubts))
        for name, words in {"top_eigenvalue": "top eigenvalues", "share": "shares of the trace"}.items()
    ]
    return sentence(*clauses)


def _largest(rows: pd.DataFrame, quantity: str, loss: str) -> str:
    """Of one method alone, the layer that has most of a quantity, and how much."""
    own = of_quantity(rows, quantity)
    means = own.groupby("layer", sort=False)[quantity].mean()
    if means.isna().all():
        return ""
    most = _doubted(own[own["layer"] == means.idxmax()], quantity, (RESCALED,))
    scale, unit = _SCALES[quantity]
    what = f"the largest {QUANTITIES[quantity][0]} of a layer ({_matrix(rows, quantity)}, {loss_label(loss)})"
    return told(what, {f"in {means.idxmax()}": most.scaled(scale)}, unit=unit)


def by_step(tables: Tables) -> str:
    """Top eigenvalue and share of the trace of the first and the last timestep's part of the loss."""
    rows, doubts = raw(needed(tables, "steps")), (*incomparable(tables), RESCALED)
    loss = first_loss(rows)
    rows, clauses = rows[rows["loss"] == loss], []
    for name, (scale, unit) in _SCALES.items():
        own = of_quantity(rows, name)
        claims = {
            f"at t = {at:.0f}": _doubted(own[own["timestep"] == at], name, doubts).scaled(scale)
            for at in dict.fromkeys((own["timestep"].min(), own["timestep"].max()))
        }
        what = f"the {QUANTITIES[name][0]} ({_matrix(rows, name)}) of one timestep's part of the {loss_label(loss)}"
        clauses.append(told(what, claims, unit=unit))
    return sentence(*clauses)


def _matrix(rows: pd.DataFrame, quantity: str) -> str:
    return formal(OPERATORS.get(name := operator(rows, quantity), name))


def _doubted(rows: pd.DataFrame, column: str, doubts: tuple[str, ...]) -> Gap:
    lost = column == "top_eigenvalue" and bool(rows["converged"].eq(False).any())
    return gap(rows, column, doubts=(*doubts, *("not converged",) * lost))


def _gaps(rows: pd.DataFrame, quantity: str, doubts: tuple[str, ...]) -> list[Gap]:
    own = of_quantity(rows, quantity)
    return [_doubted(part, quantity, doubts) for _, part in own.groupby("layer", sort=False)]


PICTURES = (
    Picture("layers", "layers", layers, PAGE, 4.0, "Curvature by layer", by_layer, 230),
    Picture("steps", "steps", steps, COLUMN, 2.6, "Curvature by timestep", by_step, 240),
)
