"""What each of NIR's nodes is in torch, for [time, batch, …]."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import skip_init

from ..neurons.surrogate import Surrogate, spike

RESETS = ("set", "subtract")
INTEGRATIONS = ("euler", "exact")


@dataclass(frozen=True)
class Step:
    """How neurons are stepped: see :mod:`models.nir`."""

    dt: float
    reset: str
    integration: str
    surrogate: Surrogate
    detach_reset: bool


class Neurons(nn.Module):
    """LIF or IF neurons, each with constants of its own: v ← a v + b I, then spike and reset."""

    decay: Tensor
    gain: Tensor
    threshold: Tensor
    bottom: Tensor

    def __init__(self, node: Any, step: Step):
        super().__init__()
        self.step = step
        threshold, bottom = _numbers(node.v_threshold), _numbers(node.v_reset)
        decay, gain = self._constants(node)
        if not (threshold > 0).all():
            raise ValueError(f"v_threshold must be positive, got {float(threshold.min()):g}")
        if step.reset == "subtract" and bottom.any():
            raise ValueError(f"reset='subtract' is for a v_reset of 0, got {float(bottom.abs().max()):g}")
        if not (bottom < threshold).all():
            raise ValueError("v_reset must be less than v_threshold")
        for name, value in {"decay": decay, "gain": gain, "threshold": threshold, "bottom": bottom}.items():
            self.register_buffer(name, value.float())

    def _constants(self, node: Any) -> tuple[Tensor, Tensor]:
        """a and b."""
        dt, resistance = self.step.dt, _numbers(node.r)
        if type(node).__name__ == "IF":
            return torch.ones_like(resistance), resistance * dt
        tau, leak = _numbers(node.tau), _numbers(node.v_leak)
        if leak.any():
            raise ValueError(f"v_leak must be 0, where membranes begin, got {float(leak.abs().max()):g}")
        if not (tau >= (dt if self.step.integration == "euler" else 0)).all() or not (tau > 0).all():
            raise ValueError(f"tau must be positive, and with Euler's steps at least dt {dt}, got {tau.min():g}")
        decay = 1 - dt / tau if self.step.integration == "euler" else torch.exp(-dt / tau)
        return decay, resistance * (1 - decay)

    def forward(self, current: Float[Tensor, "time batch *shape"]) -> Float[Tensor, "time batch *shape"]:
        """Spikes for the ``current`` at every step. ValueError for another shape than the neurons'."""
        if current.shape[2:] != self.decay.shape:
            raise ValueError(f"expected [time, batch, *{list(self.decay.shape)}], got {list(current.shape)}")
        membrane = torch.zeros_like(current[0])
        spikes = []
        for given in current:
            membrane = self.decay * membrane + self.gain * given
            fired = spike(membrane - self.threshold, self.step.surrogate)
            spikes.append(fired)
            cut = fired.detach() if self.step.detach_reset else fired
            fall = self.threshold if self.step.reset == "subtract" else membrane - self.bottom
            membrane = membrane - cut * fall
        return torch.stack(spikes)


class _Same(nn.Module):
    def __init__(self, _node: Any, _step: Step):
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        return x


class _EachStep(nn.Module):
    """What one layer of torch's makes of every step's maps."""

    def __init__(self, layer: nn.Module):
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        output = self.layer(x.flatten(0, 1))
        return output.view(*x.shape[:2], *output.shape[1:])


class _SumPool(nn.Module):
    def __init__(self, kernel: tuple[int, ...], stride: tuple[int, ...], padding: tuple[int, ...]):
        super().__init__()
        self.kernel, self.stride, self.padding = kernel, stride, padding

    def forward(self, x: Tensor) -> Tensor:
        height, width = self.padding
        padded = functional.pad(x, (width, width, height, height))
        return functional.avg_pool2d(padded, self.kernel, self.stride, divisor_override=1)


def _linear(node: Any, _step: Step) -> nn.Module:
    weight = _numbers(node.weight)
    if weight.dim() != 2:
        raise ValueError(f"its weight must be a matrix, got {list(weight.shape)}")
    bias = _numbers(node.bias) if hasattr(node, "bias") else None
    layer = skip_init(nn.Linear, weight.shape[1], weight.shape[0], bias=bias is not None)
    return _with(layer, weight, bias)


def _conv(node: Any, _step: Step) -> nn.Module:
    weight, bias = _numbers(node.weight), _numbers(node.bias)
    padding = node.padding if isinstance(node.padding, str) else _pair(node.padding)
    groups = int(node.groups)
    if weight.dim() != 4:
        raise ValueError(f"its weight must be [out, in, height, width], got {list(weight.shape)}")
    channels, kernel, where = weight.shape[1] * groups, tuple(weight.shape[2:]), (_pair(node.stride), padding)
    layer = skip_init(nn.Conv2d, channels, weight.shape[0], kernel, *where, _pair(node.dilation), groups)
    return _EachStep(_with(layer, weight, bias))


def _pool(node: Any, _step: Step) -> nn.Module:
    sizes = _pair(node.kernel_size), _pair(node.stride), _pair(node.padding)
    if type(node).__name__ == "SumPool2d":
        return _EachStep(_SumPool(*sizes))
    if any(sizes[2]):
        raise ValueError(f"padding must be 0, since NIR doesn't say whether a mean counts it, got {sizes[2]}")
    return _EachStep(nn.AvgPool2d(sizes[0], sizes[1]))


def _flatten(node: Any, _step: Step) -> nn.Module:
    """Its dimensions are counted without time and batch."""
    start, end = (int(place) + 2 if place >= 0 else int(place) for place in (node.start_dim, node.end_dim))
    return nn.Flatten(start, end)


def _with(layer: Any, weight: Tensor, bias: Tensor | None) -> nn.Module:
    """``layer`` with these numbers, which have to be of its shapes."""
    for name, value in (("weight", weight), ("bias", bias)):
        held = getattr(layer, name)
        if value is None:
            continue
        if value.shape != held.shape:
            raise ValueError(f"its {name} must have shape {list(held.shape)}, got {list(value.shape)}")
        held.data.copy_(value)
    return layer


def _numbers(value: Any) -> Float[Tensor, "..."]:
    """In float64; ValueError for what is not finite."""
    found = torch.from_numpy(np.array(value, dtype=np.float64))
    if not found.isfinite().all():
        raise ValueError("it holds NaN or infinity")
    return found


def _pair(value: Any) -> tuple[int, int]:
    """Of height and width, of which one number may stand for both."""
    sizes = [int(size) for size in np.atleast_1d(value)]
    if len(sizes) not in (1, 2):
        raise ValueError(f"expected a size for height and width, got {sizes}")
    return sizes[0], sizes[-1]


LAYERS: dict[str, Callable[[Any, Step], nn.Module]] = {
    "Affine": _linear, "Linear": _linear, "Conv2d": _conv, "SumPool2d": _pool, "AvgPool2d": _pool, "Flatten": _flatten,
    "LIF": Neurons, "IF": Neurons, "Input": _Same, "Output": _Same,
}  # fmt: skip
