"""What it is in a model that keeps a state, or draws at random: named, once it is known that something does."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .batches import Batch
from .checksum import checksum
from .evaluation import Evaluation

Losses = Callable[[Batch], Tensor]


def kept_by(evaluation: Evaluation, losses: Losses, batch: Batch) -> str:
    """Which attribute of which module another pass changes."""
    with evaluation.evaluating() as model, evaluation.watching():
        losses(batch)
        before = _attributes(model)
        losses(batch)
        after = _attributes(model)
    changed = [place for place in after if after[place] != before.get(place)]
    return f" ({changed[0]})" if changed else ""


def _attributes(model: nn.Module) -> dict[str, int]:
    """A checksum of each module's buffers and attributes."""
    return {
        f"{key} of {_called(name, module)}": checksum([value])
        for name, module in model.named_modules()
        for key, value in [*module._buffers.items(), *vars(module).items()]
        if isinstance(value, Tensor | np.ndarray | int | float | list | tuple | dict)
        and key not in ("_parameters", "_buffers", "_modules", "training")
    }


def drawn_by(evaluation: Evaluation, losses: Losses, batch: Batch) -> str:
    """Which module draws at random, by the generators that its forward moves on."""
    drawing: list[str] = []
    states: dict[nn.Module, bytes] = {}

    def before(module: nn.Module, *_: Any) -> None:
        states[module] = generators(evaluation)

    def after(name: str) -> Callable[..., None]:
        def note(module: nn.Module, *_: Any) -> None:
            if states.get(module) != generators(evaluation):
                drawing.append(_called(name, module))

        return note

    with evaluation.evaluating() as model, evaluation.watching():
        modules = list(model.named_modules())
        hooks = [module.register_forward_pre_hook(before) for _, module in modules]
        hooks += [module.register_forward_hook(after(name)) for name, module in modules]
        whole = generators(evaluation)
        try:
            losses(batch)
        finally:
            for hook in hooks:
                hook.remove()
        drawn = whole != generators(evaluation)
    if drawing:
        return (
            f"{drawing[0]} draws at random in forward (dropout, noise, sampling): switch that off, or say check=False "
            "if it changes nothing"
        )
    if drawn:
        return "The loss or forward draws at random: switch that off"
    return (
        "No generator of torch's or NumPy's moves: look for one of the model's own, a clock, or a kernel that sums in "
        "any order"
    )


def generators(evaluation: Evaluation) -> bytes:
    """The states of the random generators that everybody shares."""
    states = [torch.get_rng_state().numpy().tobytes()]
    states.append(np.random.get_state(legacy=False)["state"]["key"].tobytes())  # noqa: NPY002
    states.append(str(np.random.get_state(legacy=False)["state"]["pos"]).encode())  # noqa: NPY002
    if evaluation.batches.device.type == "cuda":
        states.append(torch.cuda.get_rng_state(evaluation.batches.device).numpy().tobytes())
    return b"".join(states)


def _called(name: str, module: nn.Module) -> str:
    return f"module {name!r} ({type(module).__name__})" if name else f"the model ({type(module).__name__})"
