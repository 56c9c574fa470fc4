"""The runs' tables of one name as one table, and one record of where they come from."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from tables.methods import with_methods
from tables.record import origin, provenance
from tables.result import Result


def stack(folders: Sequence[Path], out: Path) -> None:
    """One table from the runs' tables of the same name, and one record of their provenance."""
    for name in sorted({path.name for folder in folders for path in folder.glob("*.csv")}):
        found = [folder / name for folder in folders if (folder / name).exists()]
        records = [origin(table) for table in found]
        hashes, code = (
            {file: digest for record in records for file, digest in record.get(kind, {}).items()}
            for kind in ("checkpoints", "code")
        )
        record = provenance(records[0]["settings"], hashes, sum(record["seconds"] for record in records))
        record |= {"code": code} if code else {}
        parts = [with_methods(pd.read_csv(table, dtype=str, na_filter=False)) for table in found]  # text as written
        stacked = pd.concat(parts, ignore_index=True)
        Result({name.removesuffix(".csv"): stacked}, record).save(out)
