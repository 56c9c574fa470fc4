"""What a picture is: a table, what draws it, and what is said of it."""

from collections.abc import Callable
from dataclasses import dataclass

from ..words.comparison import Reading, Tables
from ..words.pairs import read


@dataclass(frozen=True)
class Picture:
    """One figure: its file name, the table it is made of, what draws it, its size in inches, and what else it needs.

    ``draw`` is given the figure, the table, and each table ``beside`` it. ``heading`` and ``reading`` are for pages: a
    sentence computed from the tables, for each method against the reference, or ``together`` for all methods at once.
    Pages have pictures by ``order``.
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

    def read(self, tables: Tables) -> str:
        """What the tables say. Raises TableError where they lack what the reading needs."""
        return self.reading(tables) if self.together else read(self.reading, tables, self.table)
