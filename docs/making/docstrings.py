"""Docstrings as Sphinx reads them: what stands indented stays as it is written, bars and stars are letters."""

import re
from collections.abc import Sequence
from typing import Any

_ROLE = re.compile(r":\w+:`~?\.?([\w.]+)`")
_LIST = re.compile(r"\s*([-*•]|\d+\.|\w+\)) ")


def readable(lines: Sequence[str]) -> list[str]:
    """The lines of a docstring with every indented block below a paragraph as a literal one.

    Formulas and commands are indented whether a double colon stands before them or not, and their columns count. A
    block below an item of a list, or below a directive, is part of that.
    """
    made: list[str] = []
    literal = False
    for number, line in enumerate(lines):
        if line.strip() and not line.startswith(" "):
            literal = False
        elif line.startswith("   ") and not literal and _begins(lines, number):
            literal = True
            if not _last(lines, number).rstrip().endswith("::"):
                made += ["::", ""]
        made.append(_ROLE.sub(r"\1", line) if literal else _plain(line))
    return made


def text(doc: str) -> str:
    """The same of a whole docstring."""
    return "\n".join(readable(doc.splitlines()))


def processed(_app: Any, _kind: str, _name: str, _object: Any, _options: Any, lines: list[str]) -> None:
    """The same where Sphinx asks for it, in place."""
    lines[:] = readable(lines)


def _begins(lines: Sequence[str], number: int) -> bool:
    """Whether a literal block begins here: below an empty line and a paragraph that is no list and no directive."""
    if number == 0 or lines[number - 1].strip():
        return False
    paragraph = _last_paragraph(lines, number)
    return not (_LIST.match(paragraph) or paragraph.startswith(("..", " ")))


def _last(lines: Sequence[str], number: int) -> str:
    return next((line for line in reversed(lines[:number]) if line.strip()), "")


def _last_paragraph(lines: Sequence[str], number: int) -> str:
    """The first line of the paragraph before."""
    above = [*lines[:number]]
    while above and not above[-1].strip():
        above.pop()
    while len(above) > 1 and above[-2].strip():
        above.pop()
    return above[-1] if above else ""


def _plain(line: str) -> str:
    """A line with its bars as letters: |w| is a size, and no substitution."""
    parts = re.split(r"(``.+?``)", line)
    return "".join(part if part.startswith("``") else re.sub(r"(?<!\\)\|", r"\\|", part) for part in parts)
