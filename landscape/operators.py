"""The Hessian and the Gauss–Newton matrix of an objective, known by their products with vectors alone.

    H v = ∂/∂w ⟨∇L(w), v⟩ = Σ_b (B_b/N) ∂/∂w ⟨∇L_b(w), v⟩                  (Pearlmutter 1994)
    G v = Σ_b (B_b/N) Jᵀ (∂²ℓ/∂z²) J v,     z = f(x; w), J = ∂z/∂w          (Schraudolph 2002)

A batch of B examples counts B/N, so that ragged batches give the matrix of the whole set exactly. G keeps the
curvature of the loss in the model's outputs and drops the model's own; it is positive semi-definite where the loss is
convex in the outputs, and equals H for a model that is linear in its weights.

**Whose curvature.** Both differentiate what the model's *backward* says. Where a layer's backward is not the derivative
of its forward (a step with a surrogate derivative), H is the *formal* Hessian: that of the model with each such layer
replaced by its local jet (value, stated slope, the slope's derivative). It is symmetric, but no derivative of the loss,
which may be piecewise constant.

A layer whose backward can't be differentiated makes H wrong, often without an error. Hence the check on construction:
the loss is finite, two gradients agree, and A − Aᵀ vanishes on random vectors. It can't see a backward that multiplies
by a slope computed in the forward and stored: that is the jet (value, slope, 0), whose Hessian is symmetric as well.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from itertools import combinations
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from .objective import Objective

Product = Callable[[Sequence[Tensor]], Sequence[Tensor | None]]
_PROBES = 3


@runtime_checkable
class Operator(Protocol):
    """A real symmetric matrix known by its products with vectors, which ``products`` counts."""

    dimension: int
    dtype: torch.dtype
    device: torch.device

    @property
    def products(self) -> int:
        """How many products were made."""
        ...

    def __matmul__(self, vector: Float[Tensor, "dimension"]) -> Float[Tensor, "dimension"]:
        """The product with ``vector``."""
        ...


class Curvature(ABC):
    """What both matrices share: the average over batches, the kept graphs, the count of products, the check."""

    def __init__(self, objective: Objective, *, keep_graph: bool = False, check: bool = True):
        self.objective, self.keep_graph = objective, keep_graph
        self.dimension = objective.parameters.dimension
        self.dtype, self.device = objective.parameters.dtype, objective.parameters.device
        self.products = 0
        self.symmetry = math.nan
        self._kept: list[tuple[float, Product]] = []
        self._kept_at: list[int] = []
        if check:
            self._check()

    @abstractmethod
    def _linearised(self, inputs: Tensor, target: Tensor) -> Product:
        """The product with one batch's matrix, on vectors split into the parameters' shapes."""

    def __matmul__(self, vector: Float[Tensor, "dimension"]) -> Float[Tensor, "dimension"]:
        """The product with ``vector`` at the model's present weights.

        Raises ValueError for a vector of another size, dtype or device, for a backward that can't be differentiated,
        and when the product is not finite.
        """
        if (vector.shape, vector.dtype, vector.device) != ((self.dimension,), self.dtype, self.device):
            raise ValueError(
                f"expected a vector of {self.dimension} entries, {self.dtype} on {self.device}; "
                f"got shape {list(vector.shape)}, {vector.dtype} on {vector.device}"
            )
        parameters = self.objective.parameters
        total, parts = torch.zeros_like(vector, requires_grad=False), parameters.split(vector.detach())
        with self.objective.evaluating(), torch.enable_grad():
            for weight, product in self._products():
                total += weight * parameters.flatten(product(parts))
                del product  # and its graph, before the next is built
        total = self.objective.reduced(total)
        self.products += 1
        if not total.isfinite().all():
            raise ValueError(f"the product is not finite; at these weights the loss is {self.objective.value()}")
        return total

    def _products(self) -> Iterator[tuple[float, Product]]:
        """Each batch's weight B/N and product. Kept graphs are built anew once a weight has been written to."""
        if not self.keep_graph:
            yield from self._built()
            return
        versions = [weight._version for weight in self.objective.parameters.tensors]
        if versions != self._kept_at:
            self._kept = []
            self._kept, self._kept_at = list(self._built()), versions
        yield from self._kept

    def _built(self) -> Iterator[tuple[float, Product]]:
        for weight, inputs, target in self.objective.batches():
            yield weight, self._apart(inputs, target)

    def _apart(self, inputs: Tensor, target: Tensor) -> Product:
        """One batch's product on buffers of its own: BatchNorm in train mode would write to another graph's."""
        with self.objective.evaluating():
            return self._linearised(inputs, target)

    def _check(self) -> None:
        value = self.objective.value()
        if not math.isfinite(value):
            raise ValueError(f"the loss is {value} at these weights: it has no curvature to speak of")
        rounding = torch.finfo(self.dtype).eps
        first, second = self.objective.gradient(), self.objective.gradient()
        if float((first - second).norm()) > rounding**0.5 * float(first.norm()):
            raise ValueError(
                "the loss is not deterministic: two gradients at the same weights differ by a relative "
                f"{float((first - second).norm() / first.norm()):.1e}. Causes, likeliest first: dropout in train mode; "
                "batches that are augmented or drawn anew each time; another source of randomness in the model"
            )
        self.symmetry = self._asymmetry()
        if self.symmetry > rounding ** (1 / 3):
            raise ValueError(
                f"the matrix is not symmetric (relative {self.symmetry:.1e}). Causes, likeliest first: a layer whose "
                "backward is first-order only, so that its second derivatives were silently left out (a fused kernel, "
                "a backward under no_grad): use its differentiable version; too low a precision (TF32, half)"
            )

    def _asymmetry(self) -> float:
        """Largest |u·Av − v·Au| / rms(‖Au‖, ‖Av‖) of three random pairs.

        For entries ±1 the mean squares of numerator and denominator are ‖A − Aᵀ‖² and ‖A‖² (Frobenius), so the ratio
        measures relative asymmetry in any dimension.
        """
        generator = torch.Generator().manual_seed(0)
        vectors = [rademacher(self, generator) for _ in range(_PROBES)]
        pairs = combinations([(vector, self @ vector) for vector in vectors], 2)
        return max(
            abs(float(u @ av - v @ au)) / (math.hypot(float(au.norm()), float(av.norm())) / 2**0.5 or 1.0)
            for (u, au), (v, av) in pairs
        )


class Hessian(Curvature):
    """∂²L/∂w² of ``objective``, by double backward; the formal Hessian where a backward is a surrogate.

    ``keep_graph=True`` builds every batch's gradient graph once and keeps it for all products: faster, at the cost of
    the activations of all batches at once. ``check=False`` skips the check on construction, and its three products.
    ``symmetry`` is the relative asymmetry that the check found, of the order of the rounding error; nan without it.

    Raises ValueError when the loss is not finite, not deterministic, or has a backward that can't be differentiated.
    """

    def _linearised(self, inputs: Tensor, target: Tensor) -> Product:
        weights = self.objective.parameters.tensors
        gradient = derivative([self.objective.batch_loss(inputs, target)], weights, None, create_graph=True)
        return lambda parts: derivative(gradient, weights, parts, retain_graph=self.keep_graph)


class GaussNewton(Curvature):
    """Jᵀ(∂²ℓ/∂z²)J of ``objective``, z being the model's output; arguments and errors are those of :class:`Hessian`.

    Exact: Jv is the derivative of u ↦ Jᵀu, no finite difference. The model must return one tensor; what the loss takes
    from elsewhere than that output (a penalty on the weights, say) has no part in the matrix.
    """

    def _linearised(self, inputs: Tensor, target: Tensor) -> Product:
        weights, keep = self.objective.parameters.tensors, self.keep_graph
        output = self.objective.model(inputs)
        cotangent = torch.zeros_like(output, requires_grad=True)
        pullback = derivative([output], weights, [cotangent], create_graph=True)
        held = output.detach().requires_grad_()
        slope = derivative([self.objective.output_loss(held, target)], [held], None, create_graph=True)

        def product(parts: Sequence[Tensor]) -> Sequence[Tensor | None]:
            tangent = derivative(pullback, [cotangent], parts, retain_graph=keep)
            curved = derivative(slope, [held], tangent, retain_graph=keep)
            return derivative([output], weights, curved, retain_graph=keep)

        return product


def rademacher(operator: Operator, generator: torch.Generator) -> Float[Tensor, "dimension"]:
    """A vector of random signs, drawn on the CPU, on the operator's device and in its dtype."""
    signs = torch.randint(0, 2, (operator.dimension,), generator=generator, dtype=torch.int8) * 2 - 1
    return signs.to(operator.device, operator.dtype)


def derivative(
    outputs: Sequence[Tensor | None],
    inputs: Sequence[Tensor],
    cotangents: Sequence[Tensor | None] | None,
    *,
    create_graph: bool = False,
    retain_graph: bool = False,
) -> Sequence[Tensor | None]:
    """Σ cotangent · ∂output/∂input over the outputs that have a graph; None where an input has no part in them."""
    pairs = zip(outputs, cotangents or [None] * len(outputs), strict=True)
    live = [(output, cotangent) for output, cotangent in pairs if output is not None and output.requires_grad]
    found: Sequence[Tensor | None] = ()
    try:
        if live:
            found = torch.autograd.grad(
                [output for output, _ in live],
                inputs,
                [cotangent for _, cotangent in live],
                create_graph=create_graph,
                retain_graph=retain_graph or create_graph,
                allow_unused=True,
            )
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        raise ValueError(
            f"the gradient can't be differentiated again: {str(error).splitlines()[0]}. Likely a layer whose backward "
            "is first-order only (once_differentiable, a fused kernel, torch.compile, a cuDNN RNN): use its "
            "differentiable version"
        ) from error
    if all(part is None for part in found):
        raise ValueError(
            "the gradient does not depend on the weights: either the loss is linear in them and its curvature zero, or "
            "a layer's backward is first-order only: use its differentiable version"
        )
    return found
