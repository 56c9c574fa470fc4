"""Extreme eigenvalues of an operator by Lanczos iteration with full reorthogonalisation.

Ritz pairs of the space that products grow from one or more vectors (:mod:`landscape.spectrum.krylov`), with their true
residuals ‖Av − λv‖ at no further product. For a symmetric A an eigenvalue lies within its residual of each λ; how far
A is from symmetric on the whole space is reported beside.

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
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ..curvature import Operator, check_vectors
from ..deadline import Deadline
from .bar import Bar
from .eigenpairs import Eigenpairs, Ritz
from .forecast import Outlook
from .krylov import Krylov, symmetric_part
from .wanted import Wanted, check

Progress = Callable[[int], object] | Literal[False] | None
_HEAD_START = 5.0


def lanczos(
    operator: Operator,
    *,
    top: int | None = None,
    bottom: int = 0,
    largest: int = 0,
    tolerance: float = 1e-3,
    max_products: int = 200,
    max_basis: int | None = None,
    seconds: float | None = None,
    block: int = 1,
    start: Float[Tensor, "start dimension"] | None = None,
    seed: int = 0,
    watch: Callable[[Ritz], object] | None = None,
    progress: Progress = None,
) -> Eigenpairs:
    """The ``top`` largest (by default 5) and ``bottom`` smallest eigenvalues of ``operator``, with vectors, residuals.

    Or, instead, the ``largest`` in size whatever their sign, the largest first: what power iteration converges to.

    Stops when every residual is at most ``tolerance`` × its own |eigenvalue|, at ``max_products``, when ``seconds`` are
    over, or when the basis spans all dimensions; what is not converged then says so. An eigenvalue that is zero to
    rounding (|value| and residual together below 64 rounding errors of the largest) has converged. The error of an
    eigenvalue is at most its residual, and usually near its square: 1e-3 is enough for a figure. A tolerance below the
    dtype's rounding is never met, nor one that asks for a small eigenvalue below the largest one's rounding.

    ``seconds`` is looked at after every product, the first of which is always made. When they are over there may be
    fewer pairs than wanted, those of the smallest lacking first, and none of them counts as converged. How far the
    iteration gets hangs on the machine: processes that share each product must not be given it, as each has a clock.

    Memory is one vector per product, or ``max_basis`` + ``block`` vectors where that is given: at least twice the
    eigenvalues wanted plus ``block``; twenty more lose little. ``block`` is the number of start vectors, and of vectors
    in each product: 1 takes the fewest products; more show eigenvalues repeated as often.

    ``start``: eigenvectors of a matrix nearby, say from before the last epoch. They enter the random start vector with
    five times the strength that it has along any other direction, which saves one or two products of 13. More strength
    would save more (30 times: three), and with it the certainty that nothing new is passed over, which takes as many
    products as a random start. At five times, what the old vectors don't know is found where it stands out among the
    wanted eigenvalues; within a few percent of the smallest of them it is missed one time in ten.

    ``watch`` gets the :class:`Ritz` pairs after every product, ``progress`` the number of products just made. Without
    ``progress`` a bar appears if it all takes more than two seconds; with ``progress=False`` none does.

    Raises ValueError for counts that are negative, all zero, or together beyond dimension or ``max_products``; for a
    tolerance or ``seconds`` that are not positive; a block, basis or start that does not fit; ``bottom`` of a positive
    semi-definite matrix with more dimensions than products (see :mod:`landscape.spectrum.wanted`); and a product that
    is not finite.
    """
    default = 0 if largest else 5
    wanted = Wanted(default if top is None else top, bottom, largest, tolerance)
    check(operator, wanted, max_products, max_basis, block)
    deadline = Deadline(seconds)
    generator = torch.Generator().manual_seed(seed)
    krylov = Krylov(operator, weak=min(torch.finfo(operator.dtype).eps ** 0.5, tolerance))
    krylov.begin(_start(operator, block, generator, start))
    room = min(max_basis or operator.dimension, operator.dimension)
    with Bar(Outlook(wanted, most=max_products, seconds=seconds), shown=progress is None) as bar:
        while True:
            made = krylov.grow(min(block, max_products - krylov.products, room - len(krylov.basis)))
            if not made:
                krylov.begin(_start(operator, 1, generator))
                continue
            found, shapes, converged = _found(krylov, wanted)
            bar.watch(found)
            if progress:
                progress(made)
            if watch:
                watch(found)
            if converged.all() or krylov.products == max_products or len(krylov.basis) == operator.dimension:
                break
            if deadline.passed:
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
    residuals = krylov.residuals(values[order], shapes[:, order])
    found = Ritz(krylov.products, ranks, values[order], residuals, size, krylov.rounding)
    above, below = _explored(krylov, found, wanted) if len(ranks) == wanted.count else (False, False)
    explored = np.full(len(ranks), above and below) if wanted.largest else np.where(ranks > 0, above, below)
    return found, shapes[:, order], (found.relative_residuals <= wanted.tolerance) & explored


def _explored(krylov: Krylov, found: Ritz, wanted: Wanted) -> tuple[bool, bool]:
    """Whether no further space would add to the upper and the lower end, as far as they are wanted.

    Before the first space is exhausted there is no saying: True.

    A space grows from a random vector of all that the earlier ones left, so its ends, once converged, bound whatever
    is left outside it. Rounding in a product is divided by the length of what enters the basis, so an exhausted space
    may leave a candidate of up to √ε times the matrix's size; the vector it leads to is then noise, and as good a start
    as any.
    """
    if len(krylov.basis) == krylov.operator.dimension or not (krylov.first or krylov.closed):
        return True, True
    floor, ceiling = wanted.limits(found.values)
    under, over = (max(wanted.tolerance * abs(limit), found.rounding) for limit in (floor, ceiling))
    values, shapes = krylov.ritz(krylov.first)
    low, high = krylov.residuals(values[[0, -1]], shapes[:, [0, -1]])
    above = np.isinf(ceiling) or (high <= over and values[-1] <= ceiling + over)
    below = np.isinf(floor) or (low <= under and values[0] >= floor - under)
    return bool(above), bool(below)


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
