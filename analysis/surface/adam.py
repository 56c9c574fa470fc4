"""The direction of Adam's next step at a checkpoint: −m̂/(√v̂ + ε) (Kingma and Ba 2015, algorithm 1).

m̂ = m/(1 − β₁ᵏ) and v̂ = v/(1 − β₂ᵏ) are the bias-corrected moving averages of the gradient and of its square after k
steps. Where a checkpoint holds an optimizer without them (SGD), or none, they are replaced by what they tend to when
the weights stand still: mean and mean square of the batches' gradients, a batch of B images counting B/N. From a single
batch that is no more than the sign of its gradient.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from landscape.objective import Objective
from models.checkpoint import Checkpoint

_EPSILON = 1e-8


def adam_step(checkpoint: Checkpoint, objective: Objective) -> tuple[Float[Tensor, " dimension"], str]:
    """The direction over ``objective.parameters``, and where it comes from: "optimizer" or "gradients".

    Raises ValueError where the optimizer's state does not fit the weights, and where the direction is zero.
    """
    held = _held(checkpoint, objective)
    first, second, epsilon = held or _measured(objective)
    step = -first / (second.sqrt() + epsilon)
    if not (step.isfinite().all() and step.any()):
        raise ValueError("Adam's step is zero or not finite at these weights: it gives no direction")
    return step, "optimizer" if held else "gradients"


def _held(checkpoint: Checkpoint, objective: Objective) -> tuple[Tensor, Tensor, float] | None:
    """m̂, v̂ and ε of the optimizer's state, which numbers the network's parameters in their order."""
    state: dict[str, Any] = (checkpoint.resume or {}).get("optimizer") or {}
    moments = state.get("state", {})
    if not any("exp_avg_sq" in each for each in moments.values()):
        return None
    group, weights = state["param_groups"][0], objective.parameters
    numbers = {id(weight): number for number, weight in enumerate(objective.model.parameters())}
    parts = []
    for weight in weights.tensors:
        found = moments.get(numbers[id(weight)], {})
        if any(name not in found or found[name].shape != weight.shape for name in ("exp_avg", "exp_avg_sq")):
            raise ValueError("the checkpoint's optimizer state does not fit its network: it was altered")
        steps = float(found["step"])
        corrected = [
            found[name] / (1 - beta**steps)
            for name, beta in zip(("exp_avg", "exp_avg_sq"), group["betas"], strict=True)
        ]
        parts.append([part.to(weights.device, weights.dtype) for part in corrected])
    first, second = (weights.flatten(each) for each in zip(*parts, strict=True))
    return first, second, group["eps"]


def _measured(objective: Objective) -> tuple[Tensor, Tensor, float]:
    """Mean and mean square of the gradient over the objective's batches."""
    weights = objective.parameters
    first, second = (torch.zeros_like(weights.vector()) for _ in range(2))
    for share, inputs, target in objective.batches():
        batch = Objective(
            objective.model, objective.loss, [(inputs, target)], parameters=weights, mode=objective.mode, check=False
        )
        gradient = batch.gradient()
        first += share * gradient
        second += share * gradient.square()
    return first, second, _EPSILON
