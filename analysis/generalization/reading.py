"""The tables of a sweep's folders, together, and refused where they are not of one sweep."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from tables import contents
from tables.reading import read_file
from tables.record import altered
from tables.schema import IDENTITY

from ..compare.measures import READ, measures, read_tables


@dataclass(frozen=True)
class Tables:
    """What all folders hold: ``values`` are the measures, ``changed`` the files that aren't what their record says.

    ``runs`` says what became of each network, where a sweep has written it; ``contents`` which checkpoints had several
    (:mod:`tables.contents`), "" for none.
    """

    values: pd.DataFrame
    settings: pd.DataFrame
    outcomes: pd.DataFrame
    rise: pd.DataFrame
    timesteps: pd.DataFrame
    changed: tuple[str, ...]
    runs: pd.DataFrame = field(default_factory=lambda: pd.DataFrame({"checkpoint": []}))
    contents: str = ""


def read(folders: Sequence[Path]) -> Tables:
    """The tables in ``folders``, as :mod:`analysis.compare` takes them.

    Raises FileNotFoundError for a folder without tables; ValueError for none, and for tables of several sweeps: a
    checkpoint that is two networks, or folders that are of other data or network than the first.
    """
    if not folders:
        raise ValueError("no folder given: name the sweep's, as python -m analysis.generalization runs/sweep")
    found = [read_tables(folder) for folder in folders]
    every = [table for tables in found for table in tables.values()]
    _check_identities(pd.concat([table[list(IDENTITY)] for table in every]).drop_duplicates())
    values = [measures(tables) for tables in found]
    _check_alike(folders, values)

    def whole(name: str) -> pd.DataFrame:
        parts = [tables[name] for tables in found if name in tables]
        return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame({"checkpoint": []})

    changed = tuple(f"{folder}: {name}.csv" for folder in folders for name in altered(folder) if name in READ)
    mixed = contents.said(contents.mixed(contents.records(folders, READ)))
    settings, outcomes, rise, timesteps = map(whole, ("settings", "outcomes", "rise", "timesteps"))
    whole_values = pd.concat(values, ignore_index=True)
    return Tables(whole_values, settings, outcomes, rise, timesteps, changed, _runs(folders), mixed)


def _runs(folders: Sequence[Path]) -> pd.DataFrame:
    """Table runs of all folders, or one without rows."""
    places = [folder / "tables" if (folder / "tables").is_dir() else folder for folder in folders]
    found = [read_file(place / "runs.csv", "runs") for place in places if (place / "runs.csv").is_file()]
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame({"checkpoint": []})


def _check_identities(named: pd.DataFrame) -> None:
    """One checkpoint is one network, trained in one way."""
    for checkpoint in named.loc[named["checkpoint"].duplicated(), "checkpoint"].head(1):
        rows = named[named["checkpoint"] == checkpoint]
        column = next(name for name in IDENTITY if rows[name].nunique() > 1)
        one, other = rows[column].unique()[:2]
        raise ValueError(
            f"{checkpoint} has {column} {one} in one table and {other} in another: tables of two sweeps are mixed; "
            "give each its own folder"
        )


def _check_alike(folders: Sequence[Path], values: Sequence[pd.DataFrame]) -> None:
    """Folders that are given together hold parts of one sweep, and so the same networks on the same data."""
    told = [sorted(set(zip(part["network"], part["data"], strict=True))) for part in values]
    for folder, own in zip(folders, told, strict=True):
        if own != told[0]:
            first, other = (", ".join(" on ".join(one) for one in some) for some in (told[0], own))
            raise ValueError(f"{folders[0]} is of {first}, {folder} of {other}: two sweeps; analyse them apart")
