"""A command's flags, read from its dataclass: fields, what stands below them, and their defaults."""

import ast
import dataclasses
import inspect
import textwrap
import typing
from dataclasses import dataclass
from typing import Any

import tyro


@dataclass(frozen=True)
class Flag:
    """One flag: its field, how it is typed, what it takes, what it is unasked, and what it is for."""

    field: str
    name: str
    takes: str
    default: str
    about: str
    positional: bool
    needed: bool


def flags(config: type[Any]) -> list[Flag]:
    """The flags of a command's ``config``, in its order."""
    written = _written(config)
    hints = typing.get_type_hints(config, include_extras=True)
    return [_flag(field, hints[field.name], written[field.name]) for field in dataclasses.fields(config)]


def _written(config: type[Any]) -> dict[str, str]:
    """The words below each field, from the source of the class and of those that it is made of."""
    found: dict[str, str] = {}
    for one in reversed(config.__mro__):
        if not dataclasses.is_dataclass(one):
            continue
        body = ast.parse(textwrap.dedent(inspect.getsource(one))).body[0]
        assert isinstance(body, ast.ClassDef)
        for node, below in zip(body.body, [*body.body[1:], None], strict=True):
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                said = below.value if isinstance(below, ast.Expr) else None
                words = said.value if isinstance(said, ast.Constant) and isinstance(said.value, str) else ""
                found[node.target.id] = " ".join(words.split())
    return found


def _flag(field: "dataclasses.Field[Any]", hint: Any, about: str) -> Flag:
    marks = typing.get_args(hint)[1:] if typing.get_origin(hint) is typing.Annotated else ()
    plain = typing.get_args(hint)[0] if marks else hint
    named = next((mark.name for mark in marks if getattr(mark, "name", None)), None)
    metavar = next((mark.metavar for mark in marks if getattr(mark, "metavar", None)), None)
    positional = tyro.conf.Positional in marks
    name = named or field.name.replace("_", "-")
    shown = (metavar or name.upper()) if positional else f"--{name}"
    if plain is bool:
        shown += f", --no-{name}"
    takes = "" if plain is bool else _takes(plain)
    needed = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    return Flag(field.name, shown, takes, "" if needed else _default(field), about, positional, needed)


def _takes(hint: Any) -> str:
    """What a flag of that type is given, in words for a shell."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return " | ".join(map(str, inner))
    if origin is tuple:
        return f"{_takes(inner[0])} …"
    if inner and origin is not None and type(None) in inner:
        return " | ".join([*(_takes(one) for one in inner if one is not type(None)), "None"])
    if inner:
        return " | ".join(map(_takes, inner))
    return {"str": "text", "int": "whole number", "float": "number", "Path": "path"}.get(hint.__name__, hint.__name__)


def _default(field: "dataclasses.Field[Any]") -> str:
    if field.default_factory is not dataclasses.MISSING:
        return _said(field.default_factory())
    return _said(field.default)


def _said(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, tuple | list) else str(value)
