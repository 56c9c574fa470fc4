"""What a picture is: a table, what draws it, and what is said of it."""

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd
from matplotlib.figure import Figure

from ..style.fitting import fit
from ..style.look import COLUMN
from ..words.comparison import Reading, Tables
from ..words.pairs import read


@dataclass(frozen=True)
class Picture:
    """One figure: its file name, the table it is made of, what draws it, its size in inches, and what else it needs.

    ``draw`` is given the figure, the table, and each table ``beside`` it. ``heading`` and ``reading`` are for pages: a
    sentence computed from the tables, for each method against the reference, or ``together`` for all methods at once.
    Pages have pictures by ``order``. Names of measures make some wider than a column, whatever width is asked for.
    """

    name: str
    table: str
    draw: Callable[..., object]
    width: float
    height: float
    heading: str
    reading: Reading
    order: int
    beside: tuple[str, ...] = ()
    together: bool = False
    narrowest: float = COLUMN

    def onto(self, figure: Figure, *frames: pd.DataFrame) -> str:
        """Draw into ``figure`` and see that everything fits; returns the caption, which is no longer in it."""
        self.draw(figure, *frames)
        caption = " ".join(figure.get_supxlabel().split())
        figure.supxlabel("")
        fit(figure)
        return caption

    def read(self, tables: Tables) -> str:
        """What the tables say. Raises TableError where they lack what the reading needs."""
        return self.reading(tables) if self.together else read(self.reading, tables, self.table)
