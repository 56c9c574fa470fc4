"""What the pictures are asked with."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro


@dataclass(frozen=True)
class Config:
    """Draw every figure that the tables in DIR/tables allow, into DIR/figures, as PDF, PNG and SVG."""

    directory: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DIR")]
    """Folder that holds tables/; the pictures go to figures/ in it."""
    captions: bool = False
    """Draw captions below the pictures, too; they are in NAME.txt beside them."""
    width: float | None = None
    """Inches that each picture is wide, 3.4 for one column, 7 for both; each has a width of its own by default."""
    quiet: bool = False
    """Say nothing of pictures that the tables don't allow; what is wrong with a table is said all the same."""

    def __post_init__(self) -> None:
        """Raise ValueError for a width that no picture can have."""
        if self.width is not None and not 3.0 <= self.width <= 20.0:
            raise ValueError(f"--width is inches between 3 and 20, got {self.width:g}")
