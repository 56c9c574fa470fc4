"""Whether tables that are read together were measured of the same contents of each checkpoint, as their records say.

Whoever trains again into the same folder, and measures only some things again, has tables of two networks under one
name. Each table's record has the sha256 of what it was measured of; a table without a record says nothing.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from .reading import TableError
from .record import Record, read_record
from .words import listed

_NAMED = 2  # checkpoints in a line
Parts = Mapping[str, Sequence[Sequence[str]]]
"""For a checkpoint the names of tables, those of one content together."""


def records(folders: Iterable[Path], names: Collection[str]) -> list[tuple[str, Record]]:
    """The tables of these ``names`` in each folder, or its ``tables``, that have a record, and the record."""
    found = []
    for folder in folders:
        place = folder / "tables" if (folder / "tables").is_dir() else folder
        for name in names:
            if (place / f"{name}.csv").is_file():
                try:
                    found.append((name, read_record(place / f"{name}.json")))
                except (OSError, TableError):  # as its author left it
                    continue
    return found


def contents(of: Iterable[tuple[str, Record]]) -> dict[str, dict[str, list[str]]]:
    """For every checkpoint the sha256 it had, and the tables that were measured when it had that."""
    found: dict[str, dict[str, list[str]]] = {}
    for name, one in of:
        for checkpoint, digest in one.checkpoints.items():
            found.setdefault(checkpoint, {}).setdefault(str(digest), []).append(name)
    return found


def mixed(of: Iterable[tuple[str, Record]]) -> dict[str, list[list[str]]]:
    """The checkpoints that had several contents, and for each content the tables that are of it."""
    return {one: list(parts.values()) for one, parts in contents(of).items() if len(parts) > 1}


def joined(found: Parts, checkpoints: Iterable[str], tables: Collection[str]) -> bool:
    """Whether ``tables`` taken together are of several contents of one of these ``checkpoints``."""
    own = (found[one] for one in set(checkpoints) & found.keys()) if found else ()
    return any(sum(not set(tables).isdisjoint(part) for part in parts) > 1 for parts in own)


def said(found: Parts) -> str:
    """Which checkpoints are not the same in all tables, and in which, as a sentence; "" for none."""
    alike: dict[str, list[str]] = {}
    for checkpoint, parts in found.items():
        tables = ", another in ".join(listed([f"{name}.csv" for name in part]) for part in parts)
        alike.setdefault(tables, []).append(checkpoint)
    clauses = []
    for tables, names in alike.items():
        more = [f"{len(names) - _NAMED} more"] if len(names) > _NAMED else []
        clauses.append(f"{listed([*names[:_NAMED], *more])} had one content in {tables}")
    return f"{'; '.join(clauses)}: what was trained again has to be measured again." if clauses else ""
