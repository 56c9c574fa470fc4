"""Which controls a measure has failed, by a table of :mod:`analysis.controls`: a reason to doubt its rows."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from tables.reading import read_file

FAILS = "fails control"


def read(asked: Path | None, folders: Sequence[Path]) -> pd.DataFrame:
    """The table ``asked`` for, else those that lie in the ``folders``; without rows where there is none.

    Raises FileNotFoundError where the one asked for isn't there, TableError for one that is garbled.
    """
    if asked is not None and not asked.is_file():
        raise FileNotFoundError(f"no table {asked}: python -m analysis.controls writes it, OUT/tables/controls.csv")
    places = [folder / "tables" if (folder / "tables").is_dir() else folder for folder in folders]
    files = [asked] if asked else [place / "controls.csv" for place in places]
    found = [read_file(file, "controls") for file in files if file.is_file()]
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame({"measure": []})


def failed(controls: pd.DataFrame, measure: str, place: Mapping[Any, Any]) -> list[str]:
    """Reasons to doubt ``measure`` of ``place``, a network and data: the controls that it failed at any level.

    Those put to it there count; where there are none, those put to it elsewhere, and the reason says where.
    """
    rows = controls[controls["measure"] == measure]
    if rows.empty:
        return []
    here = rows[(rows["network"] == place["network"]) & (rows["data"] == place["data"])]
    elsewhere = here.empty
    rows = rows if elsewhere else here
    wrong = rows[rows["verdict"] == "failed"]
    where = " (" + wrong["network"] + " on " + wrong["data"] + ")" if elsewhere else ""
    return list(dict.fromkeys(FAILS + " " + wrong["control"] + where)) if len(wrong) else []
