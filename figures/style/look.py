"""One look for every picture: widths of a two-column page, and type sizes.

How methods look is in :mod:`figures.style.methods`. Type is 8 pt, never below 7 pt. Nothing here touches pyplot:
pictures are :class:`~matplotlib.figure.Figure` objects, drawn inside :func:`paper`.
"""

import re
import textwrap
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import matplotlib
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.legend import Legend
from matplotlib.text import Text
from matplotlib.textpath import TextPath

COLUMN, PAGE = 3.4, 7.0  # inches: one column, and the full width of two
_NARROW = 5.0  # inches, up to which a figure is laid out as one column
SMALL = 7.0  # points: the smallest type
_COLUMNS = 4  # of a legend, at most
_HANDLE = (2.4 + 0.8 + 2.0) * SMALL / 72  # inches that a legend's line, and the space around it, take beside a name
Handle = Artist | ErrorbarContainer
GREY = "#6e6e6e"
PAPER = "#ffffff"


RC: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 8.0,
    "mathtext.fontset": "dejavusans",
    "axes.titlesize": 8.0,
    "axes.labelsize": 8.0,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "legend.fontsize": SMALL,
    "legend.frameon": False,
    "legend.handlelength": 2.4,
    "legend.borderaxespad": 0.3,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.formatter.useoffset": False,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.minor.width": 0.4,
    "ytick.minor.width": 0.4,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "xtick.minor.size": 1.5,
    "ytick.minor.size": 1.5,
    "lines.linewidth": 1.2,
    "lines.markersize": 3.5,
    "hatch.linewidth": 0.35,
    "hatch.color": GREY,
    "figure.constrained_layout.use": True,
    "pdf.fonttype": 42,
    "ps.fonttype": 42,
    "savefig.dpi": 200.0,
}


@contextmanager
def paper() -> Iterator[None]:
    """The style while drawing and saving, whatever the reader's matplotlibrc says; as found afterwards."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(RC)
        yield


def across(figure: Figure, panels: int, most: int) -> int:
    """How many of ``panels`` stand beside each other: ``most`` on a page, no more than two in a column."""
    return max(1, min(panels, most if figure.get_figwidth() > _NARROW else 2))


def narrow(figure: Figure) -> bool:
    """Whether a figure is but a column wide."""
    return bool(figure.get_figwidth() <= _NARROW)


def reference(axes: Axes, y: float, label: str | None = None) -> Artist:
    """A thin grey horizontal line to compare with."""
    return axes.axhline(y, color=GREY, linewidth=0.7, linestyle=(0, (1, 1.5)), zorder=1, label=label)


def caption(figure: Figure, text: str) -> Text:
    """A small grey line or two below the panels: what is averaged over what, and how many."""
    characters = int(figure.get_figwidth() * 18.5)  # DejaVu Sans at 7 pt is about 3.9 pt wide on average
    together = re.sub(r"(?<=\d) %| (?==)|(?<==) ", lambda found: found[0].replace(" ", "\u00a0"), text)
    return figure.supxlabel(
        textwrap.fill(together, characters), x=0.01, ha="left", fontsize=SMALL, color=GREY, linespacing=1.25
    )


def wrapped(text: str, inches: float) -> str:
    """A title on as many lines as it needs to stay within its panel; one that was fine remains as it is."""
    return "\n".join(textwrap.fill(line, max(10, int(inches * 15))) for line in text.split("\n"))


def legend(figure: Figure, handles: Iterable[Handle]) -> Legend | None:
    """One legend for the whole picture, above its panels; None when there is nothing to name.

    As many columns as the figure is wide enough for, four at most; a name that is wider than the figure is wrapped.
    """
    named = {str(handle.get_label()): handle for handle in handles if not str(handle.get_label()).startswith("_")}
    if not named:
        return None
    room = figure.get_figwidth() - 0.1
    labels = [_narrow(name, room) for name in named]
    columns = min(len(named), _COLUMNS)
    while columns > 1 and _width(labels, columns) > room:
        columns -= 1
    lines = -(-len(labels) // columns) + sum(name.count("\n") for name in labels)
    figure.set_figheight(figure.get_figheight() + 0.14 * max(0, lines - 1))
    return figure.legend(handles=list(named.values()), labels=labels, loc="outside upper center", ncols=columns)


def _narrow(name: str, room: float) -> str:
    wide = _width([name], 1)
    return name if wide <= room else textwrap.fill(name, max(10, int(len(name) * (room - _HANDLE) / (wide - _HANDLE))))


def _width(labels: list[str], columns: int) -> float:
    """How wide a legend is, in inches."""
    lines, longer = divmod(len(labels), columns)  # as matplotlib fills them: the first columns have one more
    starts = np.cumsum([0, *[lines + 1] * longer, *[lines] * (columns - longer)])
    parts = [labels[start:end] for start, end in pairwise(starts)]
    return sum(_HANDLE + max(map(_inches, part)) for part in parts if part)


def _inches(text: str) -> float:
    """How wide a text of the smallest type is."""
    family = FontProperties(family="DejaVu Sans", size=SMALL)
    return max(TextPath((0, 0), line, prop=family).get_extents().width for line in text.split("\n")) / 72


def empty(axes: Axes, text: str) -> Text:
    """Say inside a panel why nothing is drawn there."""
    axes.set_xticks([])
    axes.set_yticks([])
    return axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color=GREY, fontsize=SMALL)


def log_scale(*axes: Axes) -> None:
    """Make the y axes logarithmic where something drawn on them, or on an axis they share, is positive."""
    for one in axes:
        siblings = one.get_shared_y_axes().get_siblings(one)
        if any(np.isfinite(sibling.dataLim.minposy) for sibling in siblings):
            one.set_yscale("log")


def fit_means(axes: Axes, means: Iterable[float], ends: Iterable[float], *, low: float, high: float) -> None:
    """A y range for all ``means``, with as much of the intervals as lies within a means' range of them.

    Nothing outside ``low`` … ``high`` is shown, whatever an interval says of what can't be there. Bands of a few seeds
    would otherwise hide the means.
    """
    values, reach = (np.asarray([one for one in some if np.isfinite(one)], dtype=float) for some in (means, ends))
    if not len(values):
        return
    span = np.ptp(values) or 0.1 * abs(values[0]) or 1.0
    reach = np.clip(np.append(reach, values), values.min() - span, values.max() + span)
    if np.ptp(reach) < 0.1 * span:
        reach = np.array([reach.min() - 0.5 * span, reach.max() + 0.5 * span])
    bottom, top = max(low, reach.min()), min(high, reach.max())
    axes.set_ylim(bottom - 0.05 * (top - bottom) * (bottom > low), top + 0.05 * (top - bottom))


def fit_percent(*axes: Axes) -> None:
    """Nothing below 0 or above 100 % is shown, whatever an interval says, but for the room that markers need."""
    for ax in axes:
        bottom, top = ax.get_ylim()
        ax.set_ylim(max(bottom, -2.0), min(top, 102.0))


def fit_scale(axes: Axes, values: Iterable[float]) -> str:
    """Choose the y scale that shows all ``values``: linear up to a factor of thirty, then log or symlog.

    symlog where some are negative; zeros don't count, a log axis can't show them. Returns the name of the scale.
    """
    finite = np.asarray([value for value in values if np.isfinite(value)], dtype=float)
    size = np.sort(np.abs(finite[finite != 0]))
    if not len(size) or size[-1] < 30 * np.quantile(size, 0.1):
        return "linear"
    if (finite < 0).any():
        axes.set_yscale("symlog", linthresh=float(10 ** np.floor(np.log10(np.quantile(size, 0.1)))))
        return "symlog"
    axes.set_yscale("log")
    return "log"
