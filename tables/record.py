"""The JSON beside each table: the settings, checkpoints, versions and seconds that its numbers come from."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .reading import TableError, path


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
    file = path(directory, name).with_suffix(".json")
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


def contents(records: Mapping[str, Record]) -> dict[str, dict[str, list[str]]]:
    """For every checkpoint the sha256 it had, and the tables that were measured when it had that."""
    found: dict[str, dict[str, list[str]]] = {}
    for name, one in records.items():
        for checkpoint, digest in one.checkpoints.items():
            found.setdefault(checkpoint, {}).setdefault(str(digest), []).append(name)
    return found
