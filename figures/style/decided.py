"""Curves whose band would cover the panel where nothing is known: faint there, and the panel shaded.

A band that is as high as the panel shows how much isn't known by the ink that it takes. What is not decided is better
said by what is missing: no band and a faint line, and grey behind the places at which no curve is decided.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from .bands import Curve, drawn
from .methods import look_of

FAINT = 0.4
_SHADE = "#ededed"


def decided(
    ax: Axes, table: pd.DataFrame, x: str, method: str, undecided: pd.Series, *, marker: str | None = None
) -> Curve:
    """A table of :func:`~figures.style.bands.over_seeds` as a curve with its band where it is decided, else faint.

    ``undecided`` has a truth value for each row. The curve's ``line`` is that of the decided, its ``table`` the whole.
    """
    sure = ~undecided.to_numpy()
    known = table.assign(**{name: table[name].where(sure, math.nan) for name in ("mean", "low", "high")})
    found = drawn(ax, known, x, method, marker=marker)
    if undecided.any():
        look = look_of(method)
        mark = look.marker if marker is None else marker
        style: dict[str, Any] = {"color": look.colour, "linestyle": look.dash, "marker": mark, "zorder": 1.8}
        ax.plot(table[x], table["mean"], alpha=FAINT, label="_undecided", **style)
    return replace(found, table=table)


def shade(ax: Axes, undecided: Sequence[pd.Series]) -> None:
    """Grey behind the places at which none of the curves is decided; each has a truth value by place.

    Shading reaches half way to the places beside it, on a logarithmic axis in its own measure.
    """
    if not undecided:
        return
    everywhere = pd.concat(list(undecided), axis=1).fillna(True).astype(bool).all(axis=1).sort_index()
    places = np.log(everywhere.index.to_numpy(dtype=float))
    if len(places) < 2:
        return
    middle = (places[1:] + places[:-1]) / 2
    ends = np.exp([places[0], *middle, places[-1]])
    for at, none in enumerate(everywhere):
        if none:
            ax.axvspan(ends[at], ends[at + 1], color=_SHADE, linewidth=0, zorder=0)
