"""What a step lowers: a phase's loss of each image, and what of it is a term of the weights.

TRT (arXiv 2506.19256) decays the weights, at every step t = 0 … T−1 of the network by another amount, large ones less
as t grows::

    R = (1/T) Σ_t Σ_θ λ θ² / (1 + (e^{δt} − 1)(|θ| + ε))            ε = 1e-5

over all parameters but biases (BatchNorm's weights are among them), as in the authors' code. At δ = 0 it is λ‖θ‖².
"""

from collections.abc import Callable
from math import expm1

from jaxtyping import Float
from torch import Tensor, nn

from .. import code
from ..losses import OBJECTIVES
from .recipe import Config
from .usual import usual_weight

_EPSILON = 1e-5


def objective(config: Config, loss: str, network: nn.Module) -> Callable[[Tensor, Tensor], Tensor]:
    """The function of outputs and labels that a phase with ``loss`` lowers the mean of: one value an image.

    A loss of the user's own is taken as it is, without regulariser and label smoothing.
    """
    settings = {
        "mse_weight": config.mse_weight if loss == config.loss else usual_weight(loss, config.data),
        "mse_target": config.mse_target,
        "label_smoothing": config.label_smoothing,
    }

    if loss not in OBJECTIVES:
        return code.function(code.parse(loss))

    def each(output: Tensor, labels: Tensor) -> Tensor:
        if loss != "trt":
            return OBJECTIVES[loss](output, labels, reduction="none", **settings)
        of_images = OBJECTIVES[loss](output, labels, reduction="none", eta=config.trt_eta, **settings)
        return of_images + weight_term(network, len(output), decay=config.trt_lambda, delta=config.trt_delta)

    return each


def weight_term(network: nn.Module, timesteps: int, *, decay: float, delta: float) -> Float[Tensor, ""]:
    """R of the network's parameters, for T = ``timesteps``; ``decay`` is λ and ``delta`` δ."""
    parts = []
    for name, weight in network.named_parameters():
        if "bias" not in name:
            size = weight.abs() + _EPSILON
            parts += [(weight.square() / (1 + expm1(delta * step) * size)).sum() for step in range(timesteps)]
    return sum(parts, next(network.parameters()).new_zeros(())) * (decay / timesteps)
