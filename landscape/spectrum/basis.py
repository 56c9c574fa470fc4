"""Vectors kept as the rows of a matrix that grows without being copied.

Rows lie in pieces of a few each. Products with all of them are matrix–vector products, which run at the speed of
memory, where a loop over the vectors would wait for every one.
"""

from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

_PIECE = 16  # rows; a piece is allocated at once, and on a CPU takes memory only as rows are written
_COLUMNS = 1 << 16


class Basis:
    """Rows of ``dimension`` entries, on one device in one dtype; orthonormal if whoever appends them sees to it."""

    def __init__(self, dimension: int, dtype: torch.dtype, device: torch.device):
        self.dimension, self.dtype, self.device = dimension, dtype, device
        self._pieces: list[Tensor] = []
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def append(self, vector: Float[Tensor, " dimension"]) -> None:
        """Add a row."""
        if self._count == _PIECE * len(self._pieces):
            rows = min(_PIECE, self.dimension - self._count)
            self._pieces.append(torch.empty(rows, self.dimension, dtype=self.dtype, device=self.device))
        self._pieces[-1][self._count % _PIECE] = vector
        self._count += 1

    def overlaps(self, vector: Float[Tensor, " dimension"]) -> Float64[np.ndarray, " row"]:
        """The inner products of ``vector`` with the rows."""
        return _numpy([piece @ vector for piece in self._written()])

    def removed(self, vector: Float[Tensor, " dimension"]) -> Float64[np.ndarray, " row"]:
        """Take the components along the rows out of ``vector``, in place, once; the overlaps that were there."""
        overlaps = [piece @ vector for piece in self._written()]
        for piece, overlap in zip(self._written(), overlaps, strict=True):
            vector.addmv_(piece.T, overlap, alpha=-1)
        return _numpy(overlaps)

    def cleared(self, vector: Float[Tensor, " dimension"]) -> tuple[Float64[np.ndarray, " row"], float]:
        """The same, until a pass no longer halves the length; the overlaps in all, and the length of what is left.

        So even a remainder of mere rounding is orthogonal.
        """
        total, norm = np.zeros(len(self)), float(vector.norm())
        while True:
            before = norm
            total += self.removed(vector)
            norm = float(vector.norm())
            if norm == 0 or not norm <= before / 2:
                return total, norm

    def combined(self, shapes: Float[Tensor, "row column"]) -> Float[Tensor, "column dimension"]:
        """Linear combinations of the rows, one for each column of ``shapes``."""
        total = torch.zeros(shapes.shape[1], self.dimension, dtype=self.dtype, device=self.device)
        for piece, weights in zip(self._written(), shapes.split(_PIECE), strict=True):
            total.addmm_(weights.T, piece)
        return total

    def replace(self, shapes: Float[Tensor, "row column"]) -> None:
        """Put those combinations in the place of the rows, a stretch of columns at a time: no second copy is held."""
        kept = shapes.shape[1]
        for begin in range(0, self.dimension, _COLUMNS):
            stretch = slice(begin, begin + _COLUMNS)
            mixed = shapes.T @ torch.cat([piece[:, stretch] for piece in self._written()])
            for piece, rows in zip(self._pieces, mixed.split(_PIECE), strict=False):
                piece[: len(rows), stretch] = rows
        self._count = kept
        del self._pieces[-(-kept // _PIECE) :]

    def __iter__(self) -> Iterator[Tensor]:
        for piece in self._written():
            yield from piece

    def _written(self) -> Iterator[Tensor]:
        for index, piece in enumerate(self._pieces):
            yield piece[: self._count - index * _PIECE]


def _numpy(parts: list[Tensor]) -> Float64[np.ndarray, " row"]:
    return torch.cat(parts).cpu().double().numpy() if parts else np.zeros(0)
