"""The spectral density of an operator by stochastic Lanczos quadrature.

    φ(λ) = (1/n) Σ_i δ(λ − λ_i) ≈ (1/m) Σ_k Σ_j τ_kj δ(λ − θ_kj),     τ_kj = (e_1ᵀ s_kj)²

(Golub & Meurant 1994; Lin, Saad, Yang 2016; Ubaru, Chen, Saad 2017.) (θ_kj, s_kj) are the eigenpairs of the tridiagonal
matrix of ``steps`` Lanczos steps from the probe z_k/√n, z_k random signs. The square is of the eigenvectors' *first*
entries: the weights of one probe sum to 1, and φ integrates to 1, so a count of eigenvalues is n times its integral. A
probe's nodes give the moments z_kᵀAᵖz_k/n exactly up to p = 2·steps − 1; the first is a Hutchinson sample of tr A/n, at
no further cost.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from ..curvature import Operator, products, rademacher
from ..deadline import Deadline
from ..displayed import Displayed
from .krylov import Krylov
from .trace import TraceEstimate, check_probes, from_forms


@dataclass(frozen=True, eq=False)
class Density(Displayed):
    """Nodes and weights of every probe, unsmoothed, and the trace from the same products.

    A probe whose space was exhausted early has fewer nodes; its row is filled up with nodes of weight zero.
    ``complete`` is False where the time was up before all probes had all their steps; the trace is then not converged.
    """

    nodes: Float[np.ndarray, "probe step"]
    weights: Float[np.ndarray, "probe step"]
    trace: TraceEstimate
    complete: bool = True

    def to_frame(self) -> pd.DataFrame:
        """One row per node of nonzero weight: probe, node, weight."""
        probe = np.repeat(np.arange(len(self.nodes)), self.nodes.shape[1])
        frame = pd.DataFrame({"probe": probe, "node": self.nodes.ravel(), "weight": self.weights.ravel()})
        return frame[frame["weight"] > 0].reset_index(drop=True)

    def smoothed(
        self, grid: Float[np.ndarray, " point"], width: float
    ) -> tuple[Float[np.ndarray, " point"], Float[np.ndarray, " point"]]:
        """The density on ``grid`` with each node a Gaussian of standard deviation ``width``; and its standard error.

        The error is over probes. A width below the spacing of the nodes shows the nodes, not the spectrum; one near the
        range hides the bulk. Raises ValueError for a width that is not positive.
        """
        if not width > 0:
            raise ValueError(f"width must be positive, got {width}")
        distance = (grid[:, None, None] - self.nodes) / width
        bells = np.exp(-(distance**2) / 2) / (width * np.sqrt(2 * np.pi))
        curves = (bells * self.weights).sum(2)
        return curves.mean(1), curves.std(1, ddof=1) / curves.shape[1] ** 0.5


def density(
    operator: Operator,
    *,
    probes: int = 5,
    steps: int = 30,
    seed: int = 0,
    block: int = 1,
    seconds: float | None = None,
    progress: Callable[[int], object] | None = None,
) -> Density:
    """Estimate the spectral density of ``operator`` with probes × steps products.

    More ``steps`` resolve more of the spectrum (outliers appear first, the bulk's edges with a few dozen); more
    ``probes`` lower the noise. ``block`` probes advance together, one product for all: faster where an operator does
    not keep its graphs, for the memory of block × steps vectors. The result is the same but for rounding.
    ``progress(k)`` is called after every k products. The probes are those of :func:`~landscape.spectrum.trace` by
    "hutchinson" with the same seed.

    When ``seconds`` are over it returns the probes that have all their steps, or the first two with fewer: with
    ``seconds`` these advance together, whatever ``block``, and make at least one step each.

    Raises ValueError for fewer than two probes, for steps outside 1 … dimension, for a block below 1, and for
    ``seconds`` that are not positive.
    """
    check_probes(probes, block)
    deadline, block = Deadline(seconds), block if seconds is None else max(block, 2)
    generator = torch.Generator().manual_seed(seed)
    found: list[tuple[np.ndarray, np.ndarray]] = []
    complete = True
    while len(found) < probes and complete:
        count = min(block, probes - len(found))
        starts = torch.stack([rademacher(operator, generator) for _ in range(count)])
        spaces = tridiagonalize(operator, starts, steps, deadline=deadline, progress=progress)
        complete = all(len(space.basis) == steps or space.exhausted for space in spaces)
        if complete or not found:
            found += [space.ritz() for space in spaces]
        complete = complete and not (deadline.passed and len(found) < probes)
    nodes, weights = np.zeros((len(found), steps)), np.zeros((len(found), steps))
    for probe, (values, shapes) in enumerate(found):
        nodes[probe], weights[probe, : len(values)] = values[-1], shapes[0] ** 2
        nodes[probe, : len(values)] = values
    estimate = from_forms(operator.dimension * (nodes * weights).sum(1))
    return Density(nodes, weights, replace(estimate, converged=complete), complete)


def tridiagonalize(
    operator: Operator,
    starts: Float[Tensor, "block dimension"],
    steps: int,
    *,
    deadline: Deadline | None = None,
    progress: Callable[[int], object] | None = None,
) -> list[Krylov]:
    """The space that ``steps`` steps of Lanczos grow from each start; smaller where it is exhausted before.

    Smaller too, but for the first step, where a ``deadline`` passes. All advance together, by one product of the
    operator with the vectors of all. T, each space's ``matrix``, is tridiagonal but for rounding. Raises ValueError for
    a start of zeros, and for steps outside 1 … dimension.
    """
    if not 1 <= steps <= operator.dimension:
        raise ValueError(f"steps must lie between 1 and the dimension, {operator.dimension}; got {steps}")
    if not starts.any(1).all():
        raise ValueError("the start vector is zero: no space grows from it")
    spaces = [Krylov(operator) for _ in starts]
    for space, start in zip(spaces, starts, strict=True):
        space.begin(start[None])
    for _ in range(steps):
        growing = [space for space in spaces if not space.exhausted]
        if not growing:
            break
        vectors = [vector for space in growing for vector in space.proposed()]
        for space, product in zip(growing, products(operator, vectors), strict=True):
            space.absorb(product[None])
        if progress:
            progress(len(vectors))
        if deadline and deadline.passed:
            break
    return spaces
