"""Norms of the weights, and how far they lie from where training began.

With W_1 … W_d the weight matrices of the layers (filters of a convolution as rows; no biases, no BatchNorm), W⁰ what
they were at the start, ‖·‖_F the Frobenius and ‖·‖₂ the spectral norm, the measures of Jiang, Neyshabur, Mobahi,
Krishnan, Bengio 2020 (ICLR, appendix C.3 and C.4) that need no margin, by their names:

    param_norm       Σ ‖W_i‖_F²                     sum_of_fro     d (Π ‖W_i‖_F²)^{1/d}
    fro_dist         Σ ‖W_i − W⁰_i‖_F²              sum_of_spec    d (Π ‖W_i‖₂²)^{1/d}
    dist_spec_init   Σ ‖W_i − W⁰_i‖₂²               fro_over_spec  Σ ‖W_i‖_F²/‖W_i‖₂²

sum_of_fro and sum_of_spec order networks of one depth as the products do, without overflowing. And one that doesn't
change when weights before a BatchNorm are rescaled, as all of those do:

    filter_turn      root mean square over filters of ‖w_f/‖w_f‖ − w⁰_f/‖w⁰_f‖‖,     2 sin(θ/2) for a turn by θ

Easy to get wrong: ‖W‖₂ is that of the matrix [filter, in · height · width], not of the convolution as an operator on
images, which is at most √(height · width) times larger (Tsuzuku, Sato, Sugiyama 2018). These are exact: no error. Jiang
et al. and Dziugaite et al. 2020 fold BatchNorm into the weights first; here the weights are those that are trained.
"""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from ..objective import Parameters

UNSCALED = frozenset({"filter_turn"})
FROM_START = ("fro_dist", "dist_spec_init", "filter_turn")


def norms(parameters: Parameters, start: Sequence[Tensor] | None = None) -> dict[str, float]:
    """The measures above by name. ``start`` is W⁰, a tensor for each parameter; without it those of it are nan.

    A filter whose weights are all zero, now or at the start, has no direction and no part in filter_turn.

    Raises ValueError for a start of other shapes, for complex weights, and where there is no weight matrix.
    """
    parameters.check_real("a layer's norm")
    now = _matrices(parameters, parameters.tensors)
    fro, spec = (torch.tensor([_norm(weight, kind) ** 2 for weight in now], dtype=torch.float64) for kind in ("fro", 2))
    found = {
        "param_norm": float(fro.sum()),
        "sum_of_fro": _sum_of(fro),
        "sum_of_spec": _sum_of(spec),
        "fro_over_spec": float((fro / spec).sum()),
    }
    return found | _from_start(now, None if start is None else _matrices(parameters, start))


def squared_distance(parameters: Parameters, start: Sequence[Tensor] | None = None) -> float:
    """‖w − w₀‖² over all parameters, biases and BatchNorm's too; ‖w‖² without a ``start``."""
    parameters.check_real("the distance from the start")
    pairs = zip(parameters.tensors, start or [torch.zeros_like(weight) for weight in parameters.tensors], strict=True)
    return sum(float((_double(weight) - _double(origin)).square().sum()) for weight, origin in pairs)


def _from_start(now: Sequence[Tensor], start: Sequence[Tensor] | None) -> dict[str, float]:
    if start is None:
        return dict.fromkeys(FROM_START, math.nan)
    pairs = list(zip(now, start, strict=True))
    turns = torch.cat([_turns(weight, origin) for weight, origin in pairs])
    return {
        "fro_dist": sum(_norm(weight - origin, "fro") ** 2 for weight, origin in pairs),
        "dist_spec_init": sum(_norm(weight - origin, 2) ** 2 for weight, origin in pairs),
        "filter_turn": float(turns.square().mean().sqrt()),
    }


def _turns(weight: Float[Tensor, "filter entry"], origin: Float[Tensor, "filter entry"]) -> Float[Tensor, " kept"]:
    """‖w_f/‖w_f‖ − w⁰_f/‖w⁰_f‖‖ of every filter that has a direction."""
    lengths = [side.norm(dim=1, keepdim=True) for side in (weight, origin)]
    kept = (lengths[0] * lengths[1]).squeeze(1) > 0
    return (weight / lengths[0] - origin / lengths[1])[kept].norm(dim=1)


def _matrices(parameters: Parameters, tensors: Sequence[Tensor]) -> list[Float[Tensor, "filter entry"]]:
    shapes = [[tuple(tensor.shape) for tensor in side] for side in (tensors, parameters.tensors)]
    if shapes[0] != shapes[1]:
        raise ValueError("the start must hold one tensor for each parameter, of its shape")
    found = [_double(tensor).flatten(1) for tensor in tensors if tensor.ndim > 1]
    if not found:
        raise ValueError("no weight matrix: these are norms of layers")
    return found


def _double(weight: Tensor) -> Tensor:
    return weight.detach().cpu().double()


def _norm(matrix: Float[Tensor, "filter entry"], kind: int | str) -> float:
    return float(torch.linalg.matrix_norm(matrix, kind))


def _sum_of(squares: Float[Tensor, " layer"]) -> float:
    """d (Π squares)^{1/d}, by logarithms."""
    return len(squares) * float(squares.log().mean().exp())
