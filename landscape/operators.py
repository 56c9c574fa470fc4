"""The Hessian of an objective and its two parts, Gauss–Newton and the rest, known by products with vectors alone.

    H v = ∂/∂w ⟨∇L(w), v⟩ = Σ_b (B_b/N) ∂/∂w ⟨∇L_b(w), v⟩                  (Pearlmutter 1994)
    G v = Σ_b (B_b/N) Jᵀ (∂²ℓ/∂z²) J v,     z = f(x; w), J = ∂z/∂w          (Schraudolph 2002)
    R v = H v − G v = Σ_b (B_b/N) Σ_k ∂ℓ/∂z_k (∂²z_k/∂w²) v                 (Dauphin, Agarwala, Mobahi 2024)

Several vectors in one product share the graph of each batch: the forward pass and the gradient are paid for once.
A batch of B examples counts B/N, so that ragged batches give the matrix of the whole set exactly. G keeps the
curvature of the loss in the model's outputs and drops the model's own; it is positive semi-definite where the loss is
convex in the outputs, and equals H for a model that is linear in its weights. R is what the model's own curvature adds,
the nonlinear modelling error: for a network of spikes, the slope of the surrogate's slope, σ″.

**Whose curvature.** Both differentiate what the model's *backward* says. Where a layer's backward is not the derivative
of its forward (a step with a surrogate derivative), H is the *formal* Hessian: that of the model with each such layer
replaced by its local jet (value, stated slope, the slope's derivative). It is symmetric, but no derivative of the loss,
which may be piecewise constant.

Attention is computed by torch's plain kernel, recurrent layers on CUDA without cuDNN, and embeddings without sparse
gradients: their fast forms have no second derivatives.

A layer whose backward can't be differentiated makes H wrong, often without an error. Hence the check on construction:
the loss is finite, two gradients agree, and uᵀ(A − Aᵀ)v vanishes for random u and v. In units of ‖A − Aᵀ‖/‖A‖ that is
a normal number, and falls below the threshold (5e-3 in float32) by chance: one time in 250 at an asymmetry of 1, one
in 60 at a quarter. :func:`~landscape.lanczos.lanczos` sees the same on all the space that it grows, and reports it.
Neither sees a backward that multiplies by a slope computed in the forward and stored: that is the jet (value, slope,
0), whose Hessian is symmetric as well.
"""

import math
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from .derivative import derivative
from .held import Held
from .objective import Objective
from .refusal import Refusal
from .structure import described, leaves, mapped

Parts = Sequence[Tensor]
Product = Callable[[Parts, bool], Sequence[Tensor | None]]


@runtime_checkable
class Operator(Protocol):
    """A real symmetric matrix known by its products with vectors, which ``products`` counts one by one."""

    dimension: int
    dtype: torch.dtype
    device: torch.device

    @property
    def products(self) -> int:
        """How many products were made."""
        ...

    def __matmul__(self, vectors: Float[Tensor, "*block dimension"]) -> Float[Tensor, "*block dimension"]:
        """The product with a vector, or with each of several, one a row."""
        ...


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
        wide = torch.promote_types(self.dtype, torch.float32)
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
        self._kept, self._kept_of = list(self._built()), Held(evaluation)
        yield from self._kept

    def _built(self) -> Iterator[tuple[float, Product]]:
        for weight, inputs, target in self.objective.batches():
            yield weight, self._apart(inputs, target)

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


class Hessian(Curvature):
    """∂²L/∂w² of ``objective``, by double backward; the formal Hessian where a backward is a surrogate.

    ``keep_graph=True`` builds every batch's gradient graph once and keeps it for all products: faster, at the cost of
    the activations of all batches at once. They are built anew when anything that the model holds has changed since, or
    a batch in a list; batches of a loader are taken to stay as they were. ``check=False`` skips the check on
    construction, and its two products. ``symmetry`` is the relative asymmetry that the check found, of the order of the
    rounding error; nan without it.

    Raises ValueError when the loss is not finite, not deterministic, or has a backward that can't be differentiated.
    """

    def _linearised(self, inputs: Any, target: Any) -> Product:
        weights = self.objective.parameters.tensors
        gradient = derivative([self.objective.batch_loss(inputs, target)], weights, None, create_graph=True)
        return lambda parts, keep: derivative(gradient, weights, parts, retain_graph=keep)


class GaussNewton(Curvature):
    """Jᵀ(∂²ℓ/∂z²)J of ``objective``, z being the model's output; arguments and errors are those of :class:`Hessian`.

    Exact: Jv is the derivative of u ↦ Jᵀu, no finite difference. The model returns a tensor, or tensors in tuples,
    lists and mappings, which the loss takes as they come; what the loss takes from elsewhere than that output (a
    penalty on the weights, say) has no part in the matrix. ``convex=False`` says that the loss is not convex in the
    outputs, and the matrix not semi-definite.
    """

    def __init__(self, objective: Objective, *, keep_graph: bool = False, check: bool = True, convex: bool = True):
        self.semidefinite = convex
        super().__init__(objective, keep_graph=keep_graph, check=check)

    def _linearised(self, inputs: Any, target: Any) -> Product:
        return self._of_output(self.objective.output(inputs), target)

    def _of_output(self, output: Any, target: Any) -> Product:
        weights = self.objective.parameters.tensors
        outputs = [leaf for leaf in leaves(output) if isinstance(leaf, Tensor) and leaf.requires_grad]
        if not outputs:
            raise Refusal(
                f"Gauss-Newton needs the model's output, and finds no tensor with a gradient in {described(output)}: "
                "let forward= return a tensor, or tensors in tuples, lists or mappings"
            )
        cotangents = [torch.zeros_like(leaf, requires_grad=True) for leaf in outputs]
        pullback = derivative(outputs, weights, cotangents, create_graph=True)
        held = {id(leaf): leaf.detach().requires_grad_() for leaf in outputs}
        ends = list(held.values())
        loss = self.objective.output_loss(mapped(output, lambda leaf: held.get(id(leaf), leaf)), target)
        slope = derivative([loss], ends, None, create_graph=True)

        def product(parts: Parts, keep: bool) -> Sequence[Tensor | None]:
            tangents = derivative(pullback, cotangents, parts, retain_graph=keep)
            curved = derivative(slope, ends, tangents, retain_graph=keep)
            return derivative(outputs, weights, curved, retain_graph=keep)

        return product


class Remainder(GaussNewton):
    """H − G of ``objective``: what the curvature of the model itself, of z in w, adds to that of the loss in z.

    Arguments and errors are those of :class:`Hessian`. Zero where the model is linear in its weights, and where the
    outputs fit the data, ∂ℓ/∂z = 0. Its eigenvalues have either sign.
    """

    def __init__(self, objective: Objective, *, keep_graph: bool = False, check: bool = True):
        super().__init__(objective, keep_graph=keep_graph, check=check, convex=False)

    def _linearised(self, inputs: Any, target: Any) -> Product:
        weights = self.objective.parameters.tensors
        output = self.objective.output(inputs)
        loss = self.objective.output_loss(output, target)
        gradient = derivative([loss], weights, None, create_graph=True)
        gauss_newton = self._of_output(output, target)

        def product(parts: Parts, keep: bool) -> Sequence[Tensor | None]:
            whole = derivative(gradient, weights, parts, retain_graph=True)
            return [_less(one, other) for one, other in zip(whole, gauss_newton(parts, keep), strict=True)]

        return product


def _less(one: Tensor | None, other: Tensor | None) -> Tensor | None:
    if one is None or other is None:
        return one if other is None else -other
    return one - other


def _weight_norm(objective: Objective) -> str:
    """A cause of asymmetry, where there is one of torch's weight norms: its second derivative is wrong (torch 2.15)."""
    ends = "weight_g", "parametrizations.weight.original0"
    if not any(name.endswith(ends) for name, _ in objective.model.named_parameters()):
        return ""
    return "torch's weight norm, whose second derivative is wrong (write g · v/‖v‖ in a parametrization of your own); "


def check_vectors(operator: Operator, vectors: Tensor) -> None:
    """Raise ValueError for what is not a vector of ``operator``'s dimension, dtype and device, nor rows of such."""
    shape = vectors.shape[-1:] if vectors.ndim == 2 and len(vectors) else vectors.shape
    if (shape, vectors.dtype, vectors.device) != ((operator.dimension,), operator.dtype, operator.device):
        raise ValueError(
            f"expected a vector of {operator.dimension} entries, {operator.dtype} on {operator.device}; "
            f"got shape {list(vectors.shape)}, {vectors.dtype} on {vectors.device}"
        )


def products(operator: Operator, vectors: Sequence[Float[Tensor, "dimension"]]) -> Float[Tensor, "block dimension"]:
    """The products with ``vectors``, together. A single one is made as such, which any operator can."""
    return operator @ torch.stack(list(vectors)) if len(vectors) > 1 else (operator @ vectors[0])[None]


def rademacher(operator: Operator, generator: torch.Generator) -> Float[Tensor, "dimension"]:
    """A vector of random signs, drawn on the CPU, on the operator's device and in its dtype."""
    signs = torch.randint(0, 2, (operator.dimension,), generator=generator, dtype=torch.int8) * 2 - 1
    return signs.to(operator.device, operator.dtype)
