"""Whether neurons can be given thresholds or decays of their own: found out by numbers, before that is relied on.

A layer whose neurons have values of their own must give, at each of a few places, what the layer gives there when all
of it has that place's value; and it must give something else than as it was found. So a library that takes one value
for all, an attribute that nothing reads and neurons that see each other's spikes are told apart from what works. The
layer is called as it was in a clean pass, with currents drawn around its threshold instead, and handed on its state.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from ..neurons.lif import LIF
from . import settings
from .settings import Setting
from .sites import Site, first

_PLACES, _SPREAD, _TIMES, _DRAWS = 3, 0.7, (-3.0, 3.0), 16
_NOTHING = "changes nothing"


def why_not(site: Site, kind: Literal["threshold", "decay"], reset: Callable[[], object]) -> str:
    """Why the layer's neurons can't have thresholds or decays of their own; empty where they can.

    Call it without gradients, inside what gives the network back; ``reset`` clears its state.
    """
    if isinstance(site.module, LIF):
        return ""
    level = settings.threshold(site.module)
    one = settings.decays(site.module) if kind == "decay" else [level] if level else []
    if not one:
        return f"no {kind} is known of {site.title}"
    size = float(settings.value(site.module, level).abs().mean()) if level else 1.0
    for setting in one:
        try:
            for seed in range(_DRAWS):  # few neurons of few steps may fire alike by chance
                fails = _fails(site, setting, _currents(site, size, seed), kind, reset)
                if not fails.endswith(_NOTHING):
                    break
        except (RuntimeError, TypeError, ValueError, AttributeError, NotImplementedError) as error:
            return f"{site.title} takes one {setting.place} for all of its neurons ({_short(error)})"
        if fails:
            return f"{site.title}: {fails}"
    return ""


def _short(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0][:100]


def _currents(site: Site, threshold: float, seed: int) -> list[Tensor]:
    """For each call of the clean pass an input in its shape, from far below to far above the threshold."""
    generator, found = np.random.default_rng(seed), []
    for arguments, keywords in site.calls:
        like = arguments[0] if arguments else next(iter(keywords.values()))
        times = np.exp(generator.uniform(*_TIMES, size=tuple(like.shape)))
        found.append(torch.from_numpy(threshold * times).to(like))
    return found


def _fails(site: Site, setting: Setting, currents: Sequence[Tensor], kind: str, reset: Callable[[], object]) -> str:
    normal = torch.from_numpy(np.random.default_rng(1).standard_normal(site.shape))
    value = settings.value(site.module, setting).cpu()
    values = value * (_SPREAD * normal).exp() if kind == "threshold" else (value * (1 + _SPREAD * normal)).clamp(0, 1)
    before = _played(site, [], currents, reset)
    own = _played(site, [(setting, values)], currents, reset)
    if before.equal(own):
        return f"another {setting.place} {_NOTHING}"
    flat, places = values.flatten(), _by_place(own, site)
    for place in np.random.default_rng(2).permutation(flat.numel())[:_PLACES]:
        alike = _played(site, [(setting, flat[int(place)].clone())], currents, reset)
        if not _by_place(alike, site)[:, place].equal(places[:, place]):
            return f"a neuron with a {setting.place} of its own isn't what it is in a layer where all have it"
    return ""


def _by_place(outputs: Tensor, site: Site) -> Tensor:
    """[whatever, neuron] of outputs stacked over calls."""
    lead = [1 + axis for axis in (site.axis, site.time) if axis is not None]
    moved = outputs.movedim(lead, [1 + place for place in range(len(lead))])
    return moved.flatten(1 + len(lead)).flatten(0, len(lead)) if site.shape else moved.reshape(-1, 1)


def _played(
    site: Site, values: list[tuple[Setting, Tensor]], currents: Sequence[Tensor], reset: Callable[[], object]
) -> Tensor:
    """What the layer gives when it is called as in the clean pass, but for its currents, [call, …]."""
    reset()
    outputs: list[Tensor] = []
    with settings.given(site.module, values, site.like):
        returned: Any = None
        for (arguments, keywords), current in zip(site.calls, currents, strict=True):
            states = _states(returned, arguments[1:])
            returned = _called(site.module, current, states, arguments, keywords)
            spikes = first(returned)
            if spikes is None:
                raise TypeError("its output is no tensor")
            outputs.append(spikes)
    reset()
    return torch.stack(outputs)


def _states(returned: Any, found: tuple[Any, ...]) -> tuple[Any, ...]:
    """The state that a layer is given next: what it returned, or, where that isn't it, what it was given before."""
    handed = tuple(returned[1:]) if isinstance(returned, tuple | list) else ()
    return handed if len(handed) == len(found) else found


def _called(
    module: nn.Module, current: Tensor, states: tuple[Any, ...], arguments: tuple[Any, ...], keywords: dict[str, Any]
) -> Any:
    if arguments:
        return module(current, *states, **keywords)
    return module(**{**keywords, next(iter(keywords)): current})
