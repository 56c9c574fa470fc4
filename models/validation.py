"""Values from outside, held against types: arguments by name, and whether what a file holds is a checkpoint.

What is expected is written as annotations are::

    bool, str, Tensor, …         an instance of it
    int                          and no bool; it fits 64 bits
    float                        or an int that a float holds exactly; no bool
    X | Y, None, Literal, Any    as in annotations
    list[X], dict[str, X]        every item is an X
    Label                        a str that names a way of training: see :func:`check_label`
    {"key": X, …}                a dict with these keys, where one of ``NotRequired[X]`` may be absent. Other keys are
                                 left alone unless ``...: X`` says what they hold

bool is told apart from int, since ``True`` is no count and ``"no"`` no truth value.
"""

import reprlib
import unicodedata
from types import UnionType
from typing import Any, Literal, NewType, NotRequired, Union, get_args, get_origin

from torch import Tensor

MOST_TIMESTEPS = 10_000
LONGEST_LABEL = 200
Label = NewType("Label", str)
_LABEL = f"a name of 1 to {LONGEST_LABEL} characters on one line, none of them a control character"
_UNPRINTED = ("Cc", "Cs", "Zl", "Zp")  # control characters, halves of a pair, line and paragraph separators
_SHOWN = (bool, int, float, complex, str, bytes, type(None))
_QUOTES = "\"'"
_PLAIN = bool | int | float | str | None
_COLUMNS = dict[str, list[float]]
_STRUCTURE = {
    "model": {
        "name": str,
        "arguments": {
            "timesteps": NotRequired[int | None],
            "num_classes": NotRequired[int],
            "in_channels": NotRequired[int],
            "image_size": NotRequired[int],
            "spiking": NotRequired[bool],
            "decay": NotRequired[float],
            "threshold": NotRequired[float],
            "surrogate": NotRequired[str],
            "width": NotRequired[float],
            "detach_reset": NotRequired[bool],
            ...: _PLAIN,
        },
    },
    "state_dict": dict[str, Tensor],
    "data": {"name": str, "arguments": dict[str, _PLAIN], "sha256": NotRequired[str]},
    "training": {
        "loss": Label,
        "method": NotRequired[Label],
        "seed": int,
        "momentum": NotRequired[float],
        "batch_size": NotRequired[int],
        "epochs_done": NotRequired[int],
        ...: _PLAIN,
    },
    "history": _COLUMNS,
    "versions": dict[str, str],
    "resume": NotRequired[dict[str, Any] | None],
}
_OWN = _STRUCTURE | {"model": {"name": str, "arguments": dict[str, _PLAIN], "sha256": str}}
"""Of a network that is the user's own code, whose arguments are its own."""


def check_timesteps(count: int, what: str = "timesteps") -> None:
    """Raise ValueError for fewer than one step, or so many that no run of them would end."""
    if not 1 <= count <= MOST_TIMESTEPS:
        bound = "at least 1" if count < 1 else f"at most {MOST_TIMESTEPS:,}"
        raise ValueError(f"{what} must be {bound}, got {count}")


def check_label(text: str, what: str) -> None:
    """Raise ValueError unless ``text``, which is called ``what``, can name a method or a loss in every table.

    Commas, slashes, quotes and letters of any script are welcome; what a table, a path or a line of output would not
    show is not: nothing but blanks, line breaks, control characters, halves of a surrogate pair.
    """
    if not _is_label(text):
        raise ValueError(f"{what} must be {_LABEL}, got {reprlib.repr(text)}")


def check_printed(text: str, what: str) -> None:
    """Raise ValueError where ``text``, which is called ``what``, has a character that no table or line would show."""
    if not _is_printed(text):
        raise ValueError(f"{what} must lie on one line without control characters, got {reprlib.repr(text)}")


def _is_printed(text: str) -> bool:
    return not any(unicodedata.category(character) in _UNPRINTED for character in text)


def _is_label(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip()) and len(value) <= LONGEST_LABEL and _is_printed(value)


def complaint(content: dict[Any, Any]) -> str:
    """What keeps ``content`` from being a checkpoint's fields: where, what was found, what is expected; else ""."""
    try:
        check(content, _OWN if _is_code(content.get("model")) else _STRUCTURE, "")
    except ValueError as failure:
        return str(failure)
    lengths = {len(values) for values in content["history"].values()}
    return f"history has columns of {sorted(lengths)} epochs, expected one length" if len(lengths) > 1 else ""


def _is_code(model: object) -> bool:
    return isinstance(model, dict) and ":" in str(model.get("name"))


def check(value: Any, expected: Any, where: str) -> None:
    """Raise ValueError unless ``value``, which is called ``where``, is what ``expected`` says."""
    if isinstance(expected, dict):
        _check_keys(value, expected, where)
    elif get_origin(expected) is dict:
        kind = get_args(expected)[1]
        _expect(isinstance(value, dict), value, f"a dict: {_name(kind)} by name", where)
        for key, item in value.items():
            _expect(isinstance(key, str), key, "a name", f"a key of {where}")
            _expect(kind is not Tensor or isinstance(item, Tensor), item, "a tensor by name", _inside(where, key))
            check(item, kind, _inside(where, key))
    elif get_origin(expected) is list:
        _expect(isinstance(value, list), value, "a list", where)
        for index, item in enumerate(value):
            check(item, get_args(expected)[0], f"{where}[{index}]")
    else:
        _expect(_is(value, expected), value, _name(expected), where)


def _check_keys(value: Any, expected: dict[Any, Any], where: str) -> None:
    _expect(isinstance(value, dict), value, "a dict", where)
    for key, kind in expected.items():
        if key is not ... and get_origin(kind) is not NotRequired and key not in value:
            raise ValueError(f"{_inside(where, key)} is missing")
    for key, item in value.items():
        _expect(isinstance(key, str), key, "a name", f"a key of {where}")
        kind = expected.get(key, expected.get(..., Any))
        check(item, get_args(kind)[0] if get_origin(kind) is NotRequired else kind, _inside(where, key))


def _expect(holds: bool, value: object, expected: str, where: str) -> None:
    if not holds:
        kind = type(value).__name__
        found = f"'{reprlib.repr(value).strip(_QUOTES)}' ({kind})" if isinstance(value, _SHOWN) else f"a {kind}"
        raise ValueError(f"{where} is {found}, expected {expected}")


def _inside(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key


def _is(value: object, expected: Any) -> bool:
    if expected is Label:
        return _is_label(value)
    if get_origin(expected) in (Union, UnionType):
        return any(_is(value, each) for each in get_args(expected))
    if get_origin(expected) is dict:
        return isinstance(value, dict)
    if get_origin(expected) is Literal:
        return any(type(value) is type(each) and value == each for each in get_args(expected))
    if expected is int:
        return type(value) is int and -(2**63) <= value < 2**63
    if expected is float:
        return isinstance(value, float) or (type(value) is int and abs(value) <= 2**53)
    return expected is Any or isinstance(value, type(None) if expected is None else expected)


def _name(expected: Any) -> str:
    if get_origin(expected) is Literal:
        return " or ".join(str(each) for each in get_args(expected))
    if expected is Label:
        return _LABEL
    return expected.__name__ if isinstance(expected, type) else str(expected)
