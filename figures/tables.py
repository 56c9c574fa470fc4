"""Reading the tables that pictures are made of: ``DIR/tables/NAME.csv``, checked before anything is drawn.

A table is tidy: one observation a row. Columns that pictures use are listed in :data:`TABLES`; others may be there. A
number may be empty (not measured) or infinite unless it says where a measurement belongs, or counts; a word may not,
except where emptiness means something. A file that was cut off is noticed where it can be: the last line must end,
every line must have the header's columns, and rows of a kind must be equally many in all checkpoints of a network.
"""

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd


class TableError(ValueError):
    """A table that is there but can't be drawn: what was found, and what was expected."""


@dataclass(frozen=True)
class Layout:
    """The columns of one table: ``words``, ``numbers``, and ``flags`` (true, false or empty)."""

    words: tuple[str, ...]
    numbers: tuple[str, ...]
    flags: tuple[str, ...] = ()
    blank: tuple[str, ...] = ()  # words that may be empty

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column, words first."""
        return (*self.words, *self.blank, *self.numbers, *self.flags)


def _run(words: str, numbers: str, flags: str = "") -> Layout:
    """A table with a row per measurement of a checkpoint: the common columns, and its own."""
    common = ("checkpoint", "network", "data", "training")
    return Layout((*common, *words.split()), ("seed", *numbers.split()), tuple(flags.split()))


TABLES = {
    "history": _run("", "epoch train_loss_sdt train_loss_tet test_loss_sdt test_loss_tet train_accuracy test_accuracy"),
    "hessian": _run("loss operator", "rank eigenvalue", "converged"),
    "density": _run("loss operator", "probe node weight"),
    "radius": _run("loss direction", "draw radius relative_radius second_difference formal"),
    "surface": _run("loss split kind", "draw alpha beta value accuracy"),
    "momentum": _run(
        "loss", "timestep error_norm gradient_norm gain cosine_to_total share coherence coherence_null batches"
    ),
    "momentum_pairs": _run("loss", "timestep other cosine"),
    "descent": _run("loss direction", "relative_step ratio"),
    "timesteps": _run("split", "timesteps trained_timesteps images accuracy_cumulative accuracy_at_step"),
    "energy": _run("split layer", "timesteps images joules accuracy"),
    "compare": Layout(
        ("measure",),
        ("sdt", "tet", "difference", "low", "high", "n"),
        ("lower_is_flatter",),
        ("loss", "flatter", "trust"),
    ),
}

_EVEN = {
    "history": ((), ()),
    "hessian": (("operator", "coordinates"), ("loss",)),
    "radius": (("direction",), ("loss",)),
    "surface": (("kind",), ("loss", "draw")),
    "momentum": (("checkpoint",), ("loss",)),
    "momentum_pairs": (("checkpoint",), ("loss",)),
    "descent": (("checkpoint",), ("loss",)),
    "timesteps": (("trained_timesteps",), ("split",)),
    "energy": (("trained_timesteps",), ("timesteps",)),
}  # what a row's kind is, and what repeats with the same number of rows within one
_WHOLE = {"seed", "epoch", "rank", "probe", "draw", "timestep", "other", "timesteps", "trained_timesteps"}
_WHOLE |= {"images", "batches", "n"}
_FINITE = {"alpha", "beta"}
_POSITIVE = {"radius", "relative_radius", "relative_step"}
_LARGEST = 1e100  # squares of what is smaller are numbers
_VOCABULARY = {"training": ("sdt", "tet"), "loss": ("sdt", "tet", ""), "flatter": ("sdt", "tet", "")}
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


def _numbers(column: pd.Series, file: Path) -> pd.Series:
    text = column.fillna("").str.strip()
    numbers = pd.to_numeric(text, errors="coerce").astype(float)
    wrong = numbers.isna() & ~text.str.lower().isin(["", "nan"])
    if wrong.any():
        raise TableError(f"{file}: {_first(wrong, column)}, not a number")
    for unfit, expected in _unfit(numbers, str(column.name)):
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
    for column, words in _VOCABULARY.items():
        if column in layout.columns and not frame[column].isin(words).all():
            found = _first(~frame[column].isin(words), frame[column])
            raise TableError(f"{file}: {found}, expected one of {', '.join(filter(None, words))}")


def _check_complete(frame: pd.DataFrame, name: str, file: Path) -> None:
    """Rows of a kind are equally many in all checkpoints of a network, and in all that repeats within one."""
    apart, repeat = _EVEN.get(name, ((), ()))
    kind = ["network", "data", *(column for column in apart if column in frame)]
    for part in (("checkpoint", *repeat), ("checkpoint",)) if name in _EVEN else ():
        keys = list(dict.fromkeys([*kind, *part]))
        sizes = frame.groupby(keys, sort=False).size().rename("rows").reset_index()
        most = sizes.groupby(kind)["rows"].transform("max")
        fewer = np.flatnonzero(sizes["rows"] < most)
        if len(fewer):
            row = sizes.iloc[int(fewer[-1])]  # a file is cut at its end
            shown = (f"{key} {int(row[key]) if key in _WHOLE else row[key]}" for key in keys[2:])
            place = ", ".join(shown)
            raise TableError(
                f"{file}: {place}: {row['rows']} rows, others {most.iloc[fewer[-1]]}; the table looks cut short"
            )


def families(frame: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """The parts of a table that may be averaged: one per network and data set, with a suffix for file names.

    The suffix is empty when there is only one, which is the usual case.
    """
    keys = [column for column in ("network", "data") if column in frame]
    parts = list(frame.groupby(keys, sort=True)) if keys else [((), frame)]
    for names, part in parts:
        yield ("" if len(parts) == 1 else "-" + re.sub(r"[^\w.-]+", "-", "-".join(map(str, names)))), part


def shared_seeds(frame: pd.DataFrame) -> int:
    """How many checkpoints share network, data, training and seed with another, and so count as one seed with it.

    Snapshots of one run do, or networks that differ in a setting that the table does not show.
    """
    if "checkpoint" not in frame:
        return 0
    runs = frame.groupby(["network", "data", "training", "seed"])["checkpoint"].nunique()
    return int(runs[runs > 1].sum())


def check_measured(frame: pd.DataFrame, *columns: str) -> None:
    """Raise TableError where none of ``columns`` holds a finite value: there would be nothing to see."""
    if not np.isfinite(frame[list(columns)].to_numpy()).any():
        raise TableError(f"no finite value of {', '.join(columns)}")


def one_split(frame: pd.DataFrame, preferred: str) -> tuple[str, pd.DataFrame]:
    """The rows of one split, ``preferred`` where the table has it, and its name: splits are never averaged."""
    splits = sorted(frame["split"].unique())
    split = preferred if preferred in splits else splits[0]
    return split, frame[frame["split"] == split]
