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
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ..objective import Objective, cut, derivative
from .curvature import Curvature, Parts, Product
from .linear_operator import Operator, products, rademacher

__all__ = ["Curvature", "GaussNewton", "Hessian", "Operator", "Remainder", "products", "rademacher"]


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
        outputs, ends, whole = cut(output)
        cotangents = [torch.zeros_like(leaf, requires_grad=True) for leaf in outputs]
        pullback = derivative(outputs, weights, cotangents, create_graph=True)
        loss = self.objective.output_loss(whole, target)
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
