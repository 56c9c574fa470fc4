"""Extreme eigenvalues of an operator by Lanczos iteration with full reorthogonalisation.

    A V_k = V_k (T_k + D_k) + β_k v_{k+1} e_kᵀ,     A (V s) − θ (V s) = V D s + β_k s_k v_{k+1}

(Lanczos 1950; Paige 1971; Saad 2011, ch. 6.) V_k is orthonormal, T_k tridiagonal with eigenpairs (θ, s), and D_k what
should vanish and is measured on the way: rounding, and any asymmetry of A. The reported residual √(‖D s‖² + β_k² s_k²)
is therefore ‖Av − θv‖ itself, without a further product. For a symmetric A an eigenvalue lies within it of θ.

**Multiplicity.** The space grown from one vector holds one direction of each eigenspace: a repeated eigenvalue is seen
once, until the space is exhausted (β_k ≈ 0). Then a fresh vector, orthogonal to all before, grows the next block, and
so on until a block adds nothing to the wanted ends. So matrices of low rank or few distinct eigenvalues get their
multiplicities, if ``max_products`` lets the space be exhausted. But wanted pairs that converge before that stop the
iteration, and of an exactly repeated eigenvalue only one copy is then reported.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float, Int
from scipy.linalg import eigh_tridiagonal
from torch import Tensor

from .operators import Operator

Progress = Callable[[int], object] | None
_BREAKDOWN = 64  # in units of rounding error times the matrix's size: below it β is noise


@dataclass(frozen=True, eq=False)
class Eigenpairs:
    """The pairs asked for: ranks 1, 2 … from the largest eigenvalue, then −1, −2 … from the smallest.

    ``residuals`` are ‖Av − λv‖ for the unit ``vectors``; ``converged`` says which are within the tolerance asked for,
    relative to the largest |λ| seen. ``products`` is the number of products made, ``tolerance`` as given.
    """

    values: Float[np.ndarray, "pair"]
    residuals: Float[np.ndarray, "pair"]
    converged: Bool[np.ndarray, "pair"]
    ranks: Int[np.ndarray, "pair"]
    vectors: Float[Tensor, "pair dimension"]
    products: int
    tolerance: float

    def to_frame(self) -> pd.DataFrame:
        """One row per pair: rank, eigenvalue, residual, converged, products."""
        return pd.DataFrame(
            {
                "rank": self.ranks,
                "eigenvalue": self.values,
                "residual": self.residuals,
                "converged": self.converged,
                "products": self.products,
            }
        )


class Krylov:
    """The growing space of ``operator``: an orthonormal ``basis``, and T's ``diagonal`` and ``offdiagonal``.

    The basis stays on the operator's device in its dtype; T is kept in float64. ``offdiagonal`` has one entry per basis
    vector, the last of which leads out of the space; a zero before that separates blocks.
    """

    def __init__(self, operator: Operator):
        self.operator = operator
        self.basis: list[Tensor] = []
        self.diagonal: list[float] = []
        self.offdiagonal: list[float] = []
        self._defects: list[np.ndarray] = []
        self._next = torch.empty(0)

    @property
    def exhausted(self) -> bool:
        """Whether the space is invariant: nothing but rounding leads out of it."""
        size = max(map(abs, self.diagonal + self.offdiagonal))
        return self.offdiagonal[-1] <= _BREAKDOWN * torch.finfo(self.operator.dtype).eps * size

    def begin(self, start: Float[Tensor, "dimension"]) -> None:
        """Start a block with the part of ``start`` that is orthogonal to the space so far."""
        if self.offdiagonal:
            self.offdiagonal[-1] = 0.0
        remainder, _ = self._orthogonal(start)
        self._next = remainder / remainder.norm()

    def grow(self) -> None:
        """Add one vector to the space: one product."""
        self.basis.append(self._next)
        remainder, overlaps = self._orthogonal(self.operator @ self._next)
        norm = float(remainder.norm())
        if not math.isfinite(norm):
            raise ValueError(f"product {len(self.basis)} of the operator with a unit vector is not finite")
        self.diagonal.append(float(overlaps[-1]))
        overlaps[-1] = 0
        if self.offdiagonal:
            overlaps[-2] -= self.offdiagonal[-1]
        self._defects.append(overlaps)
        self.offdiagonal.append(norm)
        self._next = remainder / norm if norm else remainder

    def ritz(self, first: int = 0) -> tuple[Float[np.ndarray, "ritz"], Float[np.ndarray, "step ritz"]]:
        """All θ, ascending, and their s as columns, of T from row ``first`` on."""
        return eigh_tridiagonal(self.diagonal[first:], self.offdiagonal[first:-1])

    def residuals(self, shapes: Float[np.ndarray, "step ritz"], first: int = 0) -> Float[np.ndarray, "ritz"]:
        """‖A(Vs) − θ(Vs)‖ of the columns s, which begin at basis vector ``first``."""
        defect = np.zeros((len(self.basis), len(shapes)))
        for column, overlaps in enumerate(self._defects[first:]):
            defect[: len(overlaps), column] = overlaps
        return np.hypot(np.linalg.norm(defect @ shapes, axis=0), self.offdiagonal[-1] * np.abs(shapes[-1]))

    def vectors(self, shapes: Float[np.ndarray, "step ritz"]) -> Float[Tensor, "ritz dimension"]:
        """The unit vectors V s, one a row."""
        weights = torch.as_tensor(shapes, dtype=self.operator.dtype, device=self.operator.device)
        total = torch.zeros(shapes.shape[1], self.operator.dimension, dtype=weights.dtype, device=weights.device)
        for direction, weight in zip(self.basis, weights, strict=True):
            total.addr_(weight, direction)
        return total / total.norm(dim=1, keepdim=True)

    def _orthogonal(self, vector: Tensor) -> tuple[Tensor, np.ndarray]:
        """What is left of ``vector`` outside the space, and its overlaps with the basis. Twice is enough (Kahan)."""
        remainder, passes = vector.clone(), []
        for _ in range(2):
            for direction in self.basis:
                overlap = direction @ remainder
                remainder.sub_(overlap * direction)
                passes.append(overlap)
        overlaps = torch.stack(passes).cpu().double().numpy() if passes else np.zeros(0)
        return remainder, overlaps.reshape(2, -1).sum(0)


def tridiagonalize(
    operator: Operator, start: Float[Tensor, "dimension"], steps: int, *, progress: Progress = None
) -> Krylov:
    """``steps`` steps of Lanczos from ``start``; fewer when the space is exhausted before.

    Raises ValueError for a start of zeros, and for steps outside 1 … dimension.
    """
    if not 1 <= steps <= operator.dimension:
        raise ValueError(f"steps must lie between 1 and the dimension, {operator.dimension}; got {steps}")
    if not start.any():
        raise ValueError("the start vector is zero: no space grows from it")
    krylov = Krylov(operator)
    krylov.begin(start)
    for _ in range(steps):
        krylov.grow()
        if progress:
            progress(1)
        if krylov.exhausted:
            break
    return krylov


def lanczos(
    operator: Operator,
    *,
    top: int = 5,
    bottom: int = 0,
    tolerance: float = 1e-4,
    max_products: int = 200,
    seed: int = 0,
    progress: Progress = None,
) -> Eigenpairs:
    """The ``top`` largest and ``bottom`` smallest eigenvalues of ``operator``, with vectors and residuals.

    Stops when every residual is at most ``tolerance`` × the largest |eigenvalue| seen, or at ``max_products`` or
    dimension products; what is not converged then says so. The error of an eigenvalue is at most its residual, and
    usually near its square: 1e-3 is enough for a figure. A tolerance below the dtype's rounding is never met. Memory is
    one vector per product. ``progress(1)`` is called after each product.

    Raises ValueError for counts that are negative, both zero, or together beyond dimension or ``max_products``; for a
    tolerance that is not positive; and for a product that is not finite.
    """
    _check(operator, top, bottom, tolerance, max_products)
    generator = torch.Generator().manual_seed(seed)
    krylov = Krylov(operator)
    limit = min(max_products, operator.dimension)
    while True:
        if not krylov.basis or krylov.exhausted:
            start = torch.randn(operator.dimension, generator=generator)
            krylov.begin(start.to(operator.device, operator.dtype))
        krylov.grow()
        if progress:
            progress(1)
        count = len(krylov.basis)
        if count >= top + bottom:
            values, shapes, residuals, converged = _wanted(krylov, top, bottom, tolerance)
            if converged.all() or count == limit:
                break
    ranks = np.array([*range(1, top + 1), *range(-1, -bottom - 1, -1)])
    return Eigenpairs(values, residuals, converged, ranks, krylov.vectors(shapes), count, tolerance)


def _wanted(
    krylov: Krylov, top: int, bottom: int, tolerance: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The wanted pairs (θ, s) in the order of their ranks, their residuals, and whether each has converged."""
    values, shapes = krylov.ritz()
    order = [*range(-1, -top - 1, -1), *range(bottom)]
    margin = tolerance * np.abs(values).max()
    residuals = krylov.residuals(shapes[:, order])
    explored = _explored(krylov, values, top, bottom, margin)
    return values[order], shapes[:, order], residuals, (residuals <= margin) & explored


def _explored(krylov: Krylov, values: np.ndarray, top: int, bottom: int, margin: float) -> bool:
    """Whether no further block would add to the wanted ends. Before the first is exhausted there is no saying: True.

    A block grows from a random vector of all that the earlier ones left, so its ends, once converged, bound whatever
    is left outside it. Rounding in a product is divided by β when it enters the basis, so an exhausted space may show a
    β of up to √ε times the matrix's size; the vector it leads to is then noise, and as good a start as any.
    """
    noise = min(torch.finfo(krylov.operator.dtype).eps ** 0.5 * np.abs(values).max(), margin)
    *inner, last = np.array(krylov.offdiagonal) <= noise
    block = len(inner) - inner[::-1].index(True) if any(inner) else 0
    if len(krylov.basis) == krylov.operator.dimension or not (block or last):
        return True
    ends, shapes = krylov.ritz(block)
    low, high = krylov.residuals(shapes[:, [0, -1]], block) <= margin
    above = top == 0 or (high and ends[-1] <= values[-top] + margin)
    below = bottom == 0 or (low and ends[0] >= values[bottom - 1] - margin)
    return bool(above and below)


def _check(operator: Operator, top: int, bottom: int, tolerance: float, max_products: int) -> None:
    if min(top, bottom) < 0 or top + bottom == 0:
        raise ValueError(f"top and bottom must not be negative, nor both zero; got {top} and {bottom}")
    if top + bottom > min(operator.dimension, max_products):
        raise ValueError(
            f"top + bottom = {top + bottom} eigenvalues need as many dimensions ({operator.dimension}) "
            f"and products ({max_products})"
        )
    if not tolerance > 0:
        raise ValueError(f"tolerance must be positive, got {tolerance}")
