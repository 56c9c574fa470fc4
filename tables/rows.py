"""Rows chosen from tables, so that nothing is averaged that may not be."""

import re
from collections.abc import Iterator

import numpy as np
import pandas as pd

from .reading import TableError


def families(frame: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """The parts of a table that may be averaged: one per network and data set, with a suffix for file names.

    A comparison by a factor has one per method that it is ``within`` too. The suffix is empty when there is only one,
    which is the usual case.
    """
    keys = [column for column in ("network", "data") if column in frame]
    keys += ["within"] if "within" in frame and frame["within"].nunique() > 1 else []
    parts = list(frame.groupby(keys, sort=True)) if keys else [((), frame)]
    for names, part in parts:
        yield ("" if len(parts) == 1 else "-" + re.sub(r"[^\w.-]+", "-", "-".join(map(str, names)))), part


def same(part: pd.DataFrame, other: pd.DataFrame) -> pd.DataFrame:
    """The rows of ``other`` that are of the same network and data set as ``part``, a part of a table.

    Of comparisons within one method, those within the same.
    """
    for key in ("network", "data", "within"):
        if key in part and key in other:
            other = other[other[key] == part[key].iloc[0]]
    return other


def place(part: pd.DataFrame) -> str:
    """A part of :func:`families` in words."""
    first = part.iloc[0]
    within = f", within {first['within']}" if first.get("within") else ""
    return f"{first['network']} on {first['data']}{within}"


def shared_seeds(frame: pd.DataFrame) -> int:
    """How many checkpoints share network, data, method and seed with another, and so count as one seed with it.

    Networks do that differ in a setting that the table does not show, where the T they were trained at is one that some
    do. Snapshots of one run are told apart by ``epoch``.
    """
    if "checkpoint" not in frame:
        return 0
    keys = ["network", "data", "method", "seed", *(["trained_timesteps"] if "trained_timesteps" in frame else [])]
    alike = frame.groupby([*keys, *(["epoch"] if "epoch" in frame else [])])["checkpoint"].nunique()
    runs = alike.groupby(keys).max()
    return int(runs[runs > 1].sum())


def any_measured(frame: pd.DataFrame, *columns: str) -> bool:
    """Whether one of ``columns`` holds a finite value."""
    return bool(np.isfinite(frame[list(columns)].to_numpy()).any())


def check_measured(frame: pd.DataFrame, *columns: str) -> None:
    """Raise TableError where none of ``columns`` holds a finite value: there would be nothing to see."""
    if not any_measured(frame, *columns):
        raise TableError(f"no finite value of {', '.join(columns)}")


class Timeless(TableError):
    """What needs several timesteps, put to networks that have one."""


class Unasked(TableError):
    """What is measured only where it is asked for, and wasn't."""


def check_timed(frame: pd.DataFrame, column: str = "timesteps") -> None:
    """Raise Timeless where T is 1 alone, as of networks without time: nothing can be seen against it."""
    if frame[column].max() <= 1:
        raise Timeless("there is one timestep alone, T = 1: nothing to see against time")


def one_split(frame: pd.DataFrame, preferred: str) -> tuple[str, pd.DataFrame]:
    """The rows of one split, ``preferred`` where the table has it, and its name: splits are never averaged.

    Raises TableError where a picture's choice among a table's rows left none.
    """
    if frame.empty:
        raise TableError("no rows of networks with the statistics and frames that they were trained with")
    splits = sorted(frame["split"].unique())
    split = preferred if preferred in splits else splits[0]
    return split, frame[frame["split"] == split]


def check_columns(frame: pd.DataFrame, *columns: str) -> None:
    """Raise TableError where one of ``columns``, which other pictures of the table do without, is not there."""
    missing = [column for column in columns if column not in frame]
    if missing:
        raise TableError(f"lacks the column{'s' * (len(missing) > 1)} {', '.join(missing)}")


def most_trained(frame: pd.DataFrame) -> tuple[int, pd.DataFrame]:
    """The T that most rows' networks were trained at, and those rows: networks of different T are never averaged.

    Raises TableError where no row says.
    """
    check_measured(frame, "trained_timesteps")
    finite = frame[np.isfinite(frame["trained_timesteps"])]
    trained = finite["trained_timesteps"].mode().iloc[0]
    return int(trained), finite[finite["trained_timesteps"] == trained]
