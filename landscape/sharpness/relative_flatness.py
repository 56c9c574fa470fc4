"""Relative flatness of one layer: curvature in proportion to the weights, summed over pairs of neurons.

    κ = Σ_{s,s'} ⟨w_s, w_s'⟩ · tr(H_{s,s'}) = tr((W Wᵀ ⊗ I) H),     H_{s,s'} = ∂²L/∂w_s ∂w_s'

with w_s, the rows of W, each neuron's weights (a filter of a convolution, flattened; no bias), and H the Hessian in W
alone (Petzka, Kamp, Adilova, Sminchisescu, Boley 2021, NeurIPS, definition 3, who take the last layer but one's output
as features and the layer above it as W). Despite the name it grows with curvature: smaller is flatter.

Derivation of the product form: tr((A ⊗ I) H) = Σ_{s,s'} A_{s,s'} tr(H_{s',s}) for a symmetric A. With the symmetric
root S of W Wᵀ it is the trace of (S ⊗ I) H (S ⊗ I), a symmetric matrix of the layer's size, whose products with V, a
matrix of W's shape, are S · mat(H vec(S V)). For n rows S is n × n, whatever the length of a row.

**Whose curvature.** The formal Hessian of :mod:`landscape.curvature.operators`. After the last neuron nothing spikes:
for the output layer, the default, it is that of the true loss. For other layers it is the surrogate's.

**Invariant** when neurons of the layer are rescaled and the function stays (w_s → c w_s divides H_{s,s'} by c for each
of the two), hence when weights before a BatchNorm are, of this layer or of others; and under rescalings of other layers
that leave this one's input alone.
"""

from dataclasses import dataclass

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from ..curvature import Hessian, Operator
from ..displayed import Displayed
from ..objective import Objective, Parameters
from ..spectrum import trace

EXACT = 2000
_TOGETHER = 64


@dataclass(frozen=True)
class RelativeFlatness(Displayed):
    """κ of a weight matrix; the standard error is over probes, and 0 where the trace was summed exactly."""

    name: str
    value: float
    stderr: float
    exact: bool
    products: int

    def to_frame(self) -> pd.DataFrame:
        """One row: name, value, stderr, exact, products."""
        return pd.DataFrame([vars(self)])


def weight_matrix(parameters: Parameters, layer: str | None = None) -> str:
    """The name of the weight matrix (or filters) of ``layer``, by default of the last layer that has one.

    Raises ValueError, which lists the layers there are, for another name.
    """
    pairs = zip(parameters.names, parameters.tensors, strict=True)
    found = {name.rpartition(".")[0]: name for name, weight in pairs if weight.ndim > 1}
    if not found or layer not in (None, *found):
        raise ValueError(f"no layer {layer!r} with a weight matrix; there are {', '.join(found) or 'none'}")
    return found[layer if layer is not None else list(found)[-1]]


def relative_flatness(
    objective: Objective,
    *,
    exact: bool | None = None,
    probes: int = 20,
    keep_graph: bool = True,
    seed: int = 0,
) -> RelativeFlatness:
    """κ of the one weight matrix that is ``objective``'s parameters.

    ``Objective(model, loss, batches, parameters=Parameters(model, [weight_matrix(Parameters(model))]))`` is that of the
    output layer. ``exact`` sums the diagonal, one product for each weight of the layer: by default up to ``EXACT``
    weights. Otherwise the trace is estimated from ``probes`` random vectors (:func:`~landscape.spectrum.trace`, two
    products each). ``keep_graph`` is that of :class:`~landscape.curvature.Hessian`.

    Raises ValueError for an objective with other parameters than one weight matrix, and for what the operator and the
    trace refuse.
    """
    parameters = objective.parameters
    if len(parameters.tensors) != 1 or parameters.tensors[0].ndim < 2:
        raise ValueError(f"expected an objective of one weight matrix, got one of {', '.join(parameters.names)}")
    parameters.check_real("relative flatness")
    operator = _Relative(Hessian(objective, keep_graph=keep_graph, check=False))
    (name,) = parameters.names
    if exact or (exact is None and operator.dimension <= EXACT):
        return RelativeFlatness(name, _diagonal_sum(operator), 0.0, True, operator.products)
    estimate = trace(operator, probes=probes, seed=seed, max_products=max(500, 2 * probes))
    return RelativeFlatness(name, estimate.value, estimate.stderr, False, operator.products)


class _Relative:
    """(S ⊗ I) H (S ⊗ I) for the Hessian H of one weight matrix W and S = (W Wᵀ)^½."""

    def __init__(self, hessian: Hessian):
        self.hessian = hessian
        self.dimension, self.dtype, self.device = hessian.dimension, hessian.dtype, hessian.device
        (weight,) = hessian.objective.parameters.tensors
        rows = weight.detach().flatten(1).double().cpu()
        values, vectors = torch.linalg.eigh(rows @ rows.T)
        root = (vectors * values.clamp(min=0).sqrt()) @ vectors.T
        self.root = root.to(self.dtype).to(self.device)

    @property
    def products(self) -> int:
        """The Hessian's products so far."""
        return self.hessian.products

    def __matmul__(self, vectors: Float[Tensor, "*block dimension"]) -> Float[Tensor, "*block dimension"]:
        """The product with a vector, or with each of several, one a row."""
        return self._mixed(self.hessian @ self._mixed(vectors))

    def _mixed(self, vectors: Float[Tensor, "*block dimension"]) -> Float[Tensor, "*block dimension"]:
        return (self.root @ vectors.unflatten(-1, (len(self.root), -1))).flatten(-2)


def _diagonal_sum(operator: Operator) -> float:
    """tr A from the products with all unit vectors, so many together that what a product has to look at counts once."""
    total = 0.0
    for begin in range(0, operator.dimension, _TOGETHER):
        count = min(_TOGETHER, operator.dimension - begin)
        units = torch.zeros(count, operator.dimension, dtype=operator.dtype, device=operator.device)
        units[range(count), range(begin, begin + count)] = 1
        total += float((operator @ units).diagonal(begin).double().sum())
    return total
