"""One picture in one call: ``from figures import draw; draw("surfaces", frame)``."""

import io
from collections.abc import Mapping
from difflib import get_close_matches

import pandas as pd
from matplotlib.figure import Figure
from pandas.api.types import is_bool_dtype, is_numeric_dtype

from tables import rows
from tables.reading import TableError
from tables.result import Result

from .pictures import catalogue
from .style.look import caption, paper
from .style.methods import compared, methods_of
from .words.kinds import pictured

_DOTS = 150  # per inch, in a notebook


class Drawn(Figure):
    """A figure that a notebook shows without pyplot."""

    def _repr_png_(self) -> bytes:
        file = io.BytesIO()
        with paper():
            self.savefig(file, format="png", dpi=_DOTS)
        return file.getvalue()


def draw(name: str, table: pd.DataFrame | Result | Mapping[str, pd.DataFrame], **beside: pd.DataFrame) -> Drawn:
    """The picture called ``name`` in the gallery, as a figure to show or save.

    ``table`` is the one that it is made of (:mod:`docs.tables`), or all that an analysis returned, or tables by name;
    tables that it needs ``beside`` it are given by name. Where they are of several networks or data sets the first is
    drawn. Raises KeyError for a name that no picture has, TableError for a table that is missing or can't be drawn.
    """
    known = {one.name: one for one in catalogue.PICTURES}
    if name not in known:
        near = get_close_matches(name, known, 1)
        raise KeyError(f"no picture {name!r}: {f'perhaps {near[0]}' if near else 'there are ' + ', '.join(known)}")
    picture = known[name]
    given = {picture.table: table} if isinstance(table, pd.DataFrame) else dict(_tables(table))
    given |= beside
    names = (picture.table, *picture.beside)
    lacking = [one for one in names if one not in given]
    if lacking:
        raise TableError(f"{name} is made of {' and '.join(names)}: {' and '.join(lacking)} isn't given")
    given = {one: _filled(frame) for one, frame in given.items()}
    _, first = next(iter(rows.families(given[picture.table])))
    frames = [first, *(rows.same(first, given[one]) for one in picture.beside)]
    with compared(methods_of(given) or _compared(first)), pictured(given), paper():
        figure = Drawn(figsize=(picture.width, picture.height), layout="constrained")
        caption(figure, picture.onto(figure, *frames))
    return figure


def _compared(frame: pd.DataFrame) -> list[str]:
    """The methods of a comparison's table, the reference first."""
    return list(dict.fromkeys(str(one) for side in ("reference", "method") if side in frame for one in frame[side]))


def _tables(table: Result | Mapping[str, pd.DataFrame]) -> Mapping[str, pd.DataFrame]:
    return table.tables if isinstance(table, Result) else table


def _filled(frame: pd.DataFrame) -> pd.DataFrame:
    """As :func:`tables.reading.read` gives tables: what lacks a word is an empty one."""
    words = [name for name in frame if not (is_numeric_dtype(frame[name]) or is_bool_dtype(frame[name]))]
    return frame.fillna(dict.fromkeys(words, ""))
