"""How methods look, everywhere: names, colours, markers and dashes, up to eight, the reference first.

Colours are Okabe and Ito's (2008), which stay apart under the common colour vision deficiencies; markers and dashes
differ too, so that a grey print still tells methods apart. Which methods a folder compares, and in which order, is set
once for all of its pictures and sentences, by :func:`compared`: so a method looks the same in all of them, whichever of
them a table has. A sentence is about two of them, set by :func:`facing`. Losses that networks train on with, or that
curves are fitted under, share the palette: one that is called as a method looks like it.

A label is what readers see of a name: as it was written, but for this project's own acronyms, which are in capitals,
and long ones, which are cut in their middle. It is for display only.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

import pandas as pd
from matplotlib.typing import LineStyleType

from tables.reading import TableError

_COMPARED: ContextVar[tuple[str, ...]] = ContextVar("compared", default=())
_FACING: ContextVar[tuple[str, str] | None] = ContextVar("facing", default=None)
_ACRONYMS = frozenset({"sdt", "tet", "lts", "tmc", "trt", "ce", "bce"})
_LONGEST = 32  # letters of a label
_TAIL = 8  # of them after the cut


@dataclass(frozen=True)
class Look:
    """How one method looks, in ``words`` too; ``label`` is as matplotlib wants it."""

    label: str
    colour: str
    marker: str
    dash: LineStyleType
    words: str


_PALETTE: tuple[tuple[str, str, LineStyleType, str], ...] = (
    ("#E69F00", "o", "-", "orange circles"),
    ("#0072B2", "s", (0, (4.0, 1.2)), "blue squares"),
    ("#009E73", "^", (0, (1.0, 1.0)), "green triangles"),
    ("#CC79A7", "D", (0, (5.0, 1.0, 1.0, 1.0)), "pink diamonds"),
    ("#56B4E9", "v", (0, (2.0, 1.0)), "light blue triangles"),
    ("#D55E00", "P", (0, (6.0, 2.0)), "red crosses"),
    ("#000000", "X", (0, (3.0, 1.0, 1.0, 1.0, 1.0, 1.0)), "black crosses"),
    ("#7A7A7A", "*", (0, (1.0, 2.0)), "grey stars"),
)
MOST = len(_PALETTE)


@contextmanager
def compared(methods: Iterable[str]) -> Iterator[None]:
    """In here these are the methods, the reference first. Raises TableError for more than eight."""
    token = _COMPARED.set(_few(methods))
    try:
        yield
    finally:
        _COMPARED.reset(token)


def _few(methods: Iterable[str]) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(methods))
    if len(names) > MOST:
        raise TableError(f"pictures hold {MOST} methods at most, got {len(names)}: {', '.join(map(_shortened, names))}")
    return names


def methods_of(tables: Mapping[str, pd.DataFrame]) -> tuple[str, ...]:
    """All methods in ``tables``, the comparison's reference first, then in the order in which they appear.

    A comparison by a factor has values of it for methods, which no network was trained with: these don't count where a
    table says what the methods are.
    """
    measured = [
        name
        for frame in tables.values()
        if "checkpoint" in frame and "method" in frame
        for name in frame["method"].unique()
    ]
    comparison = tables.get("compare")
    first = [] if comparison is None else [*comparison["reference"], *comparison["method"]]
    if measured:
        first = [name for name in first if name in measured]
    return tuple(dict.fromkeys(map(str, [*first, *measured])))


def looks(*names: Iterable[str]) -> dict[str, Look]:
    """The looks of the methods among ``names`` (all compared, where none is given), in the order of the comparison.

    Names that aren't compared follow, in their own order, with the looks that are left; those of methods that aren't
    asked for are the last of these. Raises TableError for more than eight.
    """
    order = _COMPARED.get()
    asked = _few(str(name) for some in names for name in some) if names else order
    left = [place for place in range(MOST) if place >= len(order) or order[place] not in asked]
    left.sort(key=lambda place: place < len(order))
    places = {name: order.index(name) for name in order if name in asked}
    places |= dict(zip((name for name in asked if name not in order), left, strict=False))
    return {name: Look(_drawable(label(name)), *_PALETTE[place]) for name, place in places.items()}


def reference_among(names: Iterable[str]) -> str:
    """The method that the others among ``names`` are compared with; "" where it isn't one of them."""
    found = list(dict.fromkeys(map(str, names)))
    first = next(iter(_COMPARED.get() or found), "")
    return first if first in found else ""


def look_of(name: str) -> Look:
    """The look of one method."""
    return looks([name])[name]


@contextmanager
def facing(reference: str, method: str = "") -> Iterator[None]:
    """In here sentences are about these two, or about one alone; names and looks stay those of all compared."""
    token = _FACING.set((reference, method))
    try:
        yield
    finally:
        _FACING.reset(token)


def sides() -> tuple[str, str]:
    """The reference and the method that a sentence is about, by default the first two compared; "" for none."""
    first, second, *_ = (*(_FACING.get() or _COMPARED.get()), "", "")
    return first, second


def alone() -> bool:
    """Whether a sentence is about one method, with nothing to compare."""
    first, second = sides()
    return bool(first) and not second


def label(name: str) -> str:
    """A method's or a loss's name as readers see it: this project's own acronyms in capitals, others as given.

    What is longer than 32 letters is cut in its middle; names of which that makes the same are told apart by a number.
    """
    others = [other for other in _COMPARED.get() if other != name]
    if name in _ACRONYMS:
        alike = any(other.casefold() == name.casefold() for other in others)
        return name if alike else name.upper()
    same = [other for other in _COMPARED.get() if _shortened(other) == _shortened(name)]
    return _shortened(name) + (f" ({same.index(name) + 1})" if len(same) > 1 and name in same else "")


def _shortened(name: str) -> str:
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - _TAIL - 1]}…{name[-_TAIL:]}"


def _drawable(text: str) -> str:
    """As matplotlib shows it: dollars begin no formula, and a first underscore hides nothing from the legend."""
    return text.replace("$", r"\$").replace("_", " _", 1) if text.startswith("_") else text.replace("$", r"\$")


def losses(names: Iterable[str]) -> dict[str, str]:
    """The landscape's losses among ``names``, in their order, as readers see them; "" is none."""
    return {name: loss_label(name) for name in dict.fromkeys(map(str, names)) if name}


def loss_label(name: str) -> str:
    """A landscape's loss as readers see it."""
    return f"{label(name)} loss"


def first_loss(frame: pd.DataFrame) -> str:
    """The loss that is chosen where one has to be: the table's first. Raises TableError where no row has any."""
    found = list(losses(frame["loss"]))
    if not found:
        raise TableError("no row of any loss")
    return found[0]
