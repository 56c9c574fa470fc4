"""The runs' tables of one name as one table, and one record of where they come from."""

import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import pandas as pd

from tables.methods import with_methods
from tables.record import origin, provenance
from tables.result import Result

from ..command import LEFT_OUT

Stale = Mapping[Path, Collection[str]]
"""By run's folder the names of tables of an earlier time, which the run fails to give now."""


def stack(folders: Sequence[Path], out: Path, stale: Stale | None = None) -> None:
    """One table from the runs' tables of the same name, and one record of their provenance.

    Those that are ``stale`` are left out, and a table in ``out`` that none but such were of is removed.
    """
    left = {folder / f"{name}.csv" for folder, names in (stale or {}).items() for name in names}
    for name in sorted({path.name for folder in {*folders, *(stale or {})} for path in folder.glob("*.csv")}):
        found = [folder / name for folder in folders if (folder / name).exists() and folder / name not in left]
        if not found:
            for file in (out / name, (out / name).with_suffix(".json")):
                file.unlink(missing_ok=True)
            continue
        records = [origin(table) for table in found]
        hashes, code, left_out = (
            {file: value for record in records for file, value in record.get(kind, {}).items()}
            for kind in ("checkpoints", "code", LEFT_OUT)
        )
        record = provenance(records[0]["settings"], hashes, sum(record["seconds"] for record in records))
        record |= {kind: told for kind, told in (("code", code), (LEFT_OUT, left_out)) if told}
        parts = [with_methods(pd.read_csv(table, dtype=str, na_filter=False)) for table in found]  # text as written
        stacked = pd.concat(parts, ignore_index=True)
        Result({name.removesuffix(".csv"): stacked}, record).save(out)


def written_with(table: Path) -> set[str]:
    """The names of the tables that were written together with ``table``, its own among them, as its record says."""
    try:
        return {table.stem, *json.loads(table.with_suffix(".json").read_text(encoding="utf-8"))["tables"]}
    except (OSError, ValueError, LookupError, TypeError):
        return {table.stem}
