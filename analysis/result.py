"""What an analysis returns: tidy tables, and where they come from.

A table is a CSV with one observation a row; beside ``NAME.csv`` lies ``NAME.json`` with the settings, the checkpoints'
sha256, package versions, device, precision and seconds. Files are written whole or not at all.
"""

import hashlib
import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

from models.checkpoint import replacing

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

        The main table comes last: where it lies, the others do too. Raises OSError where that can't be done.
        """
        paths = []
        for name, table in reversed(self.tables.items()):
            with replacing(out / f"{name}.csv") as partial:
                table.to_csv(partial, index=False)
            with replacing(out / f"{name}.json") as partial:
                partial.write_text(json.dumps(self.provenance, indent=1, default=str) + "\n")
            paths.append(out / f"{name}.csv")
        return paths


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
