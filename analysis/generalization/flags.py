"""What measures are set against gaps with."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

Weighting = Literal["images", "hoeffding", "none"]
Gap = Literal["loss", "accuracy", "shifted_loss", "shifted_accuracy"]


@dataclass(frozen=True)
class Config:
    """Set measures against generalization gaps over the networks of a sweep, from saved tables."""

    folders: tyro.conf.Positional[tuple[Path, ...]]
    """Folders with tables, or with a folder tables."""
    out: Path | None = None
    """Folder for the tables; by default the first folder's tables."""
    factors: tuple[str, ...] = ()
    """Columns of table settings, or method; by default all that differ."""
    gap: tuple[Gap, ...] = ("loss", "accuracy")
    """What measures are set against: the gap in loss, in accuracy, or either to shifted test images."""
    noise: float = 0.5
    """Of the oracle, in standard deviations of the gap."""
    weights: Weighting | None = None
    """Of pairs in sign errors; by default images where table outcomes is there, else hoeffding, else none. Of gaps to
    shifted images none."""
    deals: int = 500
    """Deals of seeds and settings that a p is made of, where there are more."""
    seed: int = 0
    """Of those deals, and of the noise in reference measures."""
    latex: Path | None = None
    """File for a table in LaTeX, with booktabs."""
