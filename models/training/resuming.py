"""What a run needs to go on where it stopped: states of optimizer, learning rate and generator, kept and put back."""

from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..checkpoint import Checkpoint

Schedule = torch.optim.lr_scheduler.LRScheduler


def states(optimizer: torch.optim.Optimizer, schedule: Schedule, generator: torch.Generator) -> dict[str, Any]:
    """The states, as a checkpoint's ``resume`` holds them."""
    return {
        "optimizer": optimizer.state_dict(),
        "schedule": schedule.state_dict(),
        "generator": generator.get_state(),
    }


def weights(network: nn.Module) -> dict[str, torch.Tensor]:
    """A copy of the network's state on the CPU."""
    return {name: value.detach().cpu().clone() for name, value in network.state_dict().items()}


def restore(
    previous: Checkpoint,
    path: Path,
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    schedule: Schedule,
    generator: torch.Generator,
) -> None:
    """Put all back as it was in ``previous``, which was read from ``path``.

    Raises ValueError for states that are damaged.
    """
    network.load_state_dict(previous.state_dict)
    held = previous.resume or {}
    try:
        optimizer.load_state_dict(held["optimizer"])
        schedule.load_state_dict(held["schedule"])
        generator.set_state(held["generator"])
    except (AttributeError, KeyError, RuntimeError, TypeError, ValueError) as failure:
        said = f"holds a damaged training state ({type(failure).__name__}: {failure})"
        raise ValueError(f"{path} {said}: choose another --out") from failure
