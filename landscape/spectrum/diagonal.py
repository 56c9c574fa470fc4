"""The diagonal of an operator from products with random signs.

    diag A ≈ (1/m) Σ_k z_k ⊙ A z_k,     entries of z_k ±1 with equal probability     (Bekas, Kokiopoulou, Saad 2007)

For signs z ⊙ z = 1, so the quotient of their equation, Σ z ⊙ Az over Σ z ⊙ z, is this mean, and unbiased. Entry i of
one sample varies by Σ_{j≠i} A_ij², the rest of its row: the standard error falls as 1/√m, and small entries beside
large off-diagonal ones are the last to be known. The entries of one estimate share their probes; their sum is
Hutchinson's estimate of the trace, whose error :func:`landscape.spectrum.trace` gives.
"""

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from ..curvature import Operator, products, rademacher
from ..displayed import Displayed
from .trace import check_probes


@dataclass(frozen=True, eq=False)
class DiagonalEstimate(Displayed):
    """An estimated diagonal, each entry's standard error over probes, and the number of probes."""

    value: Float[Tensor, " dimension"]
    stderr: Float[Tensor, " dimension"]
    probes: int

    def to_frame(self) -> pd.DataFrame:
        """One row per entry: entry, diagonal, stderr."""
        value, stderr = self.value.cpu().numpy(), self.stderr.cpu().numpy()
        return pd.DataFrame({"entry": range(len(value)), "diagonal": value, "stderr": stderr})


def diagonal(
    operator: Operator,
    *,
    probes: int = 30,
    seed: int = 0,
    block: int = 1,
    progress: Callable[[int], object] | None = None,
) -> DiagonalEstimate:
    """Estimate the diagonal of ``operator`` with ``probes`` products.

    Each entry lies within ± t standard errors in 95 % of cases, t being Student's with probes − 1 degrees of freedom
    (1.96 from some 20 probes on). Beyond that the claim is about one entry at a time: of many, 5 % will be outside. An
    entry whose row holds a single other of any size is sampled at two points only, and about one time in 2^(probes − 1)
    both its error and its standard error are wrong. Memory is four vectors, and two for each of ``block`` probes that
    share one product. ``progress(k)`` is called after every k products. Raises ValueError for fewer than two probes,
    and for a block below 1.
    """
    check_probes(probes, block)
    generator = torch.Generator().manual_seed(seed)
    mean = torch.zeros(operator.dimension, dtype=operator.dtype, device=operator.device)
    squares = torch.zeros_like(mean)
    for begin in range(0, probes, block):
        signs = [rademacher(operator, generator) for _ in range(begin, min(begin + block, probes))]
        for probe, (sign, product) in enumerate(zip(signs, products(operator, signs), strict=True), begin + 1):
            sample = sign * product
            change = sample - mean  # Welford 1962: no difference of large sums
            mean += change / probe
            squares += change * (sample - mean)
        if progress:
            progress(len(signs))
    return DiagonalEstimate(mean, (squares / (probes * (probes - 1))).sqrt(), probes)
