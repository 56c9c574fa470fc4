"""All tables of a folder, read once."""

from pathlib import Path

import pandas as pd

from tables import reading as tables


def read(directory: Path) -> tuple[dict[str, pd.DataFrame], dict[str, str]]:
    """The tables in ``directory`` that can be read, and why others that are there can't, by name."""
    found, unusable = {}, {}
    for name in tables.available(directory):
        try:
            found[name] = tables.read(directory, name)
        except (OSError, tables.TableError) as error:
            unusable[name] = str(error)
    return found, unusable
