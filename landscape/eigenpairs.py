"""What an iteration for eigenvalues returns, and what it shows on the way."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Eigenpairs:
    """The pairs asked for: ranks 1, 2 … from the largest eigenvalue, then −1, −2 … from the smallest.

    ``residuals`` are ‖Av − λv‖ for the unit ``vectors``; ``converged`` says which are within the tolerance asked for,
    relative to the largest |λ| seen. ``products`` is the number of products made, ``tolerance`` as given.
    ``asymmetry`` is ‖VᵀAV − (VᵀAV)ᵀ‖/‖VᵀAV‖ on the space V that was grown: of the order of the dtype's rounding for a
    symmetric matrix, and not a matter of luck, as few random probes are. It is nan after a single product.
    """

    values: Float[np.ndarray, "pair"]
    residuals: Float[np.ndarray, "pair"]
    converged: Bool[np.ndarray, "pair"]
    ranks: Int[np.ndarray, "pair"]
    vectors: Float[Tensor, "pair dimension"]
    products: int
    tolerance: float
    asymmetry: float

    def to_frame(self) -> pd.DataFrame:
        """One row per pair: rank, eigenvalue, residual, converged, products."""
        return pd.DataFrame(
            {
                "rank": self.ranks,
                "eigenvalue": self.values,
                "residual": self.residuals,
                "converged": self.converged,
                "products": self.products,
            }
        )


@dataclass(frozen=True, eq=False)
class Ritz:
    """The wanted pairs as they stand after ``products`` products: fewer than asked for while the space is smaller.

    ``size`` is the largest |eigenvalue| seen so far, the unit of the tolerance.
    """

    products: int
    ranks: Int[np.ndarray, "pair"]
    values: Float[np.ndarray, "pair"]
    residuals: Float[np.ndarray, "pair"]
    size: float

    @property
    def worst(self) -> float:
        """The largest residual relative to ``size``."""
        return float(self.residuals.max()) / (self.size or 1.0)
