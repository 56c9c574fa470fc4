"""What an analysis returns: tidy tables, and where they come from.

A table is a CSV with one observation a row; beside ``NAME.csv`` lies ``NAME.json`` with the settings, the checkpoints'
sha256, package versions, device, precision, seconds, and the sha256 of all tables that were written together. Files are
written whole or not at all, and by one process at a time. A kill between two of them leaves a table without a record
rather than with another's.
"""

import hashlib
import json
import platform
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

from tables.files import locked, remove_leftovers, replacing, sync

_PACKAGES = ("snn-landscape", "torch", "numpy", "scipy", "pandas")


@dataclass(frozen=True)
class Result:
    """Named tables, the main one first, with their provenance."""

    tables: dict[str, pd.DataFrame]
    provenance: Mapping[str, Any]

    def to_frame(self) -> pd.DataFrame:
        """The main table."""
        return next(iter(self.tables.values()))

    def save(self, out: Path) -> list[Path]:
        """Write every table and its provenance into the folder ``out``; returns the CSV files' paths.

        The main table comes last: where it lies, the others do too. Raises OSError where that can't be done; then what
        was there before stays.
        """
        tables, records = ({name: out / f"{name}.{kind}" for name in self.tables} for kind in ("csv", "json"))
        with locked(out), ExitStack() as renaming:
            remove_leftovers(out, *(path.name for path in (*tables.values(), *records.values())))
            written = {}
            for name in self.tables:  # renamed in reverse: of the last one table and record, … of the main one
                written[records[name]] = renaming.enter_context(replacing(records[name]))
                written[tables[name]] = renaming.enter_context(replacing(tables[name]))
                self.tables[name].to_csv(written[tables[name]], index=False)
            digests = {name: sha256(written[tables[name]]) for name in self.tables}
            record = json.dumps({**self.provenance, "tables": digests}, indent=1, default=str) + "\n"
            for path in records.values():
                written[path].write_text(record, encoding="utf-8")
            for partial in written.values():
                sync(partial)
            for path in records.values():
                path.unlink(missing_ok=True)
        return list(reversed(tables.values()))


def origin(table: Path) -> dict[str, Any]:
    """The provenance that lies beside the CSV file ``table``: settings, checkpoints, seconds and more.

    Raises FileNotFoundError where either is missing, ValueError where the record is damaged or where ``table``, or one
    that was written together with it, has changed since.
    """
    record = table.with_suffix(".json")
    for path in (table, record):
        if not path.is_file():
            raise FileNotFoundError(f"no {path}")
    try:
        found = json.loads(record.read_text(encoding="utf-8"))
        kinds = {"settings": dict, "checkpoints": dict, "seconds": float | int}
        whole = all(isinstance(found[name], kind) for name, kind in kinds.items())
        digests = dict(found.get("tables", {}))
    except (ValueError, LookupError, TypeError, AttributeError):
        whole = False
    if not whole:
        raise ValueError(f"{record} is damaged: delete it and {table.name}, and make them again")
    for name, digest in digests.items():
        written = table.with_name(f"{name}.csv")
        if not written.is_file() or sha256(written) != digest:
            raise ValueError(f"{written} is not what {record.name} was written with: delete both, and make them again")
    return dict(found)


def provenance(settings: Mapping[str, Any], checkpoints: Mapping[str, str], seconds: float) -> dict[str, Any]:
    """What made a table: settings, ``{path: sha256}`` of its checkpoints, versions, machine, wall time."""
    return {
        "settings": dict(settings),
        "checkpoints": dict(checkpoints),
        "versions": {name: version(name) for name in _PACKAGES} | {"python": platform.python_version()},
        "machine": platform.machine(),
        "seconds": round(seconds, 3),
    }


def sha256(path: Path) -> str:
    """Hex digest of a file's bytes."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()
