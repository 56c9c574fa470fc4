"""Curvature of the true loss against the radius it is measured at, beside the formal curvature of the same direction.

A spiking network's loss is a staircase: its second difference [L(w + ru) − 2L(w) + L(w − ru)]/r² has no limit as r → 0
but grows like noise/r², and only at a stated radius is it a number. A log axis can't show negative values: what is
drawn is the absolute value of the mean over seeds, with a hollow marker where the mean is negative, and a marker on the
bottom edge where it is zero. Where the interval contains zero the curve is faint and has no band: there a difference of
losses can't be told from noise. Radii at which that is so of every method are shaded.
"""

from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from tables.reading import TableError
from tables.rows import check_measured

from ..style.bands import Curve, handles, over_seeds, remark
from ..style.decided import FAINT, decided, shade
from ..style.look import GREY, PAGE, caption, empty, legend, log_scale
from ..style.methods import first_loss, label, look_of, looks, loss_label, losses
from ..words.comparison import Tables, needed
from ..words.gaps import mean
from ..words.kinds import formal
from ..words.prose import listed, number, sentence
from ..words.units import loss_unit
from .picture import Picture

_TINY = 1e-12  # stands for zero on a log axis: below every panel
DIRECTIONS = {"top": "top formal eigenvector", "random": "random, filter-normalised"}


def radii(figure: Figure, frame: pd.DataFrame) -> dict[tuple[str, str, str], Curve]:
    """Draw |second difference| against relative radius into ``figure``: curves by (direction, loss, method)."""
    check_measured(frame, "second_difference")
    directions = [name for name in DIRECTIONS if (frame["direction"] == name).any()]
    directions += sorted(set(frame["direction"]) - set(directions))
    shown = losses(frame["loss"])
    figure.set_figheight(0.9 + 1.8 * len(directions))
    axes = figure.subplots(len(directions), len(shown), squeeze=False, sharex=True, sharey="row")
    curves: dict[tuple[str, str, str], Curve] = {}
    for row, direction in zip(axes, directions, strict=True):
        for ax, loss in zip(row, shown, strict=True):
            part = on_ladder(frame[(frame["direction"] == direction) & (frame["loss"] == loss)])
            here = {method: _draw(ax, part[part["method"] == method], method) for method in looks(part["method"])}
            curves |= {(direction, loss, method): one for method, one in here.items()}
            shade(ax, [_undecided(one.table) for one in here.values()])
            ax.set_title(f"{formal(DIRECTIONS.get(direction, direction))}, {loss_label(loss)}")
            if not here:
                empty(ax, "not measured")
        log_scale(*row)
        _fit(row, [one for (name, _, _), one in curves.items() if name == direction])
    for ax in axes[-1]:
        ax.set(xscale="log", xlabel="relative radius ‖Δw‖/‖w‖")
    for ax in axes[:, 0]:
        ax.set_ylabel("|second difference|")
    quadratic = Line2D([], [], color=GREY, linewidth=0.6, label=formal("formal uᵀHu"))
    hollow = Line2D([], [], color=GREY, marker="o", markerfacecolor="white", linestyle="none", label="negative mean")
    legend(figure, [*handles(curves.values()), quadratic, hollow])
    caption(
        figure,
        f"Second differences of the true loss ({loss_unit(shown)} per squared weight), absolute value of the mean. "
        "Faint, without a band: the 95 % interval contains zero; shaded where that is so of every method. Over random "
        "directions it is the curvature of the Gaussian-smoothed loss. Level: "
        f"{formal('the value by the formal Hessian')} along the same directions, same colours. "
        f"{remark(curves.values())}",
    )
    return curves


def on_ladder(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows with the column ``at``: the relative radius that curves are averaged at.

    Seeds share either their absolute or their relative radii, not both. What they share tells which rows belong
    together; if it is the absolute radius, their ``at`` is the mean of the relative ones.
    """
    rounded = {name: rows[name].map(lambda value: float(f"{value:.4g}")) for name in ("radius", "relative_radius")}
    shared = min(rounded, key=lambda name: (rounded[name].nunique(), name == "radius"))
    return rows.assign(at=rows.groupby(rounded[shared])["relative_radius"].transform("mean"))


def _draw(ax: Axes, rows: pd.DataFrame, method: str) -> Curve:
    """The curve of one method, its signs, and its formal value, from rows of :func:`on_ladder`."""
    signed = over_seeds(rows, ["at"], "second_difference")
    curve = decided(ax, absolute(signed), "at", method, _across(signed), marker="")
    _signs(ax, signed, method)
    value = over_seeds(rows.assign(all=0), ["all"], "formal")["mean"].iloc[0]
    if value and np.isfinite(value):
        ax.axhline(abs(value), color=look_of(method).colour, linestyle=look_of(method).dash, linewidth=0.6, zorder=1.5)
    return curve


def _across(signed: pd.DataFrame) -> pd.Series:
    """Where the interval contains zero."""
    return (signed["low"] <= 0) & (signed["high"] >= 0)


def _undecided(table: pd.DataFrame) -> pd.Series:
    """The same by place, from a table of :func:`absolute`."""
    return (table["low"] == _TINY).set_axis(pd.Index(table["at"]))


def absolute(signed: pd.DataFrame) -> pd.DataFrame:
    """A table of means and intervals under |·|: an interval that contains zero starts at (a stand-in for) zero.

    A mean of exactly zero becomes NaN, which breaks the line there.
    """
    ends = signed[["low", "high"]].abs()
    across = _across(signed)
    return signed.assign(
        mean=signed["mean"].abs().where(signed["mean"] != 0),
        low=ends.min(axis=1).where(~across, _TINY),
        high=ends.max(axis=1),
    )


def _signs(ax: Axes, signed: pd.DataFrame, method: str) -> None:
    """Filled markers where the mean is positive, hollow where it is negative, on the bottom edge where it is zero."""
    look = look_of(method)
    style: dict[str, Any] = {"linestyle": "none", "marker": look.marker, "color": look.colour}
    for sign, face in ((1, look.colour), (-1, "white")):
        for faint in (False, True):
            at = signed[(np.sign(signed["mean"]) == sign) & (_across(signed) == faint)]
            if len(at):
                alpha = FAINT if faint else 1.0
                ax.plot(at["at"], at["mean"].abs(), markerfacecolor=face, alpha=alpha, **style)
    zero = signed[signed["mean"] == 0]
    bottom: dict[str, Any] = {"transform": ax.get_xaxis_transform(), "clip_on": False, "markerfacecolor": "white"}
    if len(zero):
        ax.plot(zero["at"], [0.0] * len(zero), **style, **bottom)


def _fit(row: np.ndarray, curves: Sequence[Curve]) -> None:
    """A y range for the row that holds the means and the upper ends of the bands."""
    ends = np.concatenate([one.table[["mean", "high"]].to_numpy().ravel() for one in curves])
    ends = ends[np.isfinite(ends) & (ends > 0)]
    if len(ends):
        row[0].set_ylim(0.4 * ends.min(), 2.5 * ends.max())


def reading(tables: Tables) -> str:
    """At how many radii the true second difference along the top eigenvector agrees with the formal curvature."""
    rows = needed(tables, "radius")
    loss = first_loss(rows)
    rows = rows[(rows["direction"] == "top") & (rows["loss"] == loss)]
    clauses = [_agreeing(rows[rows["method"] == method], method) for method in looks(rows["method"])]
    if not clauses:
        raise TableError(f"no second differences of the {loss_label(loss)} along the top eigenvector")
    return sentence(formal(f"along the top formal eigenvector, {loss_label(loss)}: ") + clauses[0], *clauses[1:])


def _agreeing(rows: pd.DataFrame, method: str) -> str:
    part = on_ladder(rows)
    found = {float(at): mean(part[part["at"] == at], "second_difference", method) for at in sorted(part["at"].unique())}
    if not all(one.known for one in found.values()):
        return f"with {label(method)} there are too few seeds for an interval"
    value = mean(part, "formal", method).mean
    inside = [one.low <= value <= one.high for one in found.values()]
    span = f" (relative radius {_ranges(list(found), inside)})" if any(inside) else ""
    negative = sum(one.low < 0 for one in found.values())
    value_of = formal("the formal value").replace("the value", "the Hessian's value")
    below = f"reaches below zero at {negative}" if negative else "nowhere reaches below zero"
    return (
        f"with {label(method)} {value_of} {number(value)} lies in the interval of the true second "
        f"difference at {sum(inside)} of {len(found)} radii{span}, and that interval {below}"
    )


def _ranges(radii: list[float], inside: list[bool]) -> str:
    """Radii next to each other from the first to the last, and those apart from them named apart."""
    runs = [list(run) for kept, run in groupby(zip(radii, inside, strict=True), key=itemgetter(1)) if kept]
    ends = [tuple(dict.fromkeys((run[0][0], run[-1][0]))) for run in runs]
    return listed([" to ".join(map(number, some)) for some in ends])


PICTURES = (
    Picture(
        "radius", "radius", radii, PAGE, 4.6, "Curvature of the true loss against radius", reading, 60, together=True,
    ),
)  # fmt: skip
