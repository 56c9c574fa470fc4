"""The minima of a surface, how deep they are, and how they meet: 0-dimensional persistence of its sublevel sets.

Let water rise over the grid. At a local minimum a component of {L ≤ h} is born; where two meet, at a saddle, the one
with the higher minimum ends (the elder rule; Edelsbrunner, Letscher, Zomorodian 2002). A minimum's *persistence* is
death minus birth: how far one must climb from it to get to a lower one; the lowest never dies. Which minimum ends in
which, and where, is the merge tree.

Points are neighbours along both axes and both diagonals. Ties are broken by a point's place in the grid, so a plateau
is one minimum, not many. Persistence moves by no more than twice the largest change of any value (Cohen-Steiner,
Edelsbrunner, Harer 2007), so minima of a persistence below the surface's error, or below its steps' height, say
nothing: count those above a threshold. Infinite values are part of no sublevel set; nor are nan, which count as +∞.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from ..displayed import Displayed


@dataclass(frozen=True, eq=False)
class Topology(Displayed):
    """The minima of a surface, the most persistent first, each with the saddle at which it ends.

    ``minimum`` and ``saddle`` hold grid indices, ``parent`` the number of the minimum into which one merges; of those
    that never end, which is the lowest of each component of the finite values, death is inf and the other two are −1.
    """

    birth: Float[np.ndarray, " minima"]
    death: Float[np.ndarray, " minima"]
    minimum: Int[np.ndarray, "minima axis"]
    saddle: Int[np.ndarray, "minima axis"]
    parent: Int[np.ndarray, " minima"]

    @property
    def persistence(self) -> Float[np.ndarray, " minima"]:
        """Death minus birth; inf for a minimum that never ends."""
        return self.death - self.birth

    def count(self, threshold: float = 0.0) -> int:
        """The number of minima with a persistence above ``threshold``."""
        return int((self.persistence > threshold).sum())

    def to_frame(self) -> pd.DataFrame:
        """The merge tree, a row per minimum: minimum, birth, death, persistence, parent, row, column, saddle_…."""
        return pd.DataFrame(
            {
                "minimum": np.arange(len(self.birth)),
                "birth": self.birth,
                "death": self.death,
                "persistence": self.persistence,
                "parent": self.parent,
                "row": self.minimum[:, 0],
                "column": self.minimum[:, 1],
                "saddle_row": self.saddle[:, 0],
                "saddle_column": self.saddle[:, 1],
            }
        )


def topology(values: Float[np.ndarray, "alpha beta"]) -> Topology:
    """Minima, persistence and merge tree of a surface on a grid; a line is a surface with one column.

    Raises ValueError for values without a finite one.
    """
    if values.ndim != 2 or not np.isfinite(values).any():
        raise ValueError(f"expected a grid of values with a finite one among them, got shape {list(values.shape)}")
    rim = np.pad(np.where(np.isnan(values), np.inf, values), 1, constant_values=np.inf)
    width, flat = rim.shape[1], rim.ravel()
    around = [step + side for step in (-width, 0, width) for side in (-1, 0, 1) if step or side]
    order = np.argsort(flat, kind="stable")[: np.isfinite(values).sum() + np.isneginf(values).sum()].tolist()
    rank = {point: place for place, point in enumerate(order)}
    root: dict[int, int] = {}
    ended: dict[int, tuple[int, int]] = {}
    for point in order:
        meeting = {_lowest(root, point + step) for step in around if point + step in root}
        elder, *younger = sorted(meeting, key=rank.__getitem__) or [point]
        for minimum in younger:
            ended[minimum] = (point, elder)
        for minimum in (*younger, point):
            root[minimum] = elder
    return _result(flat, [point for point in order if root[point] == point or point in ended], ended, width)


def _lowest(root: dict[int, int], point: int) -> int:
    while root[point] != point:
        root[point] = point = root[root[point]]
    return point


def _result(
    flat: Float[np.ndarray, " point"],
    minima: list[int],
    ended: dict[int, tuple[int, int]],
    width: int,
) -> Topology:
    """Points are places in the flat padded grid, whose rows have ``width`` of them."""

    birth = np.array([flat[point] for point in minima])
    death = np.array([flat[ended[point][0]] if point in ended else np.inf for point in minima])
    order = np.lexsort((birth, birth - death))  # most persistent first; of those that never end, the lowest
    number = {minima[place]: rank for rank, place in enumerate(order)}
    points = [minima[place] for place in order]
    ends = [ended.get(point) for point in points]
    return Topology(
        birth[order],
        death[order],
        np.array([divmod(point, width) for point in points]) - 1,
        np.array([divmod(end[0], width) if end else (0, 0) for end in ends]) - 1,
        np.array([number[end[1]] if end else -1 for end in ends]),
    )
