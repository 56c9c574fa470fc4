"""What is seen of a picture only once it is laid out: titles wider than their panel, names of ticks that touch.

Layout is the engine's; here is what it leaves to who draws. A title or an axis' name that is wider than its panel, or
an upright one that is higher, goes on to another line; ticks whose names touch are thinned, so that a picture can be
drawn as narrow as one column. Names of rows are all wanted: there the figure grows.
"""

import re
import textwrap
from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import FixedLocator, LogLocator, MaxNLocator, SymmetricalLogLocator

_ROOM = 1.06  # of a panel, that its title may take: panels stand a little apart
_APART = 4.0  # pixels of 100 an inch between names of ticks, at least
_TURNS = 3
_JOINS = re.compile(r"[:=/_]")


def fit(figure: Figure) -> None:
    """Wrap and thin until nothing is too wide, at most three times."""
    for _ in range(_TURNS):
        figure.draw_without_rendering()
        changes = [change for ax in figure.axes for change in (_words(ax), _ticks(ax))]  # all of them, before any
        if True not in changes:
            return


def _words(ax: Axes) -> bool:
    """Wrap what is longer than its side of the panel; whether anything was."""
    named = [(ax.title, ax.bbox.width), (ax.xaxis.label, ax.bbox.width), (ax.yaxis.label, ax.bbox.height)]
    changes = [_wrap(text, _ROOM * room) for text, room in named]
    return True in changes


def _wrap(text: Text, room: float) -> bool:
    words = text.get_text()
    if not words.strip() or not text.get_visible():
        return False
    box = text.get_window_extent()
    upright = text.get_rotation() % 180 == 90
    long = box.height if upright else box.width
    longest = max(map(len, words.split("\n")))
    fits = max(8, int(longest * room / long)) if long > 0 else longest
    if long <= room or fits >= longest:
        return False
    filled = [textwrap.fill(line, fits, break_long_words=False) for line in words.split("\n")]
    broken = "\n".join(_broken(line, fits) for line in "\n".join(filled).split("\n"))
    text.set_text(broken)
    return broken != words


def _broken(line: str, fits: int) -> str:
    """A word that is too long goes on to another line after a sign that joins its parts, as in tet:mse_weight=0."""
    ends = [found.end() for found in _JOINS.finditer(line) if 1 < found.end() < len(line)]
    if len(line) <= fits or " " in line or not ends:
        return line
    end = max((end for end in ends if end <= fits), default=ends[0])
    return f"{line[:end]}\n{_broken(line[end:], fits)}"


def _ticks(ax: Axes) -> bool:
    changes = [_thin(axis, across=across) for axis, across in ((ax.xaxis, True), (ax.yaxis, False))]
    return True in changes


def touching(axis: Axis, *, across: bool) -> bool:
    """Whether names of two neighbouring ticks touch."""
    names = [tick.label1 for tick in axis.get_major_ticks()]
    boxes = [name.get_window_extent() for name in names if _shown(axis, name, across=across)]
    ends = sorted((box.x0, box.x1) if across else (box.y0, box.y1) for box in boxes)
    gaps = [later[0] - sooner[1] for sooner, later in pairwise(ends)]
    return bool(gaps) and min(gaps) < (_APART if across else 0.0)


def _shown(axis: Axis, name: Text, *, across: bool) -> bool:
    """Whether a tick's name is drawn: it has words, and its tick lies within the axis' range."""
    if not name.get_visible() or not name.get_text():
        return False
    at = name.get_position()[0 if across else 1]
    low, high = sorted(axis.get_view_interval())
    slack = 1e-9 * (high - low)
    return bool(low - slack <= at <= high + slack)


def _thin(axis: Axis, *, across: bool) -> bool:
    if not touching(axis, across=across):
        return False
    locator, places = axis.get_major_locator(), axis.get_majorticklocs()
    if isinstance(locator, FixedLocator):
        if not across:
            figure = axis.get_figure()
            if isinstance(figure, Figure):
                figure.set_figheight(1.15 * figure.get_figheight())
            return True
        if len(places) < 3:
            return False
        names = [text.get_text() for text in axis.get_majorticklabels()]
        axis.set_ticks(list(places[::2]), names[::2])
    elif isinstance(locator, LogLocator | SymmetricalLogLocator):
        low, high = axis.get_view_interval()
        inside = [place for place in places if low <= place <= high]
        axis.set_major_locator(FixedLocator(list(np.array(inside)[::2])))
    else:
        axis.set_major_locator(MaxNLocator(max(1, len(places) // 2), integer=bool(_whole(places)), min_n_ticks=1))
    return True


def _whole(places: np.ndarray) -> bool:
    return bool(np.allclose(places, np.round(places)))
