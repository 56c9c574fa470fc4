"""What matrices of second derivatives share: the average over batches, kept graphs, the count of products, the check.

A layer whose backward can't be differentiated makes H wrong, often without an error. Hence the check on construction:
the loss is finite, two gradients agree, and uᵀ(A − Aᵀ)v vanishes for random u and v. In units of ‖A − Aᵀ‖/‖A‖ that is
a normal number, and falls below the threshold (5e-3 in float32) by chance: one time in 250 at an asymmetry of 1, one
in 60 at a quarter. :func:`~landscape.spectrum.lanczos` sees the same on all the space that it grows, and reports it.
Neither sees a backward that multiplies by a slope computed in the forward and stored: that is the jet (value, slope,
0), whose Hessian is symmetric as well.
"""

import math
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ..objective import Objective
from .kept_graph import Held
from .linear_operator import check_vectors, rademacher

Parts = Sequence[Tensor]
Product = Callable[[Parts, bool], Sequence[Tensor | None]]


class Curvature(ABC):
    """What the matrices share: the average over batches, the kept graphs, the count of products, the check.

    ``semidefinite`` says that no eigenvalue is negative.
    """

    semidefinite = False

    def __init__(self, objective: Objective, *, keep_graph: bool = False, check: bool = True):
        self.objective, self.keep_graph = objective, keep_graph
        self.dimension = objective.parameters.dimension
        self.dtype, self.device = objective.parameters.dtype, objective.parameters.device
        self.products = 0
        self.symmetry = math.nan
        self._kept: list[tuple[float, Product]] = []
        self._kept_of: Held | None = None
        if check:
            self._check()

    @abstractmethod
    def _linearised(self, inputs: Any, target: Any) -> Product:
        """The product with one batch's matrix, on vectors split into the parameters' shapes; its graph kept if told."""

    def __matmul__(self, vectors: Float[Tensor, "*block dimension"]) -> Float[Tensor, "*block dimension"]:
        """The product with a vector, or with each of several, one a row, at the model's present weights.

        Raises ValueError for vectors of another size, dtype or device, for none, for a backward that can't be
        differentiated, and when a product is not finite.
        """
        check_vectors(self, vectors)
        parameters = self.objective.parameters
        rows = vectors.detach().reshape(-1, self.dimension)
        wide = parameters.wide
        totals = torch.zeros_like(rows, dtype=wide)
        with self.objective.differentiating():
            for weight, product in self._products():
                for index, (row, total) in enumerate(zip(rows, totals, strict=True), 1):
                    keep = self.keep_graph or index < len(rows)
                    total += weight * parameters.flatten(product(parameters.split(row), keep)).to(wide)
                del product  # and its graph, before the next is built
        totals = self.objective.reduced(totals.view_as(vectors)).to(self.dtype)
        self.products += len(rows)
        if not totals.isfinite().all():
            raise ValueError(f"the product is not finite; at these weights the loss is {self.objective.value()}")
        return totals

    def _products(self) -> Iterator[tuple[float, Product]]:
        """Each batch's weight B/N and product. Kept graphs are built anew once the model, or an input, has changed."""
        if not self.keep_graph:
            yield from self._built()
            return
        held, evaluation = self._kept_of, self.objective.evaluation
        changed = held is not None and held.changed(evaluation)
        if held is not None and held.usable() and not changed:
            yield from self._kept
            return
        if changed:
            warnings.warn(
                "the model or its inputs have changed since the operator's graphs were kept: they are built anew",
                stacklevel=4,
            )
        self._kept = []
        self._kept, self._kept_of = list(self._built()), Held(evaluation, self.objective.loss)
        yield from self._kept

    def _built(self) -> Iterator[tuple[float, Product]]:
        for weight, inputs, target in self._batches():
            yield weight, self._apart(inputs, target)

    def _batches(self) -> Iterator[tuple[float, Any, Any]]:
        """The objective's batches; copies, where graphs keep what a loader may write over."""
        batches = self.objective.evaluation.batches
        for batch in batches.kept() if self.keep_graph and not batches.in_memory else batches:
            yield batch.size / self.objective.size, batch.inputs, batch.target

    def _apart(self, inputs: Any, target: Any) -> Product:
        """One batch's product on buffers of its own: BatchNorm in train mode would write to another graph's."""
        with self.objective.differentiating():
            return self._linearised(inputs, target)

    def _check(self) -> None:
        if torch.finfo(self.dtype).eps > 1e-4:
            raise ValueError(
                f"{self.dtype} carries too few digits for second derivatives: take a float32 or float64 copy of the "
                "model, or accept what comes with check=False"
            )
        value = self.objective.value()
        if not math.isfinite(value):
            raise ValueError(f"the loss is {value} at these weights: it has no curvature to speak of")
        rounding = torch.finfo(self.dtype).eps
        first, second = self.objective.gradient(), self.objective.gradient()
        if not first.isfinite().all():
            raise ValueError(
                f"the gradient is not finite at these weights, where the loss is {value:.6g}: look for a root or a "
                "logarithm at zero, a division by it, or a distance between equal points"
            )
        if float((first - second).norm()) > rounding**0.5 * float(first.norm()):
            raise ValueError(
                "the loss is not deterministic: two gradients at the same weights differ by a relative "
                f"{float((first - second).norm() / first.norm()):.1e}. Causes, likeliest first: dropout in train mode; "
                "batches that are augmented or drawn anew each time; another source of randomness in the model"
            )
        self.symmetry = self._asymmetry()
        if self.symmetry > rounding ** (1 / 3):
            raise ValueError(
                f"the matrix is not symmetric (relative {self.symmetry:.1e}). Causes, likeliest first: "
                f"{_weight_norm(self.objective)}a layer whose backward is first-order only, so that its second "
                "derivatives were silently left out (a fused kernel, a backward under no_grad): use its differentiable "
                "version; too low a precision (TF32, autocast, half)"
            )

    def _asymmetry(self) -> float:
        """|u·Av − v·Au| / rms(‖Au‖, ‖Av‖) of a random pair.

        For entries ±1 the mean squares of numerator and denominator are ‖A − Aᵀ‖² and ‖A‖² (Frobenius), so the ratio
        measures relative asymmetry in any dimension.
        """
        generator = torch.Generator().manual_seed(0)
        u, v = (rademacher(self, generator) for _ in range(2))
        au, av = self @ u, self @ v  # apart, so that batches that change from one to the next show
        return abs(float(u @ av - v @ au)) / (math.hypot(float(au.norm()), float(av.norm())) / 2**0.5 or 1.0)


def _weight_norm(objective: Objective) -> str:
    """A cause of asymmetry, where there is one of torch's weight norms: its second derivative is wrong (torch 2.15)."""
    ends = "weight_g", "parametrizations.weight.original0"
    if not any(name.endswith(ends) for name, _ in objective.model.named_parameters()):
        return ""
    return "torch's weight norm, whose second derivative is wrong (write g · v/‖v‖ in a parametrization of your own); "
