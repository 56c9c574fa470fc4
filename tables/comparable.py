"""Reading saved tables for a comparison: checked whole before anything is compared.

A number may be empty (not measured) or infinite unless it says where a measurement belongs: those are whole, or finite,
or above zero. A table that was cut off is noticed where it can be: the last line must end, every line must have the
header's columns, and checkpoints of one network must have equally many rows of a kind. A cut exactly between two
checkpoints can't be seen.
"""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

IDENTITY = ["checkpoint", "network", "data", "training", "seed"]


@dataclass(frozen=True)
class Layout:
    """One table: the analysis that writes it, the words and numbers a comparison needs, and what recurs equally often.

    ``alike`` names the columns that part the rows into kinds, and ``repeat`` those whose every combination has, within
    a kind, the same number of rows.
    """

    analysis: str
    words: tuple[str, ...]
    numbers: tuple[str, ...]
    alike: tuple[str, ...]
    repeat: tuple[str, ...]


def _layout(analysis: str, words: str, numbers: str, alike: str, repeat: str) -> Layout:
    split = (tuple(names.split()) for names in (words, numbers, alike, repeat))
    return Layout(analysis, *split)


LAYOUTS = {
    "hessian": _layout("hessian", "loss operator", "rank eigenvalue", "operator coordinates", "loss"),
    "trace": _layout("hessian", "loss operator", "trace", "operator coordinates", "loss"),
    "surface": _layout("surface", "loss kind", "draw alpha beta value", "kind", "loss draw"),
    "shapes": _layout(
        "surface", "loss split directions kind", "draw rise doubling_radius half_width roughness persistence",
        "kind directions axes_loss", "loss split draw",
    ),
    "sharpness": _layout("sharpness", "loss measure rescaling", "radius value", "measure setting", "loss"),
    "norms": _layout("sharpness", "norm rescaling", "value", "norm", ""),
    "robustness": _layout(
        "robustness", "split perturbation loss", "strength value accuracy", "split perturbation", "loss"
    ),
    "timesteps": _layout(
        "timesteps", "split", "timesteps trained_timesteps accuracy_cumulative loss_sdt loss_tet",
        "trained_timesteps frames statistics", "split",
    ),
    "momentum": _layout("momentum", "loss", "timestep gradient_norm coherence", "checkpoint", "loss"),
    "descent": _layout("descent", "loss direction", "relative_step ratio", "checkpoint", "loss"),
    "energy": _layout("energy", "layer", "timesteps trained_timesteps joules", "trained_timesteps", "timesteps"),
}  # fmt: skip
_WHOLE = {"seed", "rank", "draw", "timestep", "timesteps", "trained_timesteps"}
_FINITE = {"alpha", "beta", "strength"}
_POSITIVE = {"radius", "relative_step"}
_LARGEST = 1e100  # squares of what is smaller are numbers
_WORDS = {
    "training": ("sdt", "tet"),
    "loss": ("sdt", "tet"),
    "measure": (
        "average", "average_magnitude", "average_absolute", "worst", "sam", "adaptive_worst", "adaptive_sam",
        "m_sharpness", "pac_bayes_sigma", "pac_bayes_sigma_magnitude", "pac_bayes_orig", "pac_bayes_init",
        "relative_flatness", "fisher_rao", "fisher_rao_empirical",
    ),
    "rescaling": ("invariant", "changes"),
}  # fmt: skip
_TRUTH = ("converged", "doubling_reached", "half_width_reached")
_FLAGS = {"true": True, "false": False}


def read(path: Path, name: str) -> pd.DataFrame:
    """The table ``name`` that lies at ``path``; columns that a comparison does not need are left as text.

    Raises ValueError, which names the file, what is wrong with it, and the command that writes it.
    """
    layout = LAYOUTS[name]
    try:
        table = _parsed(path)
        missing = [column for column in (*IDENTITY, *layout.words, *layout.numbers) if column not in table]
        if missing:
            raise ValueError(f"lacks the column{'s' * (len(missing) > 1)} {', '.join(missing)}")
        if table.empty:
            raise ValueError("has a header and no rows")
        for column in (*IDENTITY[:-1], *layout.words):
            _check_word(table[column])
        for column in ("seed", *layout.numbers):
            table[column] = _numbers(table[column])
        for column in set(_TRUTH) & set(table):
            table[column] = _flags(table[column])
        _check_complete(table, layout)
        if name == "timesteps":
            _check_splits(table)
    except ValueError as wrong:
        raise ValueError(f"{path}: {wrong}; make it again with python -m analysis.{layout.analysis}") from wrong
    return table


def _parsed(path: Path) -> pd.DataFrame:
    """Every field as text."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            lines = csv.reader(file, strict=True)
            header, rows = next(lines, []), []
            for fields in lines:
                rows.append(fields)
                if len(fields) != len(header):
                    raise ValueError(f"line {lines.line_num} has {len(fields)} fields, the header {len(header)}")
    except (csv.Error, UnicodeDecodeError) as failure:
        raise ValueError(f"is not a readable table ({failure})") from failure
    if len(set(header)) < len(header) or not header:
        raise ValueError("is not a readable table (no header, or a column twice)")
    if not path.read_bytes().endswith(b"\n"):
        raise ValueError("its last line does not end: the file looks cut short")
    return pd.DataFrame(rows, columns=header, dtype=str)


def _line(wrong: np.ndarray) -> int:
    """The number of the first wrong line; the header is the first."""
    return int(np.flatnonzero(wrong)[0]) + 2


def _refuse(wrong: pd.Series | np.ndarray, column: pd.Series, expected: str) -> None:
    if wrong.any():
        line = _line(np.asarray(wrong))
        raise ValueError(f"line {line} has {column.iloc[line - 2]!r} as {column.name}, expected {expected}")


def _check_word(column: pd.Series) -> None:
    words = _WORDS.get(str(column.name))
    if words:
        _refuse(~column.isin(words), column, f"one of {', '.join(words)}")
    _refuse(column.str.strip() == "", column, "a word")


def _numbers(column: pd.Series) -> pd.Series:
    text = column.str.strip().str.lower()
    numbers = pd.to_numeric(text, errors="coerce").astype(float)
    _refuse(numbers.isna() & ~text.isin(["", "nan"]), column, "a number")
    _refuse(np.isfinite(numbers) & (numbers.abs() > _LARGEST), column, f"a number below {_LARGEST:g}")
    if column.name in _WHOLE:
        _refuse(~((numbers.abs() < 1e9) & (numbers % 1 == 0)), column, "a whole number")
        return numbers.astype(int)
    if column.name in _FINITE:
        _refuse(~np.isfinite(numbers), column, "a finite number")
    if column.name in _POSITIVE:
        absent = numbers.isna() if column.name == "radius" else False  # a measure that has none
        _refuse(~(absent | (np.isfinite(numbers) & (numbers > 0))), column, "a finite number above zero")
    return numbers


def _flags(column: pd.Series) -> pd.Series:
    text = column.str.strip().str.lower()
    _refuse(~text.isin(list(_FLAGS)), column, "True or False")
    return text.map(_FLAGS).astype(bool)


def _check_complete(table: pd.DataFrame, layout: Layout) -> None:
    """Rows of a kind are equally many in every checkpoint of a network, and in all that repeats within it."""
    kind = ["network", "data", *(name for name in layout.alike if name in table)]
    for part in (["checkpoint", *layout.repeat], ["checkpoint"]):
        keys = list(dict.fromkeys([*kind, *part]))
        sizes = table.groupby(keys, sort=False).size().rename("rows").reset_index()
        most = sizes.groupby(kind)["rows"].transform("max")
        fewer = np.flatnonzero(sizes["rows"] < most)
        if len(fewer):
            found = sizes.iloc[int(fewer[-1])]  # a file is cut at its end
            place = ", ".join(f"{name} {found[name]}" for name in keys if name not in ("network", "data"))
            raise ValueError(
                f"{place}: {found['rows']} rows, others have {most.iloc[fewer[-1]]}: the file looks cut short"
            )
    if "alpha" in table and table.duplicated([*IDENTITY, *kind, *layout.repeat, "alpha", "beta"]).any():
        raise ValueError("has a point of a surface twice")


def _check_splits(table: pd.DataFrame) -> None:
    for split in ("train", "test"):
        if not (table["split"] == split).any():
            raise ValueError(f"has no rows of split {split}, which the generalization gap needs")
