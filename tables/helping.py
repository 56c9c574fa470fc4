"""Help that is read: the flags that matter first, then by what they are about, and examples below.

tyro makes the words; here they are put in order. Groups are by a flag's name, so that one that many commands have is
where a reader looks for it; what no group has says how exactly. Examples are the command's own, from its docstring,
which is read without importing what takes long.
"""

import ast
import re
import textwrap
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

_FIRST = (
    "checkpoints", "folders", "directory", "DIR", "file", "methods", "subjects", "out", "epochs", "loss", "by",
    "images", "measures", "seeds",
)  # fmt: skip
_MOST_FIRST, _FEW = 3, 6  # flags that stand first; flags below which there are no groups
_GROUPS = {
    "what": (
        "checkpoints", "folders", "directory", "methods", "subjects", "code", "reference", "data", "model", "network",
        "weights", "loss", "split", "images", "seeds", "twins", "seed", "by", "measures", "method", "controls", "as",
        "timesteps", "name",
    ),
    "on what machine": (
        "device", "dtype", "tf32", "low-precision", "jobs", "executor", "chunk", "data-root", "workers", "compile",
        "amp", "minutes", "memory", "channels-last", "fused",
    ),
    "where to": ("out", "latex", "quiet", "all", "tensorboard", "save", "every", "vtk"),
}  # fmt: skip
_REST = "how exactly"


def ordered(box: str, package: str) -> str:
    """tyro's help ``box`` of the command in ``package`` as plain text, in groups."""
    usage, sections = _sections(box)
    blocks: list[tuple[str, str]] = []
    others: list[str] = []
    for title, lines in sections:
        if title in ("positional arguments", "options"):
            blocks += list(_blocks(lines))
        else:
            others.append("\n".join([f"{title}:", *(f"  {line}" for line in lines)]))
    parts = [usage.rstrip(), *_grouped(blocks), *others]
    if shown := examples(package):
        parts.append("\n".join(["examples:", *(f"  {line}" for line in shown)]))
    return "\n\n".join(parts) + "\n"


def _sections(box: str) -> tuple[str, list[tuple[str, list[str]]]]:
    """What comes before the first box, and each box's title and lines, whichever characters draw it."""
    head: list[str] = []
    found: list[tuple[str, list[str]]] = []
    lines = [line.rstrip() for line in box.splitlines()]
    for line, after in zip(lines, [*lines[1:], ""], strict=True):
        if titled := re.match(r"[╭+][─-]* ([^─]*[^─ ]) [─-]", line):
            found.append((titled[1], []))
        elif re.fullmatch(r" -{10,}", after):
            found.append((line.strip(), []))
        elif re.fullmatch(r"[ ╰+]?[─-]{10,}[╯+]?", line):
            continue
        elif found:
            found[-1][1].append(line[2:].rstrip("│| "))
        else:
            head.append(line)
    return "\n".join(head), [(title, [line for line in inner if line]) for title, inner in found]


def _blocks(lines: list[str]) -> Iterator[tuple[str, str]]:
    """Each flag's name and its lines. What is at the margin begins a flag, unless choices are still open there."""
    starts, opened = [], 0
    for place, line in enumerate(lines):
        if line and not line.startswith(" "):
            starts += [place] if not opened else []
            named = re.split(r"\s{2,}", line)[0]
            opened = max(0, opened + sum((sign in "[{") - (sign in "]}") for sign in named))
    width = max(map(len, lines), default=0)
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        long = re.search(r"--(?:no-)?([\w-]+)", lines[start])
        name = long[1] if long else re.sub(r"\W", " ", lines[start]).split()[0].lower()
        yield name, "\n".join(f"  {line}".rstrip() for line in _filled(lines[start:end], width))


def _filled(lines: list[str], width: int) -> list[str]:
    """A flag's lines with its words filled anew: where its docstring breaks its lines is no matter of a reader's."""
    named = [line for line in lines if not line.startswith(" ")]
    told = [line for line in lines if line.startswith(" ")]
    if not told:
        return lines
    column = min(len(line) - len(line.lstrip()) for line in told)
    if named[-1][column - 2 : column] == "  " and named[-1][column:].strip():
        told.insert(0, named[-1][column:])
        named[-1] = named[-1][:column].rstrip()
    words = textwrap.wrap(
        " ".join(line.strip() for line in told), width - column, break_long_words=False, break_on_hyphens=False
    )
    beside = len(named[-1]) < column - 1
    if beside:
        named[-1] = named[-1].ljust(column) + words.pop(0)
    return [*named, *(" " * column + line for line in words)]


def _grouped(blocks: list[tuple[str, str]]) -> Iterator[str]:
    own = [(name, block) for name, block in blocks if name != "help"]
    tail = [block for name, block in blocks if name == "help"]
    if len(own) < _FEW:
        yield "\n".join(["flags:", *(block for _, block in own), *tail])
        return
    positional = [name for name, block in own if not block.lstrip().startswith("-")]
    first = [*positional, *(name for name in _FIRST if any(name == one for one, _ in own) and name not in positional)]
    first = first[:_MOST_FIRST]
    yield "\n".join(["first of all:", *(block for name in first for one, block in own if one == name)])
    left = [(name, block) for name, block in own if name not in first]
    titles = [
        title for title in ("what", _REST, "on what machine", "where to") if any(_group(n) == title for n, _ in left)
    ]
    for title in titles:
        chosen = [block for name, block in left if _group(name) == title]
        yield "\n".join([f"{title}:", *chosen, *(tail if title == titles[-1] else [])])


def _group(name: str) -> str:
    return next((title for title, names in _GROUPS.items() if name in names), _REST)


def examples(package: str) -> list[str]:
    """The commands in the docstring of ``package``'s module ``command``; none where there is no such module."""
    spec = find_spec(package) if package else None
    file = Path(spec.origin).with_name("command.py") if spec and spec.origin else None
    if file is None or not file.is_file():
        return []
    said = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    return [line.strip() for line in said.splitlines() if re.match(r"    +python -m ", line)]
