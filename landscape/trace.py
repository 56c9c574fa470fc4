"""The trace of an operator from random quadratic forms (Hutchinson 1990).

    tr A ≈ (1/m) Σ_k z_kᵀ A z_k,     entries of z_k ±1 with equal probability

Unbiased. One form varies by 2 Σ_{i≠j} A_ij² (Rademacher signs leave the diagonal exact), so the standard error falls as
1/√m whatever the dimension; it is estimated from the spread of the m forms themselves.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float

from .operators import Operator, rademacher


@dataclass(frozen=True)
class TraceEstimate:
    """An estimated trace, its standard error over probes, and the number of probes."""

    value: float
    stderr: float
    probes: int

    def to_frame(self) -> pd.DataFrame:
        """One row: trace, stderr, probes."""
        return pd.DataFrame({"trace": [self.value], "stderr": [self.stderr], "probes": [self.probes]})


def trace(
    operator: Operator, *, probes: int = 30, seed: int = 0, progress: Callable[[int], object] | None = None
) -> TraceEstimate:
    """Estimate the trace of ``operator`` with ``probes`` products.

    Choose ``probes`` by the standard error wanted: four times as many halve it. ``progress(1)`` is called after each
    product. Raises ValueError for fewer than two probes, which have no spread.
    """
    check_probes(probes)
    generator = torch.Generator().manual_seed(seed)
    forms = np.empty(probes)
    for probe in range(probes):
        signs = rademacher(operator, generator)
        forms[probe] = float(signs @ (operator @ signs))
        if progress:
            progress(1)
    return from_forms(forms)


def from_forms(forms: Float[np.ndarray, "probe"]) -> TraceEstimate:
    """The estimate from the quadratic forms z_kᵀ A z_k."""
    return TraceEstimate(float(forms.mean()), float(forms.std(ddof=1) / len(forms) ** 0.5), len(forms))


def check_probes(probes: int) -> None:
    """Raise ValueError for fewer than two probes."""
    if probes < 2:
        raise ValueError(f"probes must be at least 2 to have a standard error, got {probes}")
