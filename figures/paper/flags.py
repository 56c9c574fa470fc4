"""What the pictures are asked with."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro


@dataclass(frozen=True)
class Config:
    """Draw every figure that the tables in DIR/tables allow, into DIR/figures, as PDF and PNG."""

    directory: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DIR")]
    """Folder that holds tables/; the pictures go to figures/ in it."""
    quiet: bool = False
    """Say nothing of pictures that the tables don't allow; what is wrong with a table is said all the same."""
