"""What the surfaces to turn are asked with."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro


@dataclass(frozen=True)
class Config:
    """Draw the planes in DIR/tables/surface.csv as an interactive page, DIR/figures/surfaces.html."""

    directory: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DIR")]
    """Folder that holds tables/; the page goes to figures/ in it."""
    vtk: bool = False
    """Also write every surface as a file for ParaView, in figures/vtk/ (needs meshio)."""
