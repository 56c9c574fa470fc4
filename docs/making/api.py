"""The public API: what each package names for others, from the docstrings."""

import ast
import inspect
from importlib import import_module
from itertools import pairwise
from typing import Any

from tables.commands import commands

from . import docstrings, modules
from .markdown import page, rst, table, toctree

ROOMS = (
    "landscape.evaluation",
    "landscape.objective",
    "landscape.curvature",
    "landscape.spectrum",
    "landscape.surfaces",
    "landscape.sharpness",
    "analysis.subject",
    "models.networks",
    "models.data",
    "models.losses",
    "models.checkpoint",
    "models.elsewhere",
    "models.nir",
    "models.perturbation",
)
_CALL = """```py
from analysis import hessian

hessian.run(hessian.Config(images=200), [subject]).tables["hessian"]
```"""
_APART = {"main", "Config"}  # of a command, on its own page


def pages() -> dict[str, str]:
    """A page for each room, one for the commands' functions, and one that lists them."""
    made = {room: _room(room) for room in ROOMS} | {"commands": _commands()}
    rows = [(f"[{name}]({name}.md)", _first(import_module(name))) for name in ROOMS]
    rows.append(("[commands](commands.md)", "Each command as a function."))
    index = page(
        "# Public API",
        "What packages name for others. What most scripts need of the landscape is in `landscape` itself:",
        _landscape(),
        table(["package", "for"], rows),
        toctree(*made, hidden=True),
    )
    return {"index": index} | made


def public(name: str) -> list[str]:
    """The public names of a package: those that it lists, or else the functions and classes that it defines."""
    package = import_module(name)
    listed = getattr(package, "__all__", None)
    if listed is not None:
        return list(listed)
    own = (key for key, value in vars(package).items() if getattr(value, "__module__", None) == name)
    return [key for key in own if not key.startswith("_")]


def names() -> frozenset[str]:
    """All of them, with their packages."""
    return frozenset(f"{room}.{key}" for room in ROOMS for key in public(room))


def _first(package: Any) -> str:
    return str(package.__doc__).partition("\n")[0]


def _landscape() -> str:
    rows = []
    for key in public("landscape"):
        value = getattr(import_module("landscape"), key)
        place = next((room for room in ROOMS if key in public(room)), None)
        role = "class" if inspect.isclass(value) else "func"
        shown = f"{{py:{role}}}`{key} <{place}.{key}>`" if place else f"`{key}`"
        rows.append((shown, str(inspect.getdoc(value)).partition("\n")[0]))
    return table(["`from landscape import …`", ""], rows)


def _room(name: str) -> str:
    package = import_module(name)
    said = docstrings.text(inspect.getdoc(package) or "")
    return page(
        f"# {name}", rst(f".. py:currentmodule:: {name}", "", said), *(_entry(name, key) for key in public(name))
    )


def _entry(package: str, key: str) -> str:
    value = getattr(import_module(package), key)
    if inspect.isclass(value):
        return rst(f".. autoclass:: {package}.{key}", "   :members:")
    if inspect.isroutine(value):
        return rst(f".. autofunction:: {package}.{key}")
    said = _below(package, key) or ["Its value: ``" + " ".join(repr(value).split()) + "``"]
    return rst(f".. py:data:: {package}.{key}", "", *(f"   {line}" for line in said))


def _below(package: str, key: str) -> list[str]:
    """What stands below the assignment of a constant, wherever in the package that is."""
    for name, tree in modules.trees(package).items():
        for node, below in pairwise(tree.body):
            target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
            if isinstance(target, ast.Name) and target.id == key and isinstance(below, ast.Expr):
                said = below.value
                if isinstance(said, ast.Constant) and isinstance(said.value, str):
                    return docstrings.readable([f"(:mod:`{name}`)", "", *inspect.cleandoc(said.value).splitlines()])
    return []


def _commands() -> str:
    parts = [
        "# Commands as functions",
        _CALL,
        "`Config` is the command's flags, by the same names with underscores: each command has "
        "[its page](../commands/index.md). A subject is {py:class}`analysis.subject.Subject`; checkpoints are "
        "among the flags.",
    ]
    for name, module in commands().items():
        parts.append(f"## {module}")
        parts.append(f"Flags: [{name}](../commands/{name}.md).")
        parts += [_entry(module, key) for key in public(module) if key not in _APART and not key.isupper()]
    return page(*parts)
