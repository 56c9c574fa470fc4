"""The pictures of :mod:`figures.paper` for a page: as SVG inside the page, caption and reading as text beside them.

What would be large as curves is dots: a page with all pictures is to be sent by mail.

SVG ids are made from a fixed salt, so that the same tables give the same bytes.
"""

import base64
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from tables import reading as tables
from tables import rows

from ..pictures import catalogue
from ..pictures.picture import Picture
from ..style import look as style

_LONG = re.compile(rb"(?<![\w.])-?[1-9]\d*\.\d{3,}(?![\w.])")  # places finer than a hundredth, and no scale below 1
_LARGE, _DOTS = 60_000, 150  # bytes beyond which a picture is dots, so many per inch


@dataclass(frozen=True)
class Plate:
    """One picture: ``image`` is a data URI, ``width`` in inches, ``reading`` or else ``unread``, why there is none.

    ``shown`` says what is in the picture, for who can't see it.
    """

    name: str
    heading: str
    image: str
    width: float
    shown: str
    caption: str
    reading: str
    unread: str
    tables: tuple[str, ...]


def plates(found: Mapping[str, pd.DataFrame]) -> tuple[list[Plate], list[str]]:
    """A plate for each picture that the tables ``found`` allow, and a line for each that lacks what is usual."""
    made: list[Plate] = []
    missing: list[str] = []
    timeless: list[str] = []
    for picture in catalogue.PICTURES:
        names = (picture.table, *picture.beside)
        lacking = [name for name in names if name not in found]
        if lacking:
            missing.append(f"{picture.heading}: no usable table {', '.join(lacking)}")
            continue
        for suffix, part in rows.families(found[picture.table]):
            own = {name: rows.same(part, frame) for name, frame in found.items()}
            try:
                made.append(_plate(picture, suffix, part, {name: one for name, one in own.items() if len(one)}))
            except rows.Timeless:
                timeless.append(picture.heading)
            except rows.Unasked:  # its lack is no news
                continue
            except tables.TableError as error:
                missing.append(f"{picture.heading}: {error}")
    if timeless:
        missing.append(f"With T = 1 alone there is nothing to see against time: {'; '.join(dict.fromkeys(timeless))}")
    return made, missing


def _plate(picture: Picture, suffix: str, part: pd.DataFrame, own: Mapping[str, pd.DataFrame]) -> Plate:
    others = [own.get(name, pd.DataFrame()) for name in picture.beside]
    image, shown, caption, width = _drawn(picture, (part, *others))
    reading, unread = "", ""
    try:
        reading = picture.read({**own, picture.table: part})
    except tables.TableError as error:
        unread = str(error)
    which = f" ({rows.place(part)})" if suffix else ""
    names = (picture.table, *picture.beside)
    return Plate(picture.name + suffix, picture.heading + which, image, width, shown, caption, reading, unread, names)


def _drawn(picture: Picture, frames: Sequence[pd.DataFrame]) -> tuple[str, str, str, float]:
    """The picture without its caption as a data URI, what is in it, the caption, and the width in inches."""
    with style.paper():
        matplotlib.rcParams["svg.hashsalt"] = "snn-landscape"
        figure = Figure(figsize=(picture.width, picture.height), layout="constrained")
        caption = picture.onto(figure, *frames)
        image = embedded(figure)
    return image, described(figure), caption, figure.get_figwidth()


def embedded(figure: Figure) -> str:
    """A drawn figure as a data URI."""
    file = io.BytesIO()
    figure.savefig(file, format="svg", metadata={"Creator": "snn-landscape", "Date": None})
    drawn = _LONG.sub(lambda found: f"{float(found[0]):.2f}".encode(), file.getvalue())
    kind = "svg+xml"
    if len(drawn) > _LARGE:
        drawn, kind = _dots(figure), "webp"
    return f"data:image/{kind};base64,{base64.b64encode(drawn).decode()}"


def _dots(figure: Figure) -> bytes:
    """The figure as lossless WebP of 256 colours, as one sees no more here: a third of matplotlib's PNG."""
    file, small = io.BytesIO(), io.BytesIO()
    figure.savefig(file, format="png", dpi=_DOTS)
    few = Image.open(file).convert("RGB").quantize(256, dither=Image.Dither.NONE)
    few.convert("RGB").save(small, format="webp", lossless=True, method=4)
    return small.getvalue()


def described(figure: Figure) -> str:
    """What is in a picture: its panels' titles, what is drawn against what, its colours, and what the legend names."""
    bars = [ax for ax in figure.axes if ax.get_label() == "<colorbar>"]
    panels = [ax for ax in figure.axes if ax not in bars]
    named = _once(ax.get_title() for ax in panels if _label(ax, "y") != _words(ax.get_title()))
    titles = f" ({'; '.join(named)})" if named else ""
    parts = [f"{len(panels)} panels{titles}" if len(panels) > 1 else ""]
    parts += ["; ".join(_once(f"{_label(ax, 'y')} against {_label(ax, 'x')}" for ax in panels))]
    parts += [f"in colour {'; '.join(_once(bar.get_ylabel() or bar.get_xlabel() for bar in bars))}" if bars else ""]
    parts += [f"showing {'; '.join(_once(one.get_text() for one in box.get_texts()))}" for box in figure.legends]
    return ", ".join(part for part in parts if part) + "."


def _label(ax: Axes, name: str) -> str:
    """What an axis is called: its label, or that of a panel it is shared or in a row with; a y axis else the title."""
    shared = (ax.get_shared_x_axes() if name == "x" else ax.get_shared_y_axes()).get_siblings(ax)
    beside = [one for one in ax.figure.axes if name == "y" and _row(one) == _row(ax)]
    labels = _once((one.xaxis if name == "x" else one.yaxis).get_label_text() for one in (ax, *shared, *beside))
    ticks = len(ax.get_xticks() if name == "x" else ax.get_yticks())
    return labels[0] if labels else (name == "y" and _words(ax.get_title())) or f"{ticks} names"


def _row(ax: Axes) -> object:
    place = ax.get_subplotspec()
    return place.rowspan if place else None


def _once(lines: Iterable[str]) -> list[str]:
    """Each of ``lines`` that has words, once."""
    return list(dict.fromkeys(filter(None, map(_words, lines))))


def _words(text: str) -> str:
    return " ".join(text.split())
