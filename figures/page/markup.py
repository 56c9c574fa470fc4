"""Pieces of HTML: text that is no markup, and tables that a screen reader can follow."""

import html
import re
from collections.abc import Iterable, Sequence


def text(words: object) -> str:
    """``words`` as text, whatever is in it."""
    return html.escape(str(words))


def prose(words: str) -> str:
    """``words`` as text in which no line breaks around an equals sign or an ellipsis, or before a per cent sign."""
    return text(re.sub(r" (?=[=…%])|(?<=[=…]) ", "\u00a0", words))


def lines(words: Iterable[str], kind: str = "line") -> str:
    """Text with each of ``words`` on a line of its own, which is of the CSS class ``kind``."""
    return "".join(f'<span class="{kind}">{prose(word)}</span>' for word in words)


def folded(summary: str, inner: str) -> str:
    """``inner`` shown when asked for, and on paper."""
    return f"<details><summary>{text(summary)}</summary>{inner}</details>"


def wide(label: str, inner: str) -> str:
    """``inner`` in a box that scrolls sideways by itself where it doesn't fit, reachable by keyboard."""
    return f'<div class="wide" role="group" tabindex="0" aria-label="{text(label)}">{inner}</div>'


def table(caption: str, header: Sequence[str], rows: Iterable[Sequence[str]], kind: str = "") -> str:
    """A table of ``rows`` of HTML, of the CSS class ``kind``; the first cell of a row names it.

    Every cell knows its column's name, which stands before it where there is no room for columns.
    """
    head = "".join(f'<th scope="col">{text(name)}</th>' for name in header)
    body = f"<tbody>{''.join(_row(cells, header) for cells in rows)}</tbody>"
    content = f"<caption>{text(caption)}</caption><thead><tr>{head}</tr></thead>{body}"
    return wide(caption, f'<table class="{kind}">{content}</table>')


def _row(cells: Sequence[str], header: Sequence[str]) -> str:
    named = zip(cells[1:], header[1:], strict=True)
    rest = "".join(f'<td data-column="{text(name)}">{cell}</td>' for cell, name in named)
    return f'<tr><th scope="row">{cells[0]}</th>{rest}</tr>'
