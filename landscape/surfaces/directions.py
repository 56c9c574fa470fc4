"""Directions in weight space that mean the same in differently scaled networks.

A Gaussian direction d is rescaled filter by filter, d_f ← d_f · ‖w_f‖/‖d_f‖, so that a step of length α changes every
filter by the fraction α of its own norm (Li et al. 2018, NeurIPS, "Visualizing the loss landscape of neural nets",
section 4). A filter is a slice along dimension 0: an output channel of a convolution, a row of a linear layer. (In a
transposed convolution dimension 0 is the input channel, and that is what is used there.) Parameters with fewer than
two dimensions, which are biases and BatchNorm's γ and β, stay where they are unless asked for.

The same scaling as coordinates: w + D·ν with D the root mean square of each weight's filter, ‖w_f‖/√|f|, so that D·ν
with standard normal ν has on average the filter's norm: E‖D ν‖² = ‖w_f‖². The √|f| is what is easily forgotten.
Multiplying a filter by c multiplies its part of d and D by c, hence nothing measured in these units changes when
BatchNorm makes the filter's scale irrelevant.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from ..objective import Parameters, as_reals

NORMALIZATIONS = ("filter", "layer", "none")


def random_direction(
    parameters: Parameters, *, seed: int, normalize: str = "filter", bias_and_norm: bool = False
) -> Float[Tensor, " dimension"]:
    """A Gaussian direction, normalised to the present weights.

    ``normalize`` is "filter" (each filter takes the norm of the weights' filter), "layer" (each parameter takes the
    norm of the whole parameter) or "none" (standard normal entries). With ``bias_and_norm`` biases and BatchNorm's
    parameters move too, each as one vector; otherwise their entries are zero. A filter whose weights are all zero has
    nothing to be measured by and does not move, except under "none".

    The numbers are drawn on the CPU in float64, so a seed means one direction on every device and in every dtype, and
    moving the biases or not leaves the other entries alone. Draw it on the weights as trained, before any folding of
    BatchNorm. Two seeds give nearly orthogonal directions, |cos| ≈ 1/√n; they are not orthogonalised.

    Raises ValueError for an unknown ``normalize``, for weights that are not finite, and when nothing would move.
    """
    if normalize not in NORMALIZATIONS:
        raise ValueError(f"normalize must be one of {', '.join(NORMALIZATIONS)}, got {normalize!r}")
    generator = torch.Generator().manual_seed(seed)
    parts = []
    for weight in parameters.tensors:
        part = torch.randn(_copy(weight).shape, generator=generator, dtype=torch.float64)
        if weight.ndim < 2 and not bias_and_norm:
            part.zero_()
        elif normalize != "none":
            part = _matching(part, weight, by_filter=normalize == "filter")
        parts.append(part)
    return _checked(parts, parameters)


def filter_scale(parameters: Parameters, *, bias_and_norm: bool = False) -> Float[Tensor, " dimension"]:
    """D: for each weight the root mean square of its filter, ‖w_f‖/√|f|; zero for what does not move.

    With ``bias_and_norm`` a bias or BatchNorm vector is one filter, otherwise its entries are zero. Raises ValueError
    for weights that are not finite and when every entry would be zero.
    """
    scales = []
    for weight in parameters.tensors:
        rows = _rows(_copy(weight), by_filter=True)
        scale = rows.square().mean(dim=1, keepdim=True).sqrt().expand_as(rows)
        scales.append(scale if weight.ndim > 1 or bias_and_norm else torch.zeros_like(rows))
    return _checked(scales, parameters)


def _copy(weight: Tensor) -> Tensor:
    """The weights as real numbers; a vector of complex ones is a vector still."""
    reals = as_reals(weight.detach()).cpu().double()
    return reals.reshape(-1) if weight.ndim == 1 else reals


def _rows(tensor: Tensor, *, by_filter: bool) -> Float[Tensor, "filter entry"]:
    return tensor.flatten(1) if by_filter and tensor.ndim > 1 else tensor.reshape(1, -1)


def _matching(part: Tensor, weight: Tensor, *, by_filter: bool) -> Tensor:
    """``part`` with each filter at the norm of the filter of ``weight``."""
    wanted = _rows(_copy(weight), by_filter=by_filter).norm(dim=1, keepdim=True)
    rows = _rows(part, by_filter=by_filter)
    return rows * (wanted / rows.norm(dim=1, keepdim=True))


def _checked(parts: list[Tensor], parameters: Parameters) -> Float[Tensor, " dimension"]:
    vector = torch.cat([part.reshape(-1) for part in parts])
    if not vector.isfinite().all():
        raise ValueError("the weights hold NaN or infinity: nothing can be scaled to them")
    if not vector.any():
        raise ValueError(
            "no weight would move: every weight matrix is zero or absent; pass bias_and_norm=True to move the others"
        )
    # The dtype first: some devices have no float64.
    return vector.to(parameters.dtype).to(parameters.device)
