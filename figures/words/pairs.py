"""A sentence for each method against the reference, from one that is about two methods, or about one alone."""

from collections.abc import Iterator

import pandas as pd

from tables.reading import TableError

from ..style.methods import facing, label, looks
from .comparison import Reading, Tables


def read(reading: Reading, tables: Tables, table: str) -> str:
    """What ``reading`` says of each pair that the table has, one sentence after the other; the same is said once.

    Where a pair lacks something that another has, that is said instead. Raises TableError where no pair has it all.
    """
    said: dict[str, None] = {}
    lacking: list[TableError] = []
    found = list(_pairs(tables[table])) if table in tables else []
    for reference, method in found:
        with facing(reference, method):
            try:
                said[reading(_of(tables, reference, method))] = None
            except TableError as error:
                lacking.append(error)
                said[f"{label(method or reference)}: {error}."] = None
    if found and len(lacking) == len(found):
        raise lacking[0]
    return " ".join(said) if found else reading(tables)


def _pairs(frame: pd.DataFrame) -> Iterator[tuple[str, str]]:
    """Reference and method of each pair: the comparison's own, else every method against the first that is compared.

    Methods are alone where there is one, or where the table lacks the reference.
    """
    if {"reference", "method"} <= set(frame):
        yield from dict.fromkeys(zip(frame["reference"], frame["method"], strict=True))
    elif "method" in frame:
        here, reference = list(looks(frame["method"])), next(iter(looks() or looks(frame["method"])))
        others = [name for name in here if name != reference]
        alone = reference not in here or not others
        yield from ((name, "") if alone else (reference, name) for name in (here if alone else others))


def _of(tables: Tables, *names: str) -> Tables:
    """The tables' rows of these methods, and those about all of them together."""
    return {name: _rows(frame, names) for name, frame in tables.items()}


def _rows(frame: pd.DataFrame, names: tuple[str, ...]) -> pd.DataFrame:
    if "checkpoint" not in frame:
        return frame
    for column in ("method", "other_method"):
        frame = frame[frame[column].isin(names)] if column in frame else frame
    return frame
