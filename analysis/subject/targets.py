"""Subjects from a file of the user's, wherever a checkpoint is taken: FILE.py:FUNCTION or package.module:FUNCTION.

The function returns or yields subjects; what is named may also be a single one or a list of them. ``?width=2&method=x``
behind it are its arguments (:mod:`models.code`).
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from models import code

from .subject import Subject

Subjects = Subject | str | Path | Iterable[Subject | str | Path]
"""What an analysis may be called with: subjects, or what names them on a command line."""


def subjects(target: str | Path) -> list[Subject]:
    """The subjects that ``target`` names.

    Raises FileNotFoundError for no file, ValueError for no such function, for arguments that it doesn't take, for what
    is no subject, for two of one name, and, with its line, for whatever the user's code raises.
    """
    named = code.parse(target)
    digest = {named.where: code.sha256(named.where)}
    value = code.thing(named)
    if callable(value) and not isinstance(value, Subject | nn.Module):
        value = code.made(named)
    elif named.arguments:
        raise ValueError(f"{target}: {named.name} is no function, so that it takes no arguments")
    with code.lines():
        found = _listed(value)
    given = str(target).partition("?")[2]
    return [replace(one, code=digest, arguments=given) for one in _checked(found, target)]


def _listed(value: Any) -> list[Any]:
    if isinstance(value, Subject | nn.Module):
        return [value]
    if isinstance(value, Iterable) and not isinstance(value, str | Mapping):
        return list(value)
    return [value]


def listed(given: Any) -> list[Path | Subject]:
    """The subjects that a call of an analysis was given: one, several, or what names them, as on a command line.

    Raises ValueError for anything else, with the line to write, and as :func:`subjects`; FileNotFoundError for no file.
    """
    found: list[Path | Subject] = []
    for one in [given] if isinstance(given, str | Path | Mapping | Tensor) else _listed(given):
        if isinstance(one, Subject):
            found.append(one)
        elif isinstance(one, str | Path):
            found += subjects(one) if code.is_code(one) else [_file(Path(one))]
        else:
            raise ValueError(
                f"run was given a {type(one).__name__}, expected subjects: run(Config(), "
                "[Subject(network, train=…, test=…, method='sgd')])"
            )
    return found


def _file(path: Path) -> Path:
    if not path.is_file():
        raise FileNotFoundError(f"no checkpoint at {path}: train one with 'python -m models.train --out DIR'")
    return path


def _checked(found: list[Any], target: str | Path) -> list[Subject]:
    if not found:
        raise ValueError(f"{target} gives no subject")
    for one in found:
        if isinstance(one, nn.Module):
            raise ValueError(
                f"{target} gives a {type(one).__name__}, expected subjects. Of a network of your own the weights are "
                f"measured by FILE.pt --network {str(target).partition('?')[0]} --data …"
            )
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
