"""What an analysis returned, in a notebook: its tables' first rows; of a comparison the answer and first rows."""

import html
from collections.abc import Iterator, Mapping

import pandas as pd

from .answer import answer, parts
from .headlines import headlines

_MOST = 10  # rows that are shown of a table
_SPOKEN = ["title", "loss", "method", "reference_mean", "difference", "low", "high", "n", "trust"]


def result(tables: Mapping[str, pd.DataFrame]) -> str:
    """As HTML."""
    made = [f"<p><strong>{html.escape(head)}</strong> {html.escape(said)}</p>" for head, said in _answers(tables)]
    for name, rows, frame in _shown(tables):
        head = f"<p><strong>{html.escape(name)}</strong> {html.escape(rows)}</p>"
        made.append(head + frame.to_html(index=False, border=0, na_rep="–", float_format=_number))
    return "".join(made)


def plain(tables: Mapping[str, pd.DataFrame]) -> str:
    """As text."""
    made = [f"{head} {said}" for head, said in _answers(tables)]
    for name, rows, frame in _shown(tables):
        made.append(f"{name} {rows}\n{frame.to_string(index=False, na_rep='–', float_format=_number)}")
    return "\n".join(made)


def _answers(tables: Mapping[str, pd.DataFrame]) -> Iterator[tuple[str, str]]:
    """Where the tables are of a comparison its answers, of each network and data set."""
    for place, own in parts(tables) if "compare" in tables else ():
        yield place, ""
        yield from answer(own).lines


def _shown(tables: Mapping[str, pd.DataFrame]) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """Of each table the name, how many rows it has, and those that are shown; of a comparison's others the names."""
    if "compare" in tables:
        for place, own in parts(tables):
            spoken = headlines(own["compare"])
            rows = f"of {place}: {spoken['measure'].nunique()} of {own['compare']['measure'].nunique()} measures"
            yield "compare", rows, spoken[[name for name in _SPOKEN if name in spoken]]
        return
    for name, frame in tables.items():
        rows = f"{len(frame)} rows" if len(frame) <= _MOST else f"{len(frame)} rows, the first {_MOST}"
        yield name, rows, frame.head(_MOST)


def _number(value: float) -> str:
    return f"{value:.4g}"
