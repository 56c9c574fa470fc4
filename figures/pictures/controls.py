"""Which measures pass which controls of known answer: a row a measure, a column a control, a sign a verdict.

A verdict is that of all levels of a control together: failed where a measure failed at any, passed where it passed at
some and failed at none. The sign's shape says it as its colour does.
"""

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from tables.controls import FAILED, PASSED, UNDECIDED, wide
from tables.reading import TableError

from ..style.look import GREY, PAGE, SMALL, caption, legend
from ..style.methods import look_of, looks
from ..words.comparison import Tables, needed
from ..words.prose import listed, sentence
from .picture import Picture

_SIGNS: dict[str, tuple[str, str, str]] = {
    PASSED: ("o", "#0072B2", "#0072B2"),
    FAILED: ("x", "#D55E00", "#D55E00"),
    UNDECIDED: ("o", GREY, "white"),
}
_BESIDE = 3  # panels
_KEYS = ["network", "data", "method", "title"]


def verdicts(frame: pd.DataFrame) -> pd.DataFrame:
    """A row for each method and measure, a column for each control: a verdict, "" where it wasn't put to it.

    Measures that fail most come last. Raises TableError where there is no verdict.
    """
    table = wide(frame)
    names = [name for name in table if name not in _KEYS]
    for name in names:
        table[name] = [next((one for one in _SIGNS if str(cell).startswith(one)), "") for cell in table[name]]
    if not (table[names] != "").any(axis=None):
        raise TableError("no measure was put to a control")
    failed = (table[names] == FAILED).sum(axis=1).groupby(table["title"], sort=False).sum()
    order = failed.sort_values(kind="stable").index
    return table.assign(place=table["title"].map({title: at for at, title in enumerate(order)}))


def controls(figure: Figure, frame: pd.DataFrame) -> dict[tuple[str, str, str], Line2D]:
    """Draw a panel for each method into ``figure``, whose height is set: signs by (measure, control, method)."""
    table = verdicts(frame)
    names = [str(name) for name in table if name not in (*_KEYS, "place")]
    methods, titles = list(looks(table["method"])), table.sort_values("place")["title"].unique()
    columns = min(_BESIDE, len(methods))
    lines = -(-len(methods) // columns)
    figure.set_figheight(0.3 + (1.0 + 0.165 * len(titles)) * lines)
    axes = figure.subplots(lines, columns, sharey=True, squeeze=False)
    for ax in axes.flat[len(methods) :]:
        ax.remove()
    signs: dict[tuple[str, str, str], Line2D] = {}
    for ax, method in zip(axes.flat, methods, strict=False):
        for _, row in table[table["method"] == method].iterrows():
            for across, name in enumerate(names):
                if row[name]:
                    signs[row["title"], name, method] = _sign(ax, across, row["place"], row[name])
        _finish(ax, names, list(titles))
        if len(methods) > 1:
            ax.set_title(look_of(method).label)
    legend(figure, [_handle(name) for name in _SIGNS if (table[names] == name).any(axis=None)])
    caption(
        figure,
        "Each control's answer is known beforehand; a measure fails one where it failed at any of its levels. Nothing: "
        "not put to it. Measures that fail fewest stand first.",
    )
    return signs


def _sign(ax: Axes, x: float, y: float, verdict: str) -> Line2D:
    marker, colour, face = _SIGNS[verdict]
    (drawn,) = ax.plot([x], [y], marker, color=colour, markerfacecolor=face, markersize=5, markeredgewidth=1.2)
    return drawn


def _handle(verdict: str) -> Line2D:
    marker, colour, face = _SIGNS[verdict]
    style: dict[str, Any] = {"linestyle": "none", "markersize": 5, "markeredgewidth": 1.2, "markerfacecolor": face}
    return Line2D([], [], color=colour, marker=marker, label=verdict, **style)


def _finish(ax: Axes, names: list[str], titles: list[str]) -> None:
    ax.set_yticks(range(len(titles)), titles)
    ax.set_xticks(range(len(names)), [name.replace("_", " ") for name in names], rotation=90, fontsize=SMALL)
    ax.tick_params(length=0)
    for side in ax.spines.values():
        side.set_visible(False)
    ax.grid(color="#e8e8e8", linewidth=0.5)
    ax.set_axisbelow(True)
    ax.set(xlim=(-0.6, len(names) - 0.4), ylim=(len(titles) - 0.4, -0.6))


def reading(tables: Tables) -> str:
    """How many measures fail each control, and how many fail none."""
    table = verdicts(needed(tables, "controls"))
    names = [str(name) for name in table if name not in (*_KEYS, "place")]
    rows = len(table)
    sound = int((~(table[names] == FAILED).any(axis=1) & (table[names] == PASSED).any(axis=1)).sum())
    fails = [
        f"{name.replace('_', ' ')} {(table[name] == FAILED).sum()} of {(table[name] != '').sum()}" for name in names
    ]
    return sentence(
        f"of {rows} measures put to controls {sound} pass some and fail none", f"failing, by control: {listed(fails)}"
    )


PICTURES = (
    Picture(
        "controls",
        "controls",
        controls,
        PAGE,
        4.0,
        "Which measures pass which controls",
        reading,
        308,
        together=True,
        narrowest=PAGE,
    ),
)
