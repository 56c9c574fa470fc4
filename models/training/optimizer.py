"""The optimizers of training, and what a checkpoint knows of one: its rate and, for Adam, what it divides by.

    SGD     v ← β v + g,                   w ← w − η v                         (PyTorch's: no dampening)
    Adam    m ← β₁ m + (1 − β₁) g,         w ← w − η m / P,                    P = (1 − β₁ᵗ)(√(s/(1 − β₂ᵗ)) + ε)

with s the moving average of g² (Kingma, Ba 2015). P is the whole diagonal between the momentum m and the step, so it
has both bias corrections: the first one's is gone after some tens of steps. With weight decay c, g is the gradient of
the loss plus c·w.
"""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..checkpoint import Checkpoint, CheckpointError, naming
from ..validation import check
from .recipe import Config

_STATE = {"optimizer": {"state": dict, "param_groups": list[dict[str, Any]]}}
_GROUPS = {
    "adam": {"lr": float, "betas": list | tuple, "eps": float, "weight_decay": float},
    "sgd": {"lr": float, "momentum": float, "weight_decay": float},
}
_MOMENTS = {"step": Tensor, "exp_avg_sq": Tensor}


def build(config: Config, network: nn.Module) -> torch.optim.Optimizer:
    """The optimizer of a training run that begins."""
    common: dict[str, Any] = {"lr": config.learning_rate, "weight_decay": config.weight_decay}
    if config.optimizer == "sgd":
        return torch.optim.SGD(network.parameters(), momentum=config.momentum, **common)
    return torch.optim.Adam(network.parameters(), betas=(config.momentum, 0.999), fused=True, **common)


@dataclass(frozen=True, eq=False)
class Step:
    """How the weights of a checkpoint were last moved.

    ``learning_rate`` is that of the epoch that led to the weights; before the first epoch, that of the first.
    ``momentum`` is SGD's β or Adam's β₁. ``divisor`` is Adam's P, over the weights in the order of the network's
    parameters; None for SGD, and before Adam's first step.
    """

    optimizer: str
    learning_rate: float
    momentum: float
    weight_decay: float
    divisor: Float[Tensor, " dimension"] | None

    @classmethod
    def of(cls, checkpoint: Checkpoint, network: nn.Module | None = None) -> "Step":
        """Read it from ``checkpoint``, whose ``network`` is built where it isn't given.

        Raises CheckpointError naming the file and what is missing or doesn't fit.
        """
        with naming(checkpoint.path):
            return cls._of(checkpoint, network)

    @classmethod
    def _of(cls, checkpoint: Checkpoint, network: nn.Module | None) -> "Step":
        name = checkpoint.training.get("optimizer")
        if name not in _GROUPS:
            raise CheckpointError(f"training.optimizer is {name!r}, expected {' or '.join(_GROUPS)}")
        if checkpoint.resume is None:
            raise CheckpointError(
                "the optimizer's state is missing (no 'resume'), and with it learning rate, betas and second moments: "
                "train again with --snapshots, which keeps it"
            )
        try:
            check(checkpoint.resume, _STATE, "resume")
            groups = checkpoint.resume["optimizer"]["param_groups"]
            check(groups[0] if len(groups) == 1 else groups, _GROUPS[name], "resume.optimizer.param_groups")
        except ValueError as failure:
            raise CheckpointError(f"the optimizer's state can't be used: {failure}") from failure
        group, rates = groups[0], checkpoint.history.get("learning_rate")
        momentum = group["betas"][0] if name == "adam" else group["momentum"]
        divisor = _divisor(checkpoint, group, network) if name == "adam" else None
        rate = rates[-1] if rates else group["lr"]
        return cls(name, float(rate), float(momentum), float(group["weight_decay"]), divisor)


def _divisor(checkpoint: Checkpoint, group: dict[str, Any], network: nn.Module | None) -> Tensor | None:
    """Adam's P; None before its first step."""
    state = (checkpoint.resume or {})["optimizer"]["state"]
    if not state:
        return None
    first, second = group["betas"]
    parts = []
    for index, (name, weight) in enumerate((network or checkpoint.network()).named_parameters()):
        found = state.get(index)
        try:
            check(found, _MOMENTS, f"Adam's state of {name}")
        except ValueError as failure:
            raise CheckpointError(f"the optimizer's state can't be used: {failure}") from failure
        if found["exp_avg_sq"].shape != weight.shape:
            shapes = f"{list(found['exp_avg_sq'].shape)}, expected {list(weight.shape)}"
            raise CheckpointError(f"the optimizer's state can't be used: second moments of {name} have shape {shapes}")
        steps = float(found["step"])
        root = (found["exp_avg_sq"].double() / (1 - second**steps)).sqrt()
        parts.append(((1 - first**steps) * (root + group["eps"])).flatten())
    return torch.cat(parts)
