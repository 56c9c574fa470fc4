"""Reading the tables that pictures are made of: ``DIR/tables/NAME.csv``, checked before anything is drawn.

A table is tidy: one observation a row. Columns that pictures use are listed in :mod:`tables.schema`; others may be
there. A number may be empty (not measured) or infinite unless it says where a measurement belongs, or counts; a word
may not, except where emptiness means something. A file that was cut off is noticed where it can be: the last line must
end, every line must have the header's columns, and rows of a kind must be equally many in all checkpoints of a network.
"""

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from .schema import EVEN, TABLES, Layout


class TableError(ValueError):
    """A table that is there but can't be drawn: what was found, and what was expected."""


_WHOLE = {"seed", "epoch", "rank", "probe", "draw", "timestep", "other", "timesteps", "trained_timesteps"}
_WHOLE |= {"images", "batches", "n", "draws", "step"}
_FINITE = {"alpha", "beta", "t", "strength"}
_POSITIVE = {"radius", "relative_radius", "relative_step"}
_LARGEST = 1e100  # squares of what is smaller are numbers
_VOCABULARY = {
    "training": ("sdt", "tet"),
    "other_training": ("sdt", "tet"),
    "fitted": ("sdt", "tet", "-"),
    "flatter": ("sdt", "tet", ""),
}
_FLAGS = {"true": True, "false": False, "1": True, "0": False, "": None}


def path(directory: Path, name: str) -> Path:
    """Where the table ``name`` is looked for."""
    return directory / "tables" / f"{name}.csv"


def available(directory: Path) -> tuple[str, ...]:
    """Names of the known tables that exist below ``directory``."""
    return tuple(name for name in TABLES if path(directory, name).is_file())


def read(directory: Path, name: str) -> pd.DataFrame:
    """The table ``name`` of ``directory``, its columns checked and typed.

    Raises FileNotFoundError when there is none, and TableError when it has no row, lacks a column, or holds something
    that isn't what its column says (the message names the line).
    """
    file, layout = path(directory, name), TABLES[name]
    if not file.is_file():
        raise FileNotFoundError(f"no table {file}")
    frame = _parsed(file)
    missing = [column for column in layout.columns if column not in frame]
    if missing:
        found = ", ".join(map(str, frame.columns))
        raise TableError(f"{file}: lacks the column{'s' * (len(missing) > 1)} {', '.join(missing)}; has {found}")
    if frame.empty:
        raise TableError(f"{file}: has a header and no rows")
    for column in layout.numbers:
        frame[column] = _numbers(frame[column], file)
    for column in layout.optional:
        if column in frame:
            frame[column] = _numbers(frame[column], file, anywhere=True)
    for column in layout.flags:
        frame[column] = _flags(frame[column], file)
    _check_words(frame, layout, file)
    _check_complete(frame, name, file)
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
                    raise TableError(f"{file}: {found}; the table looks cut short or garbled")
    except (csv.Error, UnicodeDecodeError) as error:
        raise TableError(f"{file}: not a CSV table ({error})") from error
    if len(set(header)) < len(header) or not header:
        raise TableError(f"{file}: not a CSV table (no header, or a column twice)")
    if not file.read_bytes().endswith(b"\n"):
        raise TableError(f"{file}: the last line does not end; the table looks cut short")
    return pd.DataFrame(rows, columns=header, dtype=str)


def _first(wrong: pd.Series, column: pd.Series) -> str:
    """The line (header = 1) and content of the first wrong field."""
    row = int(np.flatnonzero(wrong.to_numpy())[0])
    return f"line {row + 2} has {str(column.iloc[row])!r} as {column.name}"


def _numbers(column: pd.Series, file: Path, *, anywhere: bool = False) -> pd.Series:
    """The numbers in a column of text, checked for what its name says unless ``anywhere`` they may lie."""
    text = column.fillna("").str.strip()
    numbers = pd.to_numeric(text, errors="coerce").astype(float)
    wrong = numbers.isna() & ~text.str.lower().isin(["", "nan"])
    if wrong.any():
        raise TableError(f"{file}: {_first(wrong, column)}, not a number")
    for unfit, expected in _unfit(numbers, "" if anywhere else str(column.name)):
        if unfit.any():
            raise TableError(f"{file}: {_first(unfit, column)}, expected {expected}")
    return numbers


def _unfit(numbers: pd.Series, name: str) -> Iterator[tuple[pd.Series, str]]:
    """Where ``numbers`` can't be what the column ``name`` says, and what was expected there."""
    finite = np.isfinite(numbers)
    yield finite & (numbers.abs() > _LARGEST), f"a number below {_LARGEST:g}"
    if name in _WHOLE:
        yield ~(finite & (numbers.abs() < 1e9) & (numbers % 1 == 0)), "a whole number"
    if name in _FINITE:
        yield ~finite, "a finite number"
    if name in _POSITIVE:
        yield ~(finite & (numbers > 0)), "a finite number above zero"


def _flags(column: pd.Series, file: Path) -> pd.Series:
    text = column.fillna("").str.strip().str.lower()
    wrong = ~text.isin(list(_FLAGS))
    if wrong.any():
        raise TableError(f"{file}: {_first(wrong, column)}, neither true nor false")
    return text.map(_FLAGS).astype(object)


def _check_words(frame: pd.DataFrame, layout: Layout, file: Path) -> None:
    for column in layout.words:
        blank = frame[column].fillna("").str.strip() == ""
        if blank.any():
            raise TableError(f"{file}: {_first(blank, frame[column])}; the table looks cut short")
    for column, words in (_VOCABULARY | {"loss": layout.losses}).items():
        if column in layout.columns and not frame[column].isin(words).all():
            found = _first(~frame[column].isin(words), frame[column])
            raise TableError(f"{file}: {found}, expected one of {', '.join(filter(None, words))}")


def _check_complete(frame: pd.DataFrame, name: str, file: Path) -> None:
    """Rows of a kind are equally many in all checkpoints of a network, and in all that repeats within one."""
    apart, repeat = EVEN.get(name, ((), ()))
    kind = ["network", "data", *(column for column in apart if column in frame)]
    repeat = tuple(column for column in repeat if column in frame)
    for part in (("checkpoint", *repeat), ("checkpoint",)) if name in EVEN else ():
        keys = list(dict.fromkeys([*kind, *part]))
        sizes = frame.groupby(keys, sort=False).size().rename("rows").reset_index()
        most = sizes.groupby(kind)["rows"].transform("max")
        fewer = np.flatnonzero(sizes["rows"] < most)
        if len(fewer):
            row = sizes.iloc[int(fewer[-1])]  # a file is cut at its end
            named = ((key, row[key]) for key in keys[2:])
            place = ", ".join(
                f"{key} {word:.0f}" if isinstance(word, float) else f"{key} {word}" for key, word in named
            )
            raise TableError(
                f"{file}: {place}: {row['rows']} rows, others {most.iloc[fewer[-1]]}; the table looks cut short"
            )
