"""A matrix of second derivatives in rescaled coordinates: D A D with D a diagonal matrix of scales.

For w + D·ν the Hessian in ν is D H D. With D each weight's filter scale (:func:`~landscape.surfaces.filter_scale`,
the root mean square of its filter) ν is in units of the weights themselves: multiplying the filters before a BatchNorm
by c multiplies their D by c and divides their rows and columns of H by c, so D H D, its eigenvalues and its trace stay
as they are, while those of H change (Dinh, Pascanu, Bengio, Bengio 2017 on why the latter mean little; Kwon, Kim, Park,
Choi 2021 on the same scaling for sharpness). Eigenvalues are in units of the loss.

Easy to get wrong: D on both sides, not D² on one (the same eigenvalues, but not symmetric). Where D is zero, as for
biases and BatchNorm's parameters by default, nothing moves and D A D has a zero eigenvalue. Its eigenvectors ν are
directions D·ν in the weights.
"""

from jaxtyping import Float
from torch import Tensor

from .linear_operator import Operator


class Scaled:
    """D A D for ``operator`` A and the diagonal ``scale`` of D.

    Every product is one of A's, and A counts it; ``semidefinite`` is A's. Raises ValueError for a scale of another
    size, dtype or device, one that is not finite, and one that is zero throughout.
    """

    def __init__(self, operator: Operator, scale: Float[Tensor, " dimension"]):
        self.dimension, self.dtype, self.device = operator.dimension, operator.dtype, operator.device
        if (scale.shape, scale.dtype, scale.device) != ((self.dimension,), self.dtype, self.device):
            raise ValueError(
                f"expected a scale of {self.dimension} entries, {self.dtype} on {self.device}; "
                f"got shape {list(scale.shape)}, {scale.dtype} on {scale.device}"
            )
        if not (scale.isfinite().all() and scale.any()):
            raise ValueError("a scale must be finite and not zero throughout")
        self.operator = operator
        self.semidefinite = bool(getattr(operator, "semidefinite", False))
        self.scale = scale.detach().clone()

    @property
    def products(self) -> int:
        """The products of A so far, its own included."""
        return self.operator.products

    def __matmul__(self, vectors: Float[Tensor, "*block dimension"]) -> Float[Tensor, "*block dimension"]:
        """The product with a vector, or with each of several, one a row."""
        return self.scale * (self.operator @ (self.scale * vectors))
