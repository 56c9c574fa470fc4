"""Subjects from a file of the user's, wherever a checkpoint is taken: FILE.py:FUNCTION or package.module:FUNCTION.

The function returns or yields subjects; what is named may also be a single one or a list of them. ``?width=2&method=x``
behind it are its arguments by name: numbers, True, False and None are read as such, anything else as a word. The
working directory and the file's folder are on the path. Code is run because a command line names it, and for no other
reason.
"""

import ast
import importlib
import importlib.util
import inspect
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import parse_qsl

from tables.record import sha256

from .subject import Subject
from .users import users

_TARGET = re.compile(r"(?P<where>.+\.py|[A-Za-z_][\w.]*):(?P<name>[A-Za-z_]\w*)(\?(?P<arguments>.*))?", re.DOTALL)


def is_target(word: str | Path) -> bool:
    """Whether ``word`` names code and not a file that is there."""
    return not Path(word).exists() and _TARGET.fullmatch(str(word)) is not None


def subjects(target: str | Path) -> list[Subject]:
    """The subjects that ``target`` names.

    Raises FileNotFoundError for no file, ValueError for no such function, for arguments that it doesn't take, for what
    is no subject, for two of one name, and, with its line, for whatever the user's code raises.
    """
    found = _found(target)
    value = thing(target)
    if callable(value) and not isinstance(value, Subject):
        arguments = _arguments(found["arguments"] or "")
        _check_arguments(value, arguments, target)
        value = users(target, lambda: _listed(value(**arguments)))
    elif found["arguments"]:
        raise ValueError(f"{target}: {found['name']} is no function, so that it takes no arguments")
    return [replace(one, code=code(target)) for one in _checked(users(target, lambda: _listed(value)), target)]


def thing(target: str | Path) -> Any:
    """What ``target`` names, be it a function, a class or a value; its arguments are left alone.

    Raises FileNotFoundError for no file, ValueError for no such name, and for what the code raises on import.
    """
    found = _found(target)
    module = users(target, lambda: _module(found["where"]))
    if not hasattr(module, found["name"]):
        names = [name for name, value in vars(module).items() if _offered(value, module) and not name.startswith("_")]
        there = f"it has {', '.join(names)}" if names else "it has none"
        raise ValueError(f"{target}: no {found['name']} in {found['where']}; {there}")
    return getattr(module, found["name"])


def code(target: str | Path) -> dict[str, str]:
    """The file that ``target`` names, and the sha256 of what it holds."""
    module = users(target, lambda: _module(_found(target)["where"]))
    file = getattr(module, "__file__", None)
    return {str(_found(target)["where"]): sha256(Path(file))} if file else {}


def arguments(target: str | Path) -> dict[str, Any]:
    """The arguments behind ``?``."""
    return _arguments(_found(target)["arguments"] or "")


def _found(target: str | Path) -> re.Match[str]:
    found = _TARGET.fullmatch(str(target))
    if found is None:
        raise ValueError(f"{target}: expected FILE.py:FUNCTION or package.module:FUNCTION")
    return found


@lru_cache(None)
def _module(where: str) -> ModuleType:
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    if not where.endswith(".py"):
        return importlib.import_module(where)
    path = Path(where)
    if not path.is_file():
        raise FileNotFoundError(f"no file {where}")
    if (folder := str(path.resolve().parent)) not in sys.path:
        sys.path.insert(0, folder)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ValueError(f"{where} can't be read as Python")
    module = importlib.util.module_from_spec(spec)
    if path.stem not in sys.modules:  # classes of the file are pickled by its name
        sys.modules[path.stem] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        sys.modules.pop(path.stem, None) if sys.modules.get(path.stem) is module else None
        raise
    return module


def _offered(value: Any, module: ModuleType) -> bool:
    return isinstance(value, Subject) or (inspect.isfunction(value) and value.__module__ == module.__name__)


def _arguments(text: str) -> dict[str, Any]:
    found = {}
    for key, word in parse_qsl(text, keep_blank_values=True, strict_parsing=bool(text)):
        try:
            found[key] = ast.literal_eval(word)
        except (ValueError, SyntaxError):  # a word
            found[key] = word
    return found


def _check_arguments(function: Any, given: Mapping[str, Any], target: str | Path) -> None:
    try:
        signature = inspect.signature(function)
        signature.bind(**given)
    except TypeError as error:
        raise ValueError(f"{target}: {error}; it takes {signature}") from error


def _listed(value: Any) -> list[Any]:
    if isinstance(value, Subject):
        return [value]
    if isinstance(value, Iterable) and not isinstance(value, str | Mapping):
        return list(value)
    return [value]


def _checked(found: list[Any], target: str | Path) -> list[Subject]:
    if not found:
        raise ValueError(f"{target} gives no subject")
    for one in found:
        if not isinstance(one, Subject):
            raise ValueError(
                f"{target} gives a {type(one).__name__}, expected subjects: "
                "from analysis.subject import Subject; return [Subject(network, train=…, test=…, method='sgd')]"
            )
    names = [one.title for one in found]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ValueError(
            f"{target} gives two subjects called {twice[0]}: tell them apart by name=, or by method= and seed="
        )
    return found
