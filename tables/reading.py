"""Reading saved tables, each checked by its schema before anything is compared or drawn.

A file that was cut off or garbled is noticed where it can be: the last line must end, every line must have the header's
columns, and rows of a kind must be equally many in all checkpoints of a network, or be numbered without a hole
(:mod:`tables.schema`). A cut exactly between two checkpoints, or between the splits or losses of the last, can't be
seen so, nor one at the end of what is numbered; whether a table is what its record says is
:func:`tables.record.changed`.

Tables of earlier versions are read: without ``method`` it is the loss trained with.
"""

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from .columns import Column
from .methods import with_methods
from .schema import SCHEMA, Table


class TableError(ValueError):
    """A table that is there but can't be used: what was found, and what was expected."""


_LARGEST = 1e100  # squares of what is smaller are numbers
_FLAGS = {"true": True, "false": False, "1": True, "0": False, "": None}
_OWN = ("split", "loss")  # of which a subject may have fewer than another
_ESTIMATORS = ("xtrace", "hutchinson", "none")


def path(directory: Path, name: str) -> Path:
    """Where the table ``name`` is looked for."""
    return directory / "tables" / f"{name}.csv"


def available(directory: Path) -> tuple[str, ...]:
    """Names of the known tables that exist below ``directory``."""
    return tuple(name for name in SCHEMA if path(directory, name).is_file())


def read(directory: Path, name: str) -> pd.DataFrame:
    """The table ``name`` of ``directory``, see :func:`read_file`. Raises FileNotFoundError too, when there is none."""
    file = path(directory, name)
    if not file.is_file():
        raise FileNotFoundError(f"no table {file}")
    return read_file(file, name)


def read_file(file: Path, name: str) -> pd.DataFrame:
    """The table ``name`` that lies at ``file``, its columns checked and typed.

    Raises TableError when it has no row, lacks a column, or holds something that isn't what its column says; the
    message names the file, the line, and the command that writes it.
    """
    table = SCHEMA[name]
    try:
        frame = _older(_parsed(file), table)
        _check_columns(frame, table)
        for column in table.columns:
            if column.name in frame:
                frame[column.name] = _typed(frame[column.name], column, may_lack=column.name in table.later)
        for own in map(str, frame if table.losses else ()):
            if own.startswith("loss_") and own not in {column.name for column in table.columns}:
                frame[own] = _typed(frame[own], Column(own, "number", ""), may_lack=True)
        _check_even(frame, table)
        _check_numbered(frame, table.numbered)
    except TableError as wrong:
        raise TableError(f"{file}: {wrong}; make it again with python -m analysis.{table.command}") from wrong
    frame.attrs["file"] = str(file)
    return frame


def _parsed(file: Path) -> pd.DataFrame:
    """Every field as text; empty text where there is none."""
    try:
        with file.open(encoding="utf-8", newline="") as text:
            lines = csv.reader(text, strict=True)
            header, rows = next(lines, []), []
            for fields in lines:
                rows.append(fields)
                if len(fields) != len(header):
                    found = f"line {lines.line_num} has {len(fields)} fields, the header {len(header)}"
                    raise TableError(f"{found}; the table looks cut short or garbled")
    except (csv.Error, UnicodeDecodeError) as error:
        raise TableError(f"not a CSV table ({error})") from error
    if len(set(header)) < len(header) or not header:
        raise TableError("not a CSV table (no header, or a column twice)")
    if not file.read_bytes().endswith(b"\n"):
        raise TableError("the last line does not end; the table looks cut short")
    return pd.DataFrame(rows, columns=header, dtype=str)


def _older(frame: pd.DataFrame, table: Table) -> pd.DataFrame:
    """What earlier versions wrote, in today's columns."""
    if "estimator" in frame or "method" not in frame or table.name != "trace":
        pass
    elif frame["method"].isin(_ESTIMATORS).all():
        frame = frame.rename(columns={"method": "estimator"})
    return with_methods(frame)


def _check_columns(frame: pd.DataFrame, table: Table) -> None:
    missing = [name for name in table.needed if name not in frame]
    if missing:
        found = ", ".join(map(str, frame.columns))
        raise TableError(f"lacks the column{'s' * (len(missing) > 1)} {', '.join(missing)}; has {found}")
    if frame.empty:
        raise TableError("has a header and no rows")


def _first(wrong: pd.Series, column: pd.Series) -> str:
    """The line (header = 1) and content of the first wrong field."""
    row = int(np.flatnonzero(wrong.to_numpy())[0])
    return f"line {row + 2} has {str(column.iloc[row])!r} as {column.name}"


def _typed(text: pd.Series, column: Column, *, may_lack: bool) -> pd.Series:
    """A column of text as what it is."""
    bare = text.fillna("").str.strip()
    if column.kind in ("word", "text"):
        wrong = (bare == "") & (column.kind == "word")
        if wrong.any():
            raise TableError(f"{_first(wrong, text)}; the table looks cut short")
        if column.words and not (known := bare.isin([*column.words, ""])).all():
            raise TableError(f"{_first(~known, text)}, expected one of {', '.join(column.words)}")
        return text
    if column.kind in ("flag", "maybe"):
        wrong = ~bare.str.lower().isin(list(_FLAGS))
        if column.kind == "flag" and not may_lack:
            wrong |= bare == ""
        if wrong.any():
            raise TableError(f"{_first(wrong, text)}, neither true nor false")
        return bare.str.lower().map(_FLAGS).astype(object)
    numbers = pd.to_numeric(bare, errors="coerce").astype(float)
    wrong = numbers.isna() & ~bare.str.lower().isin(["", "nan"])
    if wrong.any():
        raise TableError(f"{_first(wrong, text)}, not a number")
    for unfit, expected in _unfit(numbers, "number" if may_lack and numbers.isna().all() else column.kind):
        unfit &= ~(numbers.isna() & may_lack)
        if unfit.any():
            raise TableError(f"{_first(unfit, text)}, expected {expected}")
    return numbers


def _unfit(numbers: pd.Series, kind: str) -> Iterator[tuple[pd.Series, str]]:
    """Where ``numbers`` can't be of that kind, and what was expected there."""
    finite = np.isfinite(numbers)
    yield finite & (numbers.abs() > _LARGEST), f"a number below {_LARGEST:g}"
    if kind == "whole":
        yield ~(finite & (numbers.abs() < 1e9) & (numbers % 1 == 0)), "a whole number"
    if kind == "finite":
        yield ~finite, "a finite number"
    if kind == "positive":
        yield ~(finite & (numbers > 0)), "a finite number above zero"


def _check_even(frame: pd.DataFrame, table: Table) -> None:
    """Rows of a kind are equally many in all checkpoints of a network, and in all that repeats within one.

    In all that were measured on the same splits by the same losses: not every subject has test data.
    """
    if table.even is None:
        return
    apart, repeat = (tuple(name for name in names if name in frame) for names in table.even)
    own = {f"its {name}": _held(frame, name) for name in _OWN if name in repeat}
    frame = frame.assign(**own)
    for part, same in ((("checkpoint", *repeat), ()), (("checkpoint",), own)):
        kind = ["network", "data", *apart, *same]
        keys = list(dict.fromkeys([*kind, *part]))
        sizes = frame.groupby(keys, sort=False).size().rename("rows").reset_index()
        most = sizes.groupby(kind)["rows"].transform("max")
        fewer = np.flatnonzero(sizes["rows"] < most)
        if len(fewer):
            row = sizes.iloc[int(fewer[-1])]  # a file is cut at its end
            named = ((key, row[key]) for key in keys[2:] if key not in own)
            place = ", ".join(
                f"{key} {word:.0f}" if isinstance(word, float) else f"{key} {word}" for key, word in named
            )
            raise TableError(f"{place}: {row['rows']} rows, others {most.iloc[fewer[-1]]}; the table looks cut short")
    if "alpha" in frame and table.name == "surface":
        twice = frame.duplicated(["checkpoint", "network", "data", *apart, *repeat, "alpha", "beta"])
        if twice.any():
            raise TableError(f"line {int(np.flatnonzero(twice.to_numpy())[0]) + 2} has a point of a surface twice")


def _check_numbered(frame: pd.DataFrame, column: str) -> None:
    """The rows of each checkpoint and split are numbered from 0, each number once, in any order."""
    if not column:
        return
    parts = [frame["checkpoint"], frame["split"]]
    place = frame[column].groupby(parts).rank(method="first") - 1
    wrong = np.flatnonzero(frame[column] != place)
    if len(wrong):
        first = frame.iloc[wrong[frame[column].iloc[wrong].argmin()]]
        said = f"{column} {first[column]:.0f} is there twice, or one before it isn't"
        raise TableError(f"split {first['split']}, checkpoint {first['checkpoint']}: {said}; the table looks cut short")


def _held(frame: pd.DataFrame, name: str) -> pd.Series:
    """All that a row's checkpoint has in a column, in one word."""
    words = frame.groupby("checkpoint")[name].agg(lambda column: "|".join(sorted(set(column.astype(str)))))
    return frame["checkpoint"].map(words)
