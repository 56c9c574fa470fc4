"""Which eigenvalues of an operator are wanted, how exactly, and whether that can be had.

Of a positive semi-definite matrix (an operator that says ``semidefinite``) with more dimensions than products the
smallest eigenvalues are no question: a network with more weights than outputs has thousands of zeros there, and what an
iteration finds is how far it got, not a property of the matrix.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from ..curvature import Operator


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

    def ranks(self, values: Float[np.ndarray, " value"]) -> Int[np.ndarray, " pair"]:
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

    def limits(self, found: Float[np.ndarray, " pair"]) -> tuple[float, float]:
        """Below the one and above the other lies what would be wanted, had it not been ``found``."""
        if self.largest:
            return -float(np.abs(found).min()), float(np.abs(found).min())
        return float(found[-1]) if self.bottom else -np.inf, float(found[self.top - 1]) if self.top else np.inf


def check(operator: Operator, wanted: Wanted, max_products: int, max_basis: int | None, block: int) -> None:
    """Raise ValueError, before any product, for what can't be had: see :func:`~landscape.spectrum.lanczos`."""
    _check_counts(operator, wanted, max_products)
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


def _check_counts(operator: Operator, wanted: Wanted, max_products: int) -> None:
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
    if wanted.bottom and getattr(operator, "semidefinite", False) and operator.dimension > max_products:
        raise ValueError(
            f"the matrix is positive semi-definite: its smallest of {operator.dimension} eigenvalues are zero or lost "
            f"in rounding, and {max_products} products don't tell them apart. Leave bottom out; the density says how "
            "many lie near zero"
        )
