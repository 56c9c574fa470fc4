"""Weights rounded to few bits, filter by filter.

Uniform and symmetric, one scale a filter, no zero point (the usual choice for weights: Nagel et al. 2021, "A white
paper on neural network quantization")::

    Δ_f = max|w_f| / n,   n = 2^(bits−1) − 1          w ← Δ_f · round(w / Δ_f)

which leaves 2n + 1 = 2^bits − 1 levels, so that 0 is one and ±max|w_f| are two, and moves no weight by more than Δ_f/2.
Halves are rounded to even. What is easily got wrong is n: 2^bits levels do not fit symmetrically, and without the −1
the largest weight would be clipped.

A filter is a slice along dimension 0, as in :mod:`landscape.surfaces.directions`; parameters with fewer than two
dimensions, which are biases and BatchNorm's, stay as they are, and so do BatchNorm's statistics. Nothing is trained or
calibrated afterwards. Rescaling a filter rescales its levels.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from ..objective import Parameters

FEWEST, MOST = 2, 16


def rounded(parameters: Parameters, bits: int) -> Float[Tensor, " dimension"]:
    """The present weights with each filter rounded to ``bits`` bits, sign included; nothing is assigned.

    Rounding is in float64, and rounding what was rounded changes nothing. A filter of zeros stays. Raises ValueError
    for ``bits`` outside 2 … 16 and for weights that are not finite, or complex.
    """
    if not FEWEST <= bits <= MOST:
        raise ValueError(f"weights can be rounded to {FEWEST} … {MOST} bits, got {bits}")
    if not parameters.vector().isfinite().all():
        raise ValueError("the weights hold NaN or infinity: nothing can be rounded to their scale")
    parameters.check_real("rounding")
    steps = 2 ** (bits - 1) - 1
    return parameters.flatten([_rounded(weight, steps) for weight in parameters.tensors])


def _rounded(weight: Tensor, steps: int) -> Tensor:
    if weight.ndim < 2:
        return weight.detach()
    rows = weight.detach().cpu().double().flatten(1)
    largest = rows.abs().amax(dim=1, keepdim=True)
    levels = (rows / torch.where(largest > 0, largest, 1.0) * steps).round()
    return (levels / steps * largest).to(weight.dtype).to(weight.device).view_as(weight)
