"""Pieces of HTML: text that is no markup, and tables that a screen reader can follow."""

import html
from collections.abc import Iterable, Sequence


def text(words: object) -> str:
    """``words`` as text, whatever is in it."""
    return html.escape(str(words))


def lines(words: Iterable[object]) -> str:
    """Text with each of ``words`` on a line of its own."""
    return "".join(f'<span class="line">{text(word)}</span>' for word in words)


def wide(label: str, inner: str) -> str:
    """``inner`` in a box that scrolls sideways by itself where it doesn't fit, reachable by keyboard."""
    return f'<div class="wide" role="region" tabindex="0" aria-label="{text(label)}">{inner}</div>'


def table(caption: str, header: Sequence[str], groups: Iterable[tuple[str, Sequence[Sequence[str]]]]) -> str:
    """A table of ``groups`` (a heading, or empty, and rows of HTML); the first cell of a row names it."""
    head = "".join(f'<th scope="col">{text(name)}</th>' for name in header)
    body = "".join(_group(name, rows, len(header)) for name, rows in groups if rows)
    return wide(caption, f"<table><caption>{text(caption)}</caption><thead><tr>{head}</tr></thead>{body}</table>")


def _group(name: str, rows: Sequence[Sequence[str]], columns: int) -> str:
    head = f'<tr><th scope="rowgroup" colspan="{columns}">{text(name)}</th></tr>' if name else ""
    return f"<tbody>{head}{''.join(map(_row, rows))}</tbody>"


def _row(cells: Sequence[str]) -> str:
    first, *rest = cells
    return f'<tr><th scope="row">{first}</th>{"".join(f"<td>{cell}</td>" for cell in rest)}</tr>'
