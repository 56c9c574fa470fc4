"""What a step lowers: a phase's loss of each image, and what of it is a term of the weights.

TRT (arXiv 2506.19256) decays the weights, at every step t = 0 … T−1 of the network by another amount, large ones less
as t grows::

    R = (1/T) Σ_t Σ_θ λ θ² / (1 + (e^{δt} − 1)(|θ| + ε))            ε = 1e-5

over all parameters but biases (BatchNorm's weights are among them), as in the authors' code. At δ = 0 it is λ‖θ‖².
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from math import expm1
from pathlib import Path
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from .. import code
from ..losses import OBJECTIVES
from . import phases
from .recipe import Config, timeline
from .usual import usual_weight

_EPSILON = 1e-5
Function = Callable[[Tensor, Tensor], Tensor]
_NEEDED = ("mse_weight", "mse_target", "label_smoothing")


def recorded(training: Mapping[str, Any], network: nn.Module, granted: Sequence[str] = ()) -> tuple[str, Function]:
    """The loss that a checkpoint with this ``training`` came from, and its objective (:func:`objective`).

    With phases it is that of the phase of its last epoch, of an untrained one the first. ``granted`` is what it may run
    of the user's own code (:mod:`models.code`). Raises ValueError where ``training`` doesn't say, CodeError for code
    that isn't granted.
    """
    known = {field.name for field in fields(Config)}
    config = Config(out=Path(), **{name: value for name, value in training.items() if name in known})
    parts = timeline(config)
    loss = parts[phases.at(parts, max(1, training.get("epochs_done", 1)))].loss
    if code.is_code(loss):
        own = code.parse(loss)
        return loss, code.function(code.granted(own, code.recorded_digest(training.get("code"), own.where), granted))
    if loss not in OBJECTIVES:
        raise ValueError(f"trained with {loss}, so its objective is unknown")
    if missing := [name for name in _NEEDED if name not in training]:
        raise ValueError(f"training lacks {', '.join(missing)}, so its objective is unknown")
    return loss, objective(config, loss, network)


def objective(config: Config, loss: str, network: nn.Module) -> Function:
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
