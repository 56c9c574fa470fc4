"""The JSON beside each table: settings, checkpoints, versions, seconds that its numbers come from, and digests."""

import hashlib
import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from .reading import TableError, path

_PACKAGES = ("snn-landscape", "torch", "numpy", "scipy", "pandas")


@dataclass(frozen=True)
class Record:
    """What a table was made of and with: ``checkpoints`` maps paths, ``tables`` names, to sha256."""

    settings: Mapping[str, Any]
    checkpoints: Mapping[str, str]
    versions: Mapping[str, str]
    machine: str
    seconds: float
    tables: Mapping[str, str]


def record(directory: Path, name: str) -> Record:
    """The record of table ``name``. Raises FileNotFoundError where there is none, TableError where it isn't one."""
    return read_record(path(directory, name).with_suffix(".json"))


def read_record(file: Path) -> Record:
    """The record that lies at ``file``, see :func:`record`."""
    if not file.is_file():
        raise FileNotFoundError(f"no record {file}")
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        settings, checkpoints, versions = (dict(found[key]) for key in ("settings", "checkpoints", "versions"))
        digests = dict(found.get("tables", {}))
        return Record(settings, checkpoints, versions, str(found["machine"]), float(found["seconds"]), digests)
    except (ValueError, KeyError, TypeError) as error:
        raise TableError(f"{file}: not a record of settings, checkpoints, versions, machine, seconds") from error


def changed(directory: Path, records: Mapping[str, Record]) -> list[str]:
    """Names of the tables that aren't, byte for byte, what their record was written with.

    A record that has no hash of its table says nothing about it. Raises OSError where a table can't be read.
    """
    return [
        name
        for name, one in records.items()
        if name in one.tables and one.tables[name] != hashlib.sha256(path(directory, name).read_bytes()).hexdigest()
    ]


def altered(folder: Path) -> list[str]:
    """Names of the tables in ``folder``, or ``folder/tables``, that aren't what the record beside them says, or gone.

    A table without a record, or with a damaged one, is as its author left it: nothing is known of it.
    """
    folder = folder / "tables" if (folder / "tables").is_dir() else folder
    found = []
    for file in sorted(folder.glob("*.json")):
        try:
            digest = json.loads(file.read_text(encoding="utf-8"))["tables"][file.stem]
        except (OSError, ValueError, LookupError, TypeError):
            continue
        table = file.with_suffix(".csv")
        if not table.is_file() or digest != sha256(table):
            found.append(file.stem)
    return found


def origin(table: Path) -> dict[str, Any]:
    """The provenance that lies beside the CSV file ``table``: settings, checkpoints, seconds and more.

    Raises FileNotFoundError where either is missing, ValueError where the record is damaged or where ``table``, or one
    that was written together with it, has changed since.
    """
    record = table.with_suffix(".json")
    for file in (table, record):
        if not file.is_file():
            raise FileNotFoundError(f"no {file}")
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
