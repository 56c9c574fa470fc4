"""The leaky integrate-and-fire neuron, iterated over time.

::

    u(t) = decay · u(t−1) + I(t)         u before the first step is 0
    s(t) = H( u(t) − threshold )         strict: a membrane exactly at the threshold does not fire
    u(t) ← u(t) · (1 − s(t))             hard reset to 0

Deng et al. 2022, equations 1–3, with decay 0.5 (the paper's τ) and threshold 1. The current of a step counts at that
step and is not scaled by 1 − decay. Unless ``detach_reset``, gradients flow through the reset too, by way of the
surrogate of s: for the currents (1.3, 0.7) that makes ∂s(1)/∂I(0) = −0.3185, and 0 when detached.

State lives inside ``forward``: nothing is carried from one batch to the next, and nothing has to be reset.

Where nothing can be differentiated (``torch.no_grad``) the same spikes, to the bit, come from fewer and in-place
operations on pieces of the batch that fit the cache.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd import forward_ad

from .surrogate import Smooth, Surrogate, spike
from .surrogate import surrogate as surrogate_by_name

_PIECE = 2**16  # neurons to a thread: membrane, current and spikes of that many stay in its cache


class LIF(nn.Module):
    """Currents to spikes of the same shape, time first; an exact, differentiable loop over the steps.

    ``decay`` in [0, 1] multiplies the old membrane (1 is a perfect integrator, 0 has no memory); ``threshold`` > 0;
    ``surrogate`` and ``width`` as in :func:`models.surrogate.surrogate`, whose result is kept as ``.surrogate``.
    ``detach_reset`` cuts the gradient through the reset. ValueError for anything else.
    """

    def __init__(
        self,
        *,
        decay: float = 0.5,
        threshold: float = 1.0,
        surrogate: str = "triangle",
        width: float = 1.0,
        detach_reset: bool = False,
    ):
        super().__init__()
        if not 0 <= decay <= 1:
            raise ValueError(f"decay must lie in [0, 1], got {decay}")
        if not 0 < threshold < float("inf"):
            raise ValueError(f"threshold must be positive and finite, got {threshold}")
        self.decay = decay
        self.threshold = threshold
        self.surrogate: Surrogate = surrogate_by_name(surrogate, width)
        self.detach_reset = detach_reset

    def forward(self, current: Float[Tensor, "time batch *shape"]) -> Float[Tensor, "time batch *shape"]:
        """Spikes for the input ``current`` at every step."""
        if _undifferentiated(current) and not isinstance(self.surrogate, Smooth):
            return self._spikes(current)
        membrane = torch.zeros_like(current[0])
        spikes = []
        for step in current:
            membrane = self.decay * membrane + step
            spikes.append(spike(membrane - self.threshold, self.surrogate))
            membrane = membrane * (1 - (spikes[-1].detach() if self.detach_reset else spikes[-1]))
        return torch.stack(spikes)

    def _spikes(self, current: Tensor) -> Tensor:
        """The loop of ``forward`` without its graph, neurons in the order in which they lie in memory."""
        order = sorted(range(1, current.ndim), key=current.stride, reverse=True)
        currents = current.permute(0, *order).flatten(1)
        spikes = torch.empty(currents.shape, dtype=current.dtype, device=current.device)
        size = _PIECE * torch.get_num_threads() if current.device.type == "cpu" else max(1, currents.shape[1])
        for piece, fired in zip(currents.split(size, 1), spikes.split(size, 1), strict=True):
            self._fire(piece, fired)
        back = sorted(range(len(order)), key=order.__getitem__)
        return spikes.unflatten(1, [current.shape[axis] for axis in order]).permute(0, *(1 + axis for axis in back))

    def _fire(self, currents: Tensor, spikes: Tensor) -> None:
        """Write the spikes of one piece."""
        # Times a power of two is exact, so that fusing it with the sum rounds nothing differently.
        fused = math.frexp(self.decay)[0] in (0, 0.5)
        membrane = currents[0].clone()
        for step, (current, fired) in enumerate(zip(currents, spikes, strict=True)):
            if step and fused:
                torch.add(current, membrane, alpha=self.decay, out=membrane)
            elif step:
                membrane.mul_(self.decay).add_(current)
            torch.gt(membrane, self.threshold, out=fired)
            if step + 1 < len(currents):
                membrane.addcmul_(membrane, fired, value=-1)

    def extra_repr(self) -> str:
        """What ``print`` shows of the neuron."""
        return f"decay={self.decay}, threshold={self.threshold}, {self.surrogate}, detach_reset={self.detach_reset}"


def _undifferentiated(current: Tensor) -> bool:
    """Whether nothing looks at this computation but its result: no gradient, no transform of torch.func, no tracing."""
    return not (
        torch.is_grad_enabled()
        or forward_ad._current_level >= 0
        or torch._C._functorch.is_functorch_wrapped_tensor(current)
        or torch.compiler.is_compiling()
        or torch.jit.is_tracing()
        or not current.is_floating_point()
    )


class Rate(nn.Module):
    """The neuron of the non-spiking twin: max(0, I) at each step, without memory."""

    def forward(self, current: Float[Tensor, "time batch *shape"]) -> Float[Tensor, "time batch *shape"]:
        """Rates for the input ``current`` at every step."""
        return torch.relu(current)


@dataclass(frozen=True)
class Neuron:
    """What every neuron of a network is: a LIF with these settings, or a ReLU when not ``spiking``."""

    spiking: bool = True
    decay: float = 0.5
    threshold: float = 1.0
    surrogate: str = "triangle"
    width: float = 1.0
    detach_reset: bool = False

    def build(self) -> nn.Module:
        """A new layer of such neurons. Neither kind has parameters or buffers."""
        if not self.spiking:
            return Rate()
        return LIF(
            decay=self.decay,
            threshold=self.threshold,
            surrogate=self.surrogate,
            width=self.width,
            detach_reset=self.detach_reset,
        )
