"""The order in which points of a grid are worth evaluating: cells, cut where the surface was not foreseen.

A grid is covered by cells whose corners have been evaluated. A cell of a plane is cut in two steps, of which each
doubles the points: its centre, then the middles of its edges; a cell of a line in one, its middle. How far a new point
lies from where the points before it had put it, its *surplus*, says whether the cells around it are to be cut further
(adaptive sparse grids: Bungartz and Griebel 2004, section 4). Grids of any size are cut; halves may differ by a point.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise, product
from typing import NamedTuple

import numpy as np

Index = tuple[int, ...]


class Cell(NamedTuple):
    """The grid points from ``low`` to ``high``, both included, and the ``fresh`` ones that it was made by."""

    low: Index
    high: Index
    centred: bool = False
    fresh: tuple[Index, ...] = ()

    @property
    def middle(self) -> Index:
        """The grid point at the centre, rounded down."""
        return tuple((low + high) // 2 for low, high in zip(self.low, self.high, strict=True))

    @property
    def corners(self) -> list[Index]:
        """Two of a line, four of a plane."""
        return list(product(*map(sorted, map(set, zip(self.low, self.high, strict=True)))))

    @property
    def whole(self) -> bool:
        """Whether it holds no points but its corners."""
        return all(high - low < 2 for low, high in zip(self.low, self.high, strict=True))

    def points(self) -> list[Index]:
        """What its next step evaluates: the centre alone, or what else there is of three points along each axis."""
        if len(self.low) > 1 and not self.centred:
            return [self.middle]
        axes = zip(self.low, self.middle, self.high, strict=True)
        known = {*self.corners, *((self.middle,) if self.centred else ())}
        return [point for point in product(*(sorted(set(axis)) for axis in axes)) if point not in known]

    def cut(self) -> "list[Cell]":
        """What it becomes by that step."""
        points = self.points()
        if len(self.low) > 1 and not self.centred:
            return [Cell(self.low, self.high, True, (self.middle,))]
        sides = [
            [(low, high)] if middle == low else [(low, middle), (middle, high)]
            for low, middle, high in zip(self.low, self.middle, self.high, strict=True)
        ]
        parts = [_between(each) for each in product(*sides)]
        return [part._replace(fresh=tuple(point for point in points if part.holds(point))) for part in parts]

    def holds(self, point: Index) -> bool:
        """Whether a grid point lies in it or on its edge."""
        return all(low <= at <= high for low, at, high in zip(self.low, point, self.high, strict=True))


def _between(sides: Iterable[tuple[int, int]]) -> Cell:
    low, high = zip(*sides, strict=True)
    return Cell(low, high)


class Cells:
    """The cells of a grid of ``shape``, to begin with two along each axis."""

    def __init__(self, shape: tuple[int, ...]):
        middle = [sorted({0, (count - 1) // 2, count - 1}) for count in shape]
        self._cells = [_between(each) for each in product(*(list(pairwise(axis)) or [(0, 0)] for axis in middle))]

    def corners(self) -> list[Index]:
        """The points to begin with, in order."""
        return sorted({corner for cell in self._cells for corner in cell.corners})

    def beside(self, points: Sequence[Index]) -> bool:
        """Whether a cell that could be cut holds one of ``points``."""
        return any(cell.holds(point) for cell in self._cells if not cell.whole for point in points)

    def cut(self, surplus: Mapping[Index, float], enough: float) -> list[Index]:
        """Cut the cells whose fresh points have a ``surplus`` above ``enough``, or else the larger half: new points.

        ``surplus`` is infinite for a point that is not finite, which cuts all cells it lies in, whenever it was found.
        Nothing is returned when no cell is left to cut.
        """
        lost = [point for point, value in surplus.items() if value == np.inf]
        rough = {
            cell: np.inf
            if not cell.fresh or any(cell.holds(point) for point in lost)
            else max(surplus.get(point, 0.0) for point in cell.fresh)
            for cell in self._cells
            if not cell.whole
        }
        if not rough:
            return []
        least = enough if max(rough.values()) > enough else float(np.median(list(rough.values())))
        chosen = [cell for cell, value in rough.items() if value >= least]
        kept = [cell for cell in self._cells if cell not in set(chosen)]
        self._cells = kept + [part for cell in chosen for part in cell.cut()]
        points = sorted({point for cell in chosen for point in cell.points()})
        return points or self.cut(surplus, enough)  # the second step of a cell on an axis of one point has none
