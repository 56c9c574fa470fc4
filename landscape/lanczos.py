"""Extreme eigenvalues of an operator by Lanczos iteration with full reorthogonalisation.

Ritz pairs of the space that products grow from one or more vectors (:mod:`landscape.krylov`), with their true residuals
‖Av − λv‖ at no further product. For a symmetric A an eigenvalue lies within its residual of each λ; how far A is from
symmetric on the whole space is reported beside.

**Multiplicity.** The space grown from p vectors (``block``) holds p directions of each eigenspace: eigenvalues repeated
up to p times come with all their copies. Beyond that a copy is seen only once the space is exhausted, nothing but
rounding leading out of it. Then a fresh random vector, orthogonal to all before, grows the next space, and so on until
one adds nothing to the wanted ends. So matrices of low rank or few distinct eigenvalues get their multiplicities
whatever p, if ``max_products`` lets the space be exhausted; but with p = 1 wanted pairs that converge before that stop
the iteration, and of an exactly repeated eigenvalue only one copy is reported.

**Bounded memory** (``max_basis``): when the basis is full it is replaced by the wanted Ritz vectors and as many beyond
them as take half of the room left (thick restart; Wu & Simon 2000). It costs products, not accuracy.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from .eigenpairs import Eigenpairs, Ritz
from .krylov import Krylov, symmetric_part
from .operators import Operator, check_vectors

Progress = Callable[[int], object] | None
_HEAD_START = 5.0


@dataclass(frozen=True)
class Wanted:
    """How many eigenvalues from each end, or of the largest size from both, and how exactly."""

    top: int
    bottom: int
    largest: int
    tolerance: float

    @property
    def count(self) -> int:
        """Eigenvalues in all."""
        return self.largest or self.top + self.bottom

    @property
    def ends(self) -> tuple[int, int]:
        """How many may be wanted from the upper and from the lower end."""
        return (self.largest, self.largest) if self.largest else (self.top, self.bottom)

    def ranks(self, values: Float[np.ndarray, "value"]) -> Int[np.ndarray, "pair"]:
        """Of ``values`` in rising order: 1 … top, −1 … −bottom, of fewer than that those from one end only.

        Or of the ``largest`` in size, the largest first.
        """
        if self.largest:
            places = np.argsort(-np.abs(values), kind="stable")[: self.largest]
            return np.where(values[places] > 0, len(values) - places, -places - 1)
        if len(values) < self.count:
            sign = 1 if self.top else -1
            return sign * np.arange(1, min(len(values), self.top or self.bottom) + 1)
        return np.array([*range(1, self.top + 1), *range(-1, -self.bottom - 1, -1)])

    def limits(self, found: Float[np.ndarray, "pair"]) -> tuple[float, float]:
        """Below the one and above the other lies what would be wanted, had it not been ``found``."""
        if self.largest:
            return -float(np.abs(found).min()), float(np.abs(found).min())
        return float(found[-1]) if self.bottom else -np.inf, float(found[self.top - 1]) if self.top else np.inf


def lanczos(
    operator: Operator,
    *,
    top: int | None = None,
    bottom: int = 0,
    largest: int = 0,
    tolerance: float = 1e-4,
    max_products: int = 200,
    max_basis: int | None = None,
    block: int = 1,
    start: Float[Tensor, "start dimension"] | None = None,
    seed: int = 0,
    watch: Callable[[Ritz], object] | None = None,
    progress: Progress = None,
) -> Eigenpairs:
    """The ``top`` largest (by default 5) and ``bottom`` smallest eigenvalues of ``operator``, with vectors, residuals.

    Or, instead, the ``largest`` in size whatever their sign, the largest first: what power iteration converges to.

    Stops when every residual is at most ``tolerance`` × the largest |eigenvalue| seen, at ``max_products``, or when the
    basis spans all dimensions; what is not converged then says so. The error of an eigenvalue is at most its residual,
    and usually near its square: 1e-3 is enough for a figure. A tolerance below the dtype's rounding is never met.

    Memory is one vector per product, or ``max_basis`` + ``block`` vectors where that is given: at least twice the
    eigenvalues wanted plus ``block``; twenty more lose little. ``block`` is the number of start vectors, and of vectors
    in each product: 1 takes the fewest products; more show eigenvalues repeated as often.

    ``start``: eigenvectors of a matrix nearby, say from before the last epoch. They enter the random start vector with
    five times the strength that it has along any other direction, which saves one or two products of 13. More strength
    would save more (30 times: three), and with it the certainty that nothing new is passed over, which takes as many
    products as a random start. At five times, what the old vectors don't know is found where it stands out among the
    wanted eigenvalues; within a few percent of the smallest of them it is missed one time in ten.

    ``watch`` gets the :class:`Ritz` pairs after every product, ``progress`` the number of products just made.

    Raises ValueError for counts that are negative, all zero, or together beyond dimension or ``max_products``; for a
    tolerance that is not positive; a block, basis or start that does not fit; and a product that is not finite.
    """
    default = 0 if largest else 5
    wanted = Wanted(default if top is None else top, bottom, largest, tolerance)
    _check(operator, wanted, max_products, max_basis, block)
    generator = torch.Generator().manual_seed(seed)
    krylov = Krylov(operator, weak=min(torch.finfo(operator.dtype).eps ** 0.5, tolerance))
    krylov.begin(_start(operator, block, generator, start))
    room = min(max_basis or operator.dimension, operator.dimension)
    while True:
        made = krylov.grow(min(block, max_products - krylov.products, room - len(krylov.basis)))
        if not made:
            krylov.begin(_start(operator, 1, generator))
            continue
        found, shapes, converged = _found(krylov, wanted)
        if progress:
            progress(made)
        if watch:
            watch(found)
        if converged.all() or krylov.products == max_products or len(krylov.basis) == operator.dimension:
            break
        if len(krylov.basis) == room:
            _restart(krylov, wanted, room - block)
    return Eigenpairs(
        found.values,
        found.residuals,
        converged,
        found.ranks,
        krylov.vectors(shapes),
        krylov.products,
        tolerance,
        krylov.asymmetry,
    )


def _found(krylov: Krylov, wanted: Wanted) -> tuple[Ritz, np.ndarray, np.ndarray]:
    """The wanted pairs (θ, s) in the order of their ranks, and whether each has converged."""
    values, shapes = krylov.ritz()
    ranks = wanted.ranks(values)
    order = np.where(ranks > 0, -ranks, -ranks - 1)
    size = float(np.abs(values).max())
    found = Ritz(krylov.products, ranks, values[order], krylov.residuals(values[order], shapes[:, order]), size)
    complete = len(ranks) == wanted.count and _explored(krylov, found, wanted)
    return found, shapes[:, order], (found.residuals <= wanted.tolerance * size) & complete


def _explored(krylov: Krylov, found: Ritz, wanted: Wanted) -> bool:
    """Whether no further space would add to the wanted ends. Before the first is exhausted there is no saying: True.

    A space grows from a random vector of all that the earlier ones left, so its ends, once converged, bound whatever
    is left outside it. Rounding in a product is divided by the length of what enters the basis, so an exhausted space
    may leave a candidate of up to √ε times the matrix's size; the vector it leads to is then noise, and as good a start
    as any.
    """
    if len(krylov.basis) == krylov.operator.dimension or not (krylov.first or krylov.closed):
        return True
    margin = wanted.tolerance * found.size
    values, shapes = krylov.ritz(krylov.first)
    low, high = krylov.residuals(values[[0, -1]], shapes[:, [0, -1]]) <= margin
    floor, ceiling = wanted.limits(found.values)
    above = np.isinf(ceiling) or (high and values[-1] <= ceiling + margin)
    below = np.isinf(floor) or (low and values[0] >= floor - margin)
    return bool(above and below)


def _restart(krylov: Krylov, wanted: Wanted, limit: int) -> None:
    """Keep the wanted pairs of the spaces that are exhausted, and the wanted and some more of the one that grows.

    At most ``limit`` in all.
    """
    first, count = krylov.first, len(krylov.basis)
    kept: list[np.ndarray] = []
    for begin, end in ((0, first), (first, count)):
        _, shapes = np.linalg.eigh(symmetric_part(krylov.matrix[begin:end, begin:end]))
        top, bottom = wanted.ends
        if begin == first:
            spare = (limit - sum(part.shape[1] for part in kept) - top - bottom) // 2
            above = spare * top // (top + bottom)
            top, bottom = top + above, bottom + spare - above
        chosen = [row for row in range(end - begin) if row < bottom or row >= end - begin - top]
        kept.append(np.pad(shapes[:, chosen], ((begin, count - end), (0, 0))))
    krylov.restart(np.hstack(kept), kept[0].shape[1])


def _start(
    operator: Operator, count: int, generator: torch.Generator, known: Float[Tensor, "start dimension"] | None = None
) -> Float[Tensor, "count dimension"]:
    """Random vectors, drawn on the CPU; what is ``known`` is added to the first.

    Along any given direction an entry of the first is of order one: that is the unit of the head start.
    """
    vectors = torch.randn(count, operator.dimension, generator=generator).to(operator.device, operator.dtype)
    if known is not None:
        check_vectors(operator, known)
        lengths = known.norm(dim=1, keepdim=True)
        if not (lengths.isfinite().all() and lengths.all()):
            raise ValueError("a start vector is zero, or not finite")
        vectors[0] += _HEAD_START * (known / lengths).sum(0)
    return vectors


def _check(operator: Operator, wanted: Wanted, max_products: int, max_basis: int | None, block: int) -> None:
    count = wanted.count
    if min(wanted.top, wanted.bottom, wanted.largest) < 0 or count == 0:
        raise ValueError(
            f"top, bottom and largest must not be negative, nor all zero; got {wanted.top}, {wanted.bottom} and "
            f"{wanted.largest}"
        )
    if wanted.largest and wanted.top + wanted.bottom:
        raise ValueError("the largest in size are counted from both ends: give top and bottom, or largest")
    if count > min(operator.dimension, max_products):
        raise ValueError(
            f"{count} eigenvalues need as many dimensions ({operator.dimension}) and products ({max_products})"
        )
    if not wanted.tolerance > 0:
        raise ValueError(f"tolerance must be positive, got {wanted.tolerance}")
    if not 1 <= block <= operator.dimension:
        raise ValueError(f"block must lie between 1 and the dimension, {operator.dimension}; got {block}")
    ends = sum(wanted.ends)
    if max_basis is not None and max_basis < min(2 * ends + block, operator.dimension):
        raise ValueError(
            f"max_basis must be at least 2 × {ends} eigenvalues + a block of {block}, {2 * ends + block}; "
            f"got {max_basis}"
        )
