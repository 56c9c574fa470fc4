"""A comparison in a few lines for the end of a command: the answer, and the eight rows that speak first."""

import math
import textwrap
from collections.abc import Mapping

import pandas as pd

from tables import answer as said
from tables.headlines import headlines
from tables.interval import bounds
from tables.words import listed, number, signed

WIDTH = 110
_LINES = (3, 3, 3)  # that an answer may take
_CUT = " … (all of it: the report)"
_ROOM = 120  # letters beside each other, beyond which intervals are left to the table
_TITLE, _NAME = 36, 18  # letters of a measure and of a method


def brief(tables: Mapping[str, pd.DataFrame]) -> str:
    """The three answers and the rows, of the first network and data set; of others that they are there."""
    (name, own), *others = said.parts(tables)
    lines = [name + ":"] if others else []
    for (question, answer), most in zip(said.answer(own).lines, _LINES, strict=True):
        lines += textwrap.wrap(
            f"{question} {answer}", WIDTH, subsequent_indent="    ", max_lines=most, placeholder=_CUT
        )
    lines += rows(own["compare"])
    if others:
        lines.append(f"as much of {listed([name for name, _ in others])}: in the report, and by --all")
    return "\n".join(lines)


def rows(compare: pd.DataFrame) -> list[str]:
    """The headline rows as a table of text, and what its marks mean."""
    chosen = headlines(compare)
    if chosen.empty:
        return []
    table = _table(chosen, intervals=True)
    if max(map(len, table)) > _ROOM:
        table = _table(chosen, intervals=False)
    reference = chosen["reference"].iloc[0]
    marks = f"means over seeds of {reference}, and what others add to it; * its 95 % interval leaves 0 out, ? in doubt"
    return [*table, marks]


def _table(chosen: pd.DataFrame, *, intervals: bool) -> list[str]:
    methods = list(dict.fromkeys(chosen["method"]))
    table = [["", _cut(str(chosen["reference"].iloc[0]), _NAME), *(f"{_cut(name, _NAME)} − " for name in methods)]]
    for _, own in chosen.groupby(["measure", "loss"], sort=False):
        first, by = own.iloc[0], own.set_index("method")
        title = _cut(first["title"] + (f", {first['loss']}" if first["loss"] else ""), _TITLE)
        cells = [_change(by.loc[name], intervals=intervals) if name in by.index else "–  " for name in methods]
        table.append([title, number(first["reference_mean"]), *cells])
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return ["  ".join(_placed(row, widths)).rstrip() for row in table]


def _placed(row: list[str], widths: list[int]) -> list[str]:
    return [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]


def _change(row: pd.Series, *, intervals: bool) -> str:
    decided = said.verdict(row) in ("lower", "higher")
    doubted = decided and any(reason for reason in row["trust"].split("; "))
    mark = ("*?" if doubted else "* ") if decided else "  "
    low, high = bounds(row)
    interval = f" ({number(low)} … {number(high)})" if intervals and not math.isnan(low) else ""
    return f"{signed(row['difference'])}{interval}{mark}"


def _cut(words: str, most: int) -> str:
    return words if len(words) <= most else f"{words[: most - 1]}…"
