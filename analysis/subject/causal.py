"""Whether what a network says at a step depends on steps up to it alone, found out by numbers."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from models.perturbation import Site

_ROUNDING = 1e-4


def same(one: Tensor, other: Tensor) -> bool:
    """Whether two outputs are the same but for other rounding, in units of the largest number."""
    size = float(other.abs().max()) if other.numel() and other.isfinite().all() else 1.0
    return one.shape == other.shape and torch.allclose(one, other, rtol=0, atol=_ROUNDING * size, equal_nan=True)


def causal_inside(run: Callable[[], Tensor], output: Tensor, time: int, sites: Sequence[Site]) -> bool:
    """Whether ``output`` at all steps but the last stays when every spike of the last step is another.

    ``run`` makes the pass again; ``time`` is the output's axis of time.
    """
    steps = output.shape[time]
    hooks = [site.module.register_forward_hook(_flipping(site, steps)) for site in sites]
    try:
        other = run()
    finally:
        for hook in hooks:
            hook.remove()
    return steps == 1 or same(other.narrow(time, 0, steps - 1), output.narrow(time, 0, steps - 1))


def _flipping(site: Site, steps: int) -> Callable[..., Any]:
    """What replaces the spikes of the last step, of a layer that is called once a step or once for all of them.

    Of a layer that folds steps and images into one axis nothing is replaced.
    """
    called, calls = 0, len(site.calls)

    def change(_module: nn.Module, _arguments: tuple[Any, ...], returned: Any) -> Any:
        nonlocal called
        called += 1
        spikes: Tensor = returned if isinstance(returned, Tensor) else returned[0]
        if site.time is not None:
            last = spikes.narrow(site.time, steps - 1, 1)
            spikes = torch.cat([spikes.narrow(site.time, 0, steps - 1), 1 - last], site.time)
        elif calls >= steps and called > calls * (steps - 1) // steps:
            spikes = 1 - spikes
        return spikes if isinstance(returned, Tensor) else (spikes, *returned[1:])

    return change
