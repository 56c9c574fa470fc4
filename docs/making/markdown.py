"""Words and tables as Markdown that Sphinx reads."""

import re
from collections.abc import Iterable, Sequence


def cell(text: object) -> str:
    """What stands in a table's cell: one line, without a bar that would end it."""
    return re.sub(r"(?<!\\)\|", r"\\|", " ".join(str(text).split()))


def code(text: str) -> str:
    """``text`` as code, or nothing."""
    return f"`{cell(text)}`" if text else ""


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table of cells, which are Markdown themselves."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(cell, line))} |" for line in lines)


def rst(*lines: str) -> str:
    """What is written in docstrings' language."""
    return "\n".join(["```````{eval-rst}", *lines, "```````"])


def toctree(*pages: str, hidden: bool = False) -> str:
    """Links to pages below this one, in this order."""
    return "\n".join(["```{toctree}", *([":hidden:"] if hidden else [":maxdepth: 1"]), "", *pages, "```"])


def page(*parts: str) -> str:
    """A page of its parts, those that are empty left out."""
    return "\n\n".join(part.strip("\n") for part in parts if part) + "\n"
