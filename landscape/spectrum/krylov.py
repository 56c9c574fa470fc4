"""The space that products grow from given vectors: band Lanczos with the projected matrix kept dense.

    A V = V T + C B,     VᵀV = I,  VᵀC = 0,  CᵀC diagonal,  T = VᵀAV

(Lanczos 1950; Ruhe 1979 for the band; Freund 2000.) V is the basis so far, C the candidates that wait to enter it:
start vectors, and what each product left outside the basis. B says which columns of AV they belong to. One step takes a
candidate c = V h + β v, moves h and β with its row of B from C B into V T, makes the product Av, and queues what that
leaves outside V. Nothing is assumed of A in any of this, so the relation holds to rounding, for any number of start
vectors, and for an A that is not quite symmetric. For a pair (θ, s) of the symmetric part of T therefore

    ‖A V s − θ V s‖² = ‖T s − θ s‖² + ‖C B s‖²

is the residual itself, without a further product; and ‖T − Tᵀ‖/‖T‖ measures the asymmetry of A on the whole space.

Orthogonal by one pass when a product is made and another when its remainder enters: twice is enough (Kahan & Parlett),
unless the second still finds much, as among start vectors that nearly depend on each other; then it goes on.

**Restart** (Wu & Simon 2000; Stewart 2001): for S with orthonormal columns, V S, SᵀTS and B S satisfy the same relation
where S spans eigenvectors of T. What is lost beyond (rounding, asymmetry, a candidate dropped as noise) is kept as the
Gram matrix of its coefficients, and counts in the residuals.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ..curvature import Operator, products
from .basis import Basis

_FLOOR = 2  # like the next, in units of rounding error times the matrix's size
_NOISE = 64  # in units of rounding error times the matrix's size


@dataclass(eq=False)
class _Candidate:
    """A vector outside the basis, its length, and its row of B: None for a start vector, which no product led to."""

    vector: Tensor
    row: np.ndarray | None
    norm: float

    @property
    def coupling(self) -> float:
        """How strongly products lead out of the space along it."""
        return self.norm if self.row is None else self.norm * float(np.linalg.norm(self.row))


class Krylov:
    """The growing space of ``operator``: ``basis`` on its device in its dtype, and T, ``matrix``, in float64.

    A candidate of a coupling below ``weak`` × the matrix's size waits until all are: then the space is invariant but
    for noise, and the basis from there on, which begins at index ``first``, is a space of its own.
    """

    def __init__(self, operator: Operator, *, weak: float = 0.0):
        self.operator = operator
        self.basis = Basis(operator.dimension, operator.dtype, operator.device)
        self.matrix = np.zeros((0, 0))
        self.first = self.products = 0
        self.size = 0.0
        self._noise = _NOISE * torch.finfo(operator.dtype).eps
        self._weak = max(weak, self._noise)
        self._queue: list[_Candidate] = []
        self._lost = np.zeros((0, 0))

    @property
    def rounding(self) -> float:
        """What is zero to rounding beside the matrix's size."""
        return self._noise * self.size

    @property
    def exhausted(self) -> bool:
        """Whether nothing but rounding leads out of the space."""
        return all(self._within(self._noise, one) for one in self._queue)

    @property
    def closed(self) -> bool:
        """Whether nothing but weak candidates lead out of the space."""
        return all(self._within(self._weak, one) for one in self._queue)

    @property
    def asymmetry(self) -> float:
        """‖T − Tᵀ‖/‖T‖ (Frobenius), of the order of the rounding error for a symmetric A; nan for a single vector."""
        size = float(np.linalg.norm(self.matrix))
        return float(np.linalg.norm(self.matrix - self.matrix.T)) / (size or 1.0) if len(self.matrix) > 1 else math.nan

    def begin(self, start: Float[Tensor, "block dimension"]) -> None:
        """Queue vectors to grow from, each brought to length one."""
        self._queue += [_Candidate(vector / vector.norm(), None, 1.0) for vector in start]

    def grow(self, width: int = 1) -> int:
        """Add up to ``width`` vectors to the basis by one product of ``operator`` with all; how many they were."""
        vectors = self.proposed(width)
        if vectors:
            self.absorb(products(self.operator, vectors))
        return len(vectors)

    def proposed(self, width: int = 1) -> list[Tensor]:
        """Up to ``width`` new basis vectors, whose products :meth:`absorb` must be given; none if exhausted."""
        while True:
            if opening := self.closed:
                self.first = len(self.basis)
            entered: list[Tensor] = []
            while len(entered) < width and (one := self._next(opening)):
                entered += self._enter(one)
            if entered or not self._queue:
                return entered

    def absorb(self, products: Float[Tensor, "width dimension"]) -> None:
        """Take in the products of the vectors proposed last."""
        for column, product in enumerate(products, len(self.basis) - len(products)):
            size = float(product.norm())
            if not math.isfinite(size):
                raise ValueError(f"product {self.products + 1} of the operator with a unit vector is not finite")
            self.products += 1
            self.size = max(self.size, size)
            remainder = product.clone()
            self.matrix[:, column] = self.basis.removed(remainder)
            self._push(remainder, np.eye(1, len(self.basis), column)[0])

    def ritz(self, first: int = 0) -> tuple[Float[np.ndarray, "ritz"], Float[np.ndarray, "row ritz"]]:
        """All θ, ascending, and their s as columns, of T's symmetric part from row ``first`` on."""
        values, shapes = np.linalg.eigh(symmetric_part(self.matrix[first:, first:]))
        return values, np.vstack([np.zeros((first, len(values))), shapes])

    def residuals(
        self, values: Float[np.ndarray, "ritz"], shapes: Float[np.ndarray, "row ritz"]
    ) -> Float[np.ndarray, "ritz"]:
        """‖A(Vs) − θ(Vs)‖ of pairs (θ, s)."""
        inside = np.linalg.norm(self.matrix @ shapes - values * shapes, axis=0) ** 2
        outside = sum((one.norm * (one.row @ shapes)) ** 2 for one in self._queue if one.row is not None)
        lost = np.einsum("ir,ij,jr->r", shapes, self._lost, shapes)
        floor = (
            _FLOOR * torch.finfo(self.operator.dtype).eps * self.size
        ) ** 2  # what V s and a product are rounded by
        return np.sqrt(np.maximum(inside + outside + lost, 0) + floor)

    def vectors(self, shapes: Float[np.ndarray, "row ritz"]) -> Float[Tensor, "ritz dimension"]:
        """The unit vectors V s, one a row."""
        found = self.basis.combined(self._tensor(shapes))
        return found / found.norm(dim=1, keepdim=True)

    def restart(self, shapes: Float[np.ndarray, "row kept"], first: int = 0) -> None:
        """Go on with the basis V S; S's columns from ``first`` on are those of the space that is growing."""
        turned = self.matrix @ shapes
        self.matrix = shapes.T @ turned
        beyond = turned - shapes @ self.matrix
        self._lost = shapes.T @ self._lost @ shapes + beyond.T @ beyond
        for one in self._queue:
            one.row = None if one.row is None else one.row @ shapes
        self.basis.replace(self._tensor(shapes))
        self.first = first

    def _next(self, opening: bool) -> _Candidate | None:
        """The candidate that has waited longest, weak ones only if a new space is ``opening``; out of the queue."""
        strong = (at for at, one in enumerate(self._queue) if not self._within(self._weak, one))
        at = next(strong, 0 if opening and self._queue else None)
        return None if at is None else self._queue.pop(at)

    def _enter(self, one: _Candidate) -> list[Tensor]:
        """Put a candidate's new direction into the basis; none if that is mere rounding."""
        row = np.zeros(len(self.basis)) if one.row is None else one.row
        overlaps, one.norm = self.basis.cleared(one.vector)
        self.matrix += np.outer(overlaps, row)
        if self._within(self._noise, one):
            self._lost += one.norm**2 * np.outer(row, row)
            return []
        vector = one.vector / one.norm
        self.basis.append(vector)
        self.matrix, self._lost = np.pad(self.matrix, (0, 1)), np.pad(self._lost, (0, 1))
        self.matrix[-1, :-1] = one.norm * row
        for other in self._queue:
            overlap = vector @ other.vector
            other.vector.sub_(overlap * vector)
            other.norm = float(other.vector.norm())
            if other.row is not None:
                self.matrix[-1, :-1] += float(overlap) * other.row
                other.row = np.append(other.row, 0.0)
        return [vector]

    def _push(self, remainder: Tensor, row: np.ndarray) -> None:
        """Queue what a product left, less its components along the other candidates, which become theirs."""
        for other in self._queue:
            if other.row is not None and not self._within(self._noise, other):
                share = float(other.vector @ remainder) / other.norm**2
                remainder.sub_(other.vector, alpha=share)
                other.row = other.row + share * row
        self._queue.append(_Candidate(remainder, row, float(remainder.norm())))

    def _within(self, threshold: float, one: _Candidate) -> bool:
        """Whether a candidate's coupling is at most ``threshold`` times the matrix's size; 1 for a start vector."""
        return one.coupling <= threshold * (1.0 if one.row is None else self.size)

    def _tensor(self, shapes: np.ndarray) -> Tensor:
        return torch.as_tensor(shapes, dtype=self.operator.dtype, device=self.operator.device)


def symmetric_part(matrix: Float[np.ndarray, "row row"]) -> Float[np.ndarray, "row row"]:
    """(M + Mᵀ)/2."""
    return (matrix + matrix.T) / 2
