"""What the page is asked with."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro


@dataclass(frozen=True)
class Config:
    """Write DIR/report.html, one page that opens offline, from the tables in DIR/tables."""

    directory: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DIR")]
    """Folder that holds tables/; the page is written into it."""
