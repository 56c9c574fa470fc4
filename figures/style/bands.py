"""Mean over seeds with its 95 % band: the statistic, and how it is drawn.

Repeats inside a seed (random draws, probes, images) are averaged first, so that n counts trainings and not
measurements. The band is Student's: mean ± t(0.975, n−1)·s/√n, s the standard deviation over seeds with n−1 in the
denominator. It is an interval for the mean and not the range of the seeds. Fewer than three seeds have
no band. Where the reference is drawn in the same panel it is what others are compared with: it has no band then, and
theirs are those of their differences from it (:mod:`figures.style.paired`).

NaN is "not measured" and left out. Infinite values would take mean and axis with them: they are left out too, counted,
and shown as arrowheads on the edge of the panel.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.container import ErrorbarContainer
from matplotlib.lines import Line2D
from matplotlib.typing import LineStyleType

from tables.interval import FEWEST, student

from .look import GREY
from .methods import Look, label, look_of, reference_among
from .paired import beside as laid_beside


def over_seeds(frame: pd.DataFrame, by: Sequence[str], value: str) -> pd.DataFrame:
    """Mean of ``value`` over seeds for each ``by``: columns ``by``, mean, low, high, n, above, below.

    low and high are NaN for n < 3; above and below count the values that were +∞ and −∞ and are in no mean.
    """
    keys = list(by)
    finite = frame.assign(**{value: frame[value].where(np.isfinite(frame[value]))})
    seeds = finite.groupby([*keys, "seed"])[value].mean().groupby(keys)
    table = pd.DataFrame({"mean": seeds.mean(), "n": seeds.count()})
    pairs = zip(table["n"], seeds.std(), strict=True)
    half = np.array([student(n - 1) * s / math.sqrt(n) if n >= FEWEST else math.nan for n, s in pairs])
    table["low"], table["high"] = table["mean"] - half, table["mean"] + half
    for name, infinite in (("above", np.inf), ("below", -np.inf)):
        table[name] = (frame[value] == infinite).groupby([frame[key] for key in keys]).sum()
    return table.reset_index()


def counted(n: Sequence[int] | pd.Series) -> str:
    """``n = 5``, or ``n = 3–5`` where some points have fewer."""
    present = [int(one) for one in n if one > 0]
    low, high = min(present, default=0), max(present, default=0)
    return f"n = {low}" if low == high else f"n = {low}–{high}"


FAINT = 0.45
"""Opacity of what stands back: the other images, the other way."""


@dataclass(frozen=True)
class Curve:
    """What :func:`curve` drew: ``band`` is None below three seeds, ``edge`` the arrowheads, ``table`` the numbers.

    ``against`` is the method that the band is a difference from; "" for one of the method's own seeds.
    """

    line: Line2D
    band: PolyCollection | None
    table: pd.DataFrame
    edge: list[Line2D]
    name: str
    against: str = ""

    @property
    def infinite(self) -> int:
        """How many values were infinite."""
        return int(self.table[["above", "below"]].to_numpy().sum())


def curve(
    axes: Axes,
    frame: pd.DataFrame,
    x: str,
    y: str,
    method: str | Look,
    *,
    dash: LineStyleType | None = None,
    marker: str | None = None,
    alpha: float = 1.0,
    name: str | None = None,
    beside: pd.DataFrame | None = None,
) -> Curve:
    """Draw mean and band of ``y`` over seeds against ``x`` in the look of ``method``, or in a look; return the artists.

    ``dash``, ``marker`` and ``name`` replace the look's own; ``alpha`` makes faint. ``beside`` has the rows of all
    methods of the panel: with the reference among them, bands are those of differences from it.
    """
    table, against = compared_means(frame, x, y, beside)
    return drawn(axes, table, x, method, dash=dash, marker=marker, alpha=alpha, name=name, against=against)


def compared_means(frame: pd.DataFrame, x: str, y: str, beside: pd.DataFrame | None) -> tuple[pd.DataFrame, str]:
    """The table of :func:`over_seeds` of one method by ``x``, and the reference that its intervals are beside.

    "" for none, where the intervals are those of the method's own seeds. The reference itself has none.
    """
    table = over_seeds(frame, [x], y).sort_values(x)
    against = "" if beside is None else reference_among(beside["method"])
    if beside is None or not against or beside["method"].nunique() < 2:
        return table, ""
    if set(frame["method"]) == {against}:
        return table.assign(low=math.nan, high=math.nan), against
    return laid_beside(table, frame, beside[beside["method"] == against], x, y), against


def drawn(
    axes: Axes,
    table: pd.DataFrame,
    x: str,
    method: str | Look,
    *,
    dash: LineStyleType | None = None,
    marker: str | None = None,
    alpha: float = 1.0,
    name: str | None = None,
    against: str = "",
) -> Curve:
    """The drawing half of :func:`curve`: a ``table`` of :func:`over_seeds`, or one that was changed since."""
    look = method if isinstance(method, Look) else look_of(method)
    (line,) = axes.plot(
        table[x],
        table["mean"],
        color=look.colour,
        linestyle=look.dash if dash is None else dash,
        marker=look.marker if marker is None else marker,
        alpha=alpha,
    )
    band = None
    if table["low"].notna().any():
        shade = 0.2 * alpha
        band = axes.fill_between(
            table[x], table["low"], table["high"], color=look.colour, alpha=shade, linewidth=0, zorder=1
        )
    return Curve(line, band, table, _edge(axes, table, x, look.colour), look.label if name is None else name, against)


def _edge(axes: Axes, table: pd.DataFrame, x: str, colour: str) -> list[Line2D]:
    """Arrowheads where values are infinite: at the top and the bottom edge, whatever the scale."""
    artists: list[Line2D] = []
    for column, height, marker in (("above", 0.985, "^"), ("below", 0.015, "v")):
        at = table.loc[table[column] > 0, x]
        if len(at):
            transform = axes.get_xaxis_transform()
            artists += axes.plot(
                at, [height] * len(at), marker, transform=transform, color=colour, clip_on=False, label="_infinite"
            )
    return artists


def offsets(names: Iterable[str], step: float) -> dict[str, float]:
    """Places beside a tick for several, ``step`` apart and the middle at 0, nearer where they would reach the next."""
    listed = list(names)
    apart = min(step, 0.7 / max(1, len(listed) - 1))
    return {name: (place - (len(listed) - 1) / 2) * apart for place, name in enumerate(listed)}


def half_of(table: pd.DataFrame) -> pd.Series:
    """Half the width of each interval of a table, 0 where there is none."""
    return (0.5 * (table["high"] - table["low"])).fillna(0.0)


def bars(axes: Axes, x: float, table: pd.DataFrame, method: str) -> ErrorbarContainer:
    """One row of :func:`over_seeds` as a point with its interval, at ``x``."""
    row, look = table.iloc[0], look_of(method)
    return axes.errorbar(
        [x],
        [row["mean"]],
        half_of(table.head(1)),
        color=look.colour,
        marker=look.marker,
        linestyle="none",
        elinewidth=0.8,
        capsize=1.5,
    )


def named(drawn: Iterable[tuple[str, Line2D, Sequence[int] | pd.Series]]) -> list[Line2D]:
    """A legend entry for every name among (name, line, n): its first line, labelled "NAME, n = 5" by all its n."""
    lines: dict[str, Line2D] = {}
    counts: dict[str, list[int]] = {}
    for name, line, n in drawn:
        lines.setdefault(name, line)
        counts.setdefault(name, []).extend(n)
    for name, line in lines.items():
        line.set_label(f"{name}, {counted(counts[name])}")
    return list(lines.values())


def handles(curves: Iterable[Curve]) -> list[Line2D]:
    """The legend entries of ``curves``, one a name."""
    return named((one.name, one.line, one.table["n"]) for one in curves)


def faint(label: str) -> Line2D:
    """A legend entry for what is drawn faint, whatever its method."""
    return Line2D([], [], color=GREY, alpha=FAINT, label=label)


def remark(curves: Iterable[Curve]) -> str:
    """What a caption has to say of the curves: what the band is, if there is one, and how many values are infinite."""
    curves = list(curves)
    band = "Fewer than three seeds: no band."
    if any(one.band for one in curves):
        some = any(one.band is None and one.table["n"].max() < FEWEST for one in curves)
        against = next((one.against for one in curves if one.band and one.against), "")
        band = (
            f"Bands: 95 % intervals of differences from {label(against)}, by seed, undecided where they hold its line"
            if against
            else "Mean and 95 % t-band over each method's own seeds"
        )
        if against and any(one.band and not one.against for one in curves):
            band += "; beside a dotted line, bands are of the method's own seeds"
        band += f"{', none of fewer than three' * some}."
    count = sum(one.infinite for one in curves)
    return band + (f" Arrowheads on the edge: {count} infinite value{'s' * (count > 1)}, in no mean." if count else "")
