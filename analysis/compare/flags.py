"""What a comparison is asked with."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro


@dataclass(frozen=True)
class Config:
    """Compare methods, or the values of a factor, from saved tables."""

    folders: tyro.conf.Positional[tuple[Path, ...]]
    """Folders with tables, or with a folder tables."""
    out: Path | None = None
    """Folder for the tables; by default the first folder's tables."""
    reference: str | None = None
    """The method (or value of the factor) that the others are compared with; by default the first in the tables."""
    by: str = "method"
    """What is compared: method, or within each method a factor that the runs record in table settings."""
    resamples: int = 1000
    """Deals of seeds that a correlation's p is made of, where there are more."""
    seed: int = 0
    """Of those deals."""
    controls: Path | None = None
    """Table controls.csv of python -m analysis.controls, whose failures are doubts; by default one among the tables."""
    latex: Path | None = None
    """File for a table in LaTeX, with booktabs."""
    all_rows: Annotated[bool, tyro.conf.arg(name="all")] = False
    """Print every row, with its doubts, instead of the answer and the eight rows that speak first."""
