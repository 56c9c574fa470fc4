"""Where the neurons of other libraries keep their thresholds and decays, and how each neuron is given its own.

=============  ====================================  ==============================================================
library        threshold                             decay, of what is left of a state after a step without input
=============  ====================================  ==============================================================
SpikingJelly   v_threshold                           1 − 1/tau (LIFNode), 1 − sigmoid(w) (ParametricLIFNode)
snnTorch       threshold                             beta, and alpha of the synaptic current
Norse          p.v_th                                1 − dt · p.tau_mem_inv, and 1 − dt · p.tau_syn_inv
anyone's       threshold, v_threshold, v_th, thresh  decay, beta, where it is a number in [0, 1]
=============  ====================================  ==============================================================

SpikingJelly's and Norse's neurons take their input through the same leak: another decay scales it too, as it does in
hardware with another time constant. SpikingJelly's kernels take one threshold for all; its plain loop, which it runs
for a surrogate it has no kernel for, takes one for each neuron. snnTorch's Alpha ties its decays together: none.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

_THRESHOLDS = ("threshold", "v_threshold", "v_th", "thresh", "p.v_th", "p.lif.v_th")
_LEAKY = ("LIFNode", "SimpleLIFNode")
Change = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Setting:
    """An attribute of a neuron, ``place``; ``meant`` is what it stands for, ``stored`` how that is kept there."""

    place: str
    meant: Change
    stored: Change


def threshold(module: nn.Module) -> Setting | None:
    """Where its threshold is; None where none is known."""
    found = [place for place in _THRESHOLDS if _number(module, place) is not None]
    return Setting(found[0], _same, _same) if found else None


def decays(module: nn.Module) -> list[Setting]:
    """Where its decays are."""
    kinds = {kind.__module__.partition(".")[0]: kind.__name__ for kind in reversed(type(module).__mro__)}
    names = {kind.__name__ for kind in type(module).__mro__}
    found: dict[str, tuple[Change, Change]] = {}
    if "spikingjelly" in kinds:
        found |= {"tau": (_of_tau, _to_tau)} if names & {*_LEAKY} else {}
        found |= {"w": (_of_w, _to_w)} if "ParametricLIFNode" in names else {}
    elif "norse" in kinds:
        dt = float(getattr(module, "dt", 0.001))
        for place in (f"{before}.tau_{kind}_inv" for before in ("p", "p.lif") for kind in ("mem", "syn")):
            found[place] = partial(_of_rate, dt), partial(_to_rate, dt)
    elif "snntorch" in kinds:
        found |= {name: (_clipped, _same) for name in ("beta", "alpha") if kinds["snntorch"] != "Alpha"}
    else:
        share = [name for name in ("decay", "beta") if _is_share(_number(module, name))]
        found |= dict.fromkeys(share[:1], (_same, _same))
    return [Setting(place, *pair) for place, pair in found.items() if _number(module, place) is not None]


def value(module: nn.Module, setting: Setting) -> Tensor:
    """What the attribute stands for, in float64."""
    number = _number(module, setting.place)
    if number is None:
        raise ValueError(f"{type(module).__name__} has no {setting.place}")
    return setting.meant(number.double())


@contextmanager
def given(module: nn.Module, values: list[tuple[Setting, Tensor]], like: Tensor) -> Iterator[None]:
    """In here the attributes are tensors that stand for ``values``, as ``like`` in dtype and on its device.

    Given back after, the very same objects.
    """
    replaced = {setting.place.partition(".")[0] for setting, _ in values} | {"surrogate_function"}
    places: list[dict[str, Any]] = [vars(module), module._parameters, module._buffers, module._modules]
    held = [dict(place) for place in places]
    try:
        for setting, numbers in values:
            name, _, rest = setting.place.partition(".")
            whole = _replaced(getattr(module, name), rest, setting.stored(numbers.double()).to(like))
            for register in places[1:]:
                register.pop(name, None)
            vars(module)[name] = whole
        if (surrogate := module._modules.get("surrogate_function")) is not None:
            module._modules["surrogate_function"] = _Plain(surrogate)
        yield
    finally:
        for place, before in zip(places, held, strict=True):
            now = {name: value for name, value in place.items() if name not in replaced}
            place.clear()
            place.update({name: now.get(name, value) for name, value in before.items()} | now)


def _replaced(held: Any, place: str, number: Tensor) -> Any:
    if not place:
        return number
    name, _, rest = place.partition(".")
    return held._replace(**{name: _replaced(getattr(held, name), rest, number)})


def _number_of(held: Any, place: str) -> Any:
    for name in filter(None, place.split(".")):
        if not hasattr(held, name) or not hasattr(held, "_replace"):
            return None
        held = getattr(held, name)
    return held


def _number(module: nn.Module, place: str) -> Tensor | None:
    name, _, rest = place.partition(".")
    found = _number_of(getattr(module, name, None), rest)
    if isinstance(found, bool) or not isinstance(found, int | float | Tensor):
        return None
    return found.detach() if isinstance(found, Tensor) else torch.tensor(float(found), dtype=torch.float64)


def _is_share(number: Tensor | None) -> bool:
    return number is not None and bool(((number >= 0) & (number <= 1)).all())


def _same(number: Tensor) -> Tensor:
    return number


def _clipped(number: Tensor) -> Tensor:
    return number.clamp(0, 1)


def _of_tau(tau: Tensor) -> Tensor:
    return 1 - 1 / tau


def _to_tau(decay: Tensor) -> Tensor:
    return 1 / (1 - decay)


def _of_rate(dt: float, rate: Tensor) -> Tensor:
    return 1 - dt * rate


def _to_rate(dt: float, decay: Tensor) -> Tensor:
    return (1 - decay) / dt


def _of_w(w: Tensor) -> Tensor:
    return 1 - w.sigmoid()


def _to_w(decay: Tensor) -> Tensor:
    return torch.logit(1 - decay)


class _Plain(nn.Module):
    """A surrogate that no kernel knows."""

    def __init__(self, surrogate: nn.Module):
        super().__init__()
        self.surrogate = surrogate

    def forward(self, membrane: Tensor) -> Tensor:
        """Spikes."""
        found: Tensor = self.surrogate(membrane)
        return found
