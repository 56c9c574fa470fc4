"""A page for each room, with what every module of it says of itself; read from the source, nothing is imported."""

import ast
from pathlib import Path

from . import docstrings
from .markdown import page, rst, table, toctree

ROOT = Path(__file__).parents[2]
PACKAGES = ("tables", "landscape", "models", "analysis", "figures")


def modules() -> dict[str, str]:
    """Every module's docstring, by its dotted name: a package before what is in it."""
    found = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py"), key=lambda path: (path.parent, path.name)):
            if path.name != "__main__.py":
                parts = path.relative_to(ROOT).with_suffix("").parts
                name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
                found[name] = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return found


def trees(package: str) -> dict[str, ast.Module]:
    """The source of a package's own modules, or of a module, by their names."""
    place = ROOT.joinpath(*package.split("."))
    files = sorted(place.glob("*.py")) if place.is_dir() else [place.with_suffix(".py")]
    return {f"{package}.{path.stem}": ast.parse(path.read_text(encoding="utf-8")) for path in files}


def pages(shown: frozenset[str], functions: frozenset[str]) -> dict[str, str]:
    """The pages of all rooms, by name; modules that are ``shown`` on another page have their first line here.

    ``functions``: modules that a public function of the same name hides.
    """
    rooms: dict[str, dict[str, str]] = {}
    for name, doc in modules().items():
        rooms.setdefault(room_of(name), {})[name] = doc
    rows = [(f"[{room}]({room}.md)", _first(of.get(room, ""))) for room, of in rooms.items()]
    index = page(
        "# Modules",
        "What a module is for, its first line says; formulas, sources and what is easy to get wrong stand below it. "
        "Names that others may use are in [the public API](../api/index.md).",
        table(["room", "for"], rows),
        toctree(*rooms, hidden=True),
    )
    return {"index": index} | {room: _page(room, of, shown, functions) for room, of in rooms.items()}


def room_of(name: str) -> str:
    """The room that a module is in: its two first names, or a package where that has it itself."""
    package, *rest = name.split(".")
    return f"{package}.{rest[0]}" if rest and (ROOT / package / rest[0]).is_dir() else package


def _first(doc: str) -> str:
    return doc.partition("\n")[0]


def _page(room: str, of: dict[str, str], shown: frozenset[str], functions: frozenset[str]) -> str:
    parts = [f"# {room}"]
    for name, doc in of.items():
        if name != room:
            parts.append(f"## {name.removeprefix(f'{room}.')}")
        target = [] if name in shown or name in functions else [f".. py:module:: {name}", ""]
        said = _first(doc) if name in shown else doc
        parts.append(rst(*target, f".. py:currentmodule:: {name}", "", docstrings.text(said)))
        if name in shown:
            parts.append(rst(f"More: :mod:`{name}`."))
    return page(*parts)
