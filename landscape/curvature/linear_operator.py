"""A real symmetric matrix that is never formed: what algorithms ask of it, and the vectors they begin with."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor


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


def check_vectors(operator: Operator, vectors: Tensor) -> None:
    """Raise ValueError for what is not a vector of ``operator``'s dimension, dtype and device, nor rows of such."""
    shape = vectors.shape[-1:] if vectors.ndim == 2 and len(vectors) else vectors.shape
    if (shape, vectors.dtype, vectors.device) != ((operator.dimension,), operator.dtype, operator.device):
        raise ValueError(
            f"expected a vector of {operator.dimension} entries, {operator.dtype} on {operator.device}; "
            f"got shape {list(vectors.shape)}, {vectors.dtype} on {vectors.device}"
        )


def products(operator: Operator, vectors: Sequence[Float[Tensor, " dimension"]]) -> Float[Tensor, "block dimension"]:
    """The products with ``vectors``, together. A single one is made as such, which any operator can."""
    return operator @ torch.stack(list(vectors)) if len(vectors) > 1 else (operator @ vectors[0])[None]


def rademacher(operator: Operator, generator: torch.Generator) -> Float[Tensor, " dimension"]:
    """A vector of random signs, drawn on the CPU, on the operator's device and in its dtype."""
    signs = torch.randint(0, 2, (operator.dimension,), generator=generator, dtype=torch.int8) * 2 - 1
    return signs.to(operator.device, operator.dtype)
