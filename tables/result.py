"""What an analysis returns: tidy tables, and where they come from.

A table is a CSV with one observation a row; beside ``NAME.csv`` lies ``NAME.json`` with the settings, the checkpoints'
sha256, package versions, device, precision, seconds, and the sha256 of all tables that were written together. Files are
written whole or not at all, and by one process at a time. A kill between two of them leaves a table without a record
rather than with another's.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from .files import locked, remove_leftovers, replacing, sync
from .record import sha256
from .schema import SCHEMA, checked


@dataclass(frozen=True)
class Result:
    """Named tables, the main one first, with their provenance."""

    tables: dict[str, pd.DataFrame]
    provenance: Mapping[str, Any]

    def to_frame(self) -> pd.DataFrame:
        """The main table."""
        return next(iter(self.tables.values()))

    def _repr_html_(self) -> str:
        from .displayed import result

        return result(self.tables)

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        from .displayed import plain

        printer.text("…" if cycle else plain(self.tables))

    def save(self, out: Path) -> list[Path]:
        """Write every table and its provenance into the folder ``out``; returns the CSV files' paths.

        The main table comes last: where it lies, the others do too. Raises OSError where that can't be done; then what
        was there before stays. Raises ValueError for a table that isn't as :mod:`tables.schema` says.
        """
        for name, table in self.tables.items():
            checked(name, table)
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

    def replace(self, command: str, out: Path) -> None:
        """:meth:`save`, and remove what an earlier ``command`` left in ``out`` that this one doesn't have."""
        self.save(out)
        for name in [name for name, one in SCHEMA.items() if one.command == command and name not in self.tables]:
            for kind in ("csv", "json"):
                (out / f"{name}.{kind}").unlink(missing_ok=True)


def made_of(folders: Sequence[Path], result: Result, command: str, out: Path | None) -> None:
    """Write what ``command`` made of the tables in ``folders`` to ``out``, or beside the first; say where on stderr."""
    first = folders[0]
    out = out or (first / "tables" if (first / "tables").is_dir() else first)
    result.replace(command, out)
    if "changed" in result.provenance:
        print(f"changed since they were written: {', '.join(result.provenance['changed'])}", file=sys.stderr)
    if "contents" in result.provenance:
        print(result.provenance["contents"], file=sys.stderr)
    print(f"written to {out}: {', '.join(f'{name}.csv' for name in result.tables)}", file=sys.stderr)
