"""The leaky integrate-and-fire neuron, iterated over time.

::

    u(t) = decay · u(t−1) + I(t)         u before the first step is 0
    s(t) = H( u(t) − threshold )         strict: a membrane exactly at the threshold does not fire
    u(t) ← u(t) · (1 − s(t))             hard reset to 0

Deng et al. 2022, equations 1–3, with decay 0.5 (the paper's τ) and threshold 1. The current of a step counts at that
step and is not scaled by 1 − decay. Unless ``detach_reset``, gradients flow through the reset too, by way of the
surrogate of s: for the currents (1.3, 0.7) that makes ∂s(1)/∂I(0) = −0.3185, and 0 when detached.

``detach_state`` cuts it through time altogether: the membrane handed to the next step has no gradient, so that each
step is learned as if what came before it were given (spatial learning through time, SLTT: Meng et al., "Towards Memory-
and Time-Efficient Backpropagation for Training Spiking Neural Networks", ICCV 2023, arXiv 2302.14311). Spikes are the
same; the gradient is ∂I(t) = g(t) σ'(u(t) − threshold). It is the method's gradient that is had here, not its memory:
all steps are in one graph. No part of a network: a way of training sets it (:func:`models.neurons.selection.cut`).

State lives inside ``forward``: nothing is carried from one batch to the next, and nothing has to be reset. Currents in
half precision (float16, bfloat16) meet a membrane in float32, and only the spikes are half.

What is computed is :meth:`LIF.reference`, a plain loop. How, is ``LIF.implementation``:

- ``reference``: that loop, differentiable any number of times, in any mode. Where nothing can be differentiated
  (``torch.no_grad``) the same spikes, to the bit, come from in-place operations on pieces of the batch that fit the
  cache.
- ``fused``: one pass over memory on a CPU, by a C compiler's leave (:mod:`models.neurons.fused`).
- ``triton``: the same on CUDA (:mod:`models.neurons.triton_lif`).
- ``auto``: the one of these two that fits the device, or the reference where none does.

The last three run the reference for what their kernels can't take: transforms of ``torch.func``, forward mode, tracing,
other precisions. :mod:`models.neurons.selection` chooses for a whole network.
"""

import math
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd import forward_ad

from . import bits, fused, sweep
from .flat import flattened, memory_order, restored
from .surrogate import Smooth, Surrogate, spike
from .surrogate import surrogate as surrogate_by_name

_PIECE = 2**16  # neurons to a thread: membrane, current and spikes of that many stay in its cache


class LIF(nn.Module):
    """Currents to spikes of the same shape, time first.

    ``decay`` in [0, 1] multiplies the old membrane (1 is a perfect integrator, 0 has no memory); ``threshold`` > 0;
    ``surrogate`` and ``width`` as in :func:`models.neurons.surrogate.surrogate`, whose result is kept as
    ``.surrogate``. ``detach_reset`` cuts the gradient through the reset. ValueError for anything else.
    """

    of_its_input: ClassVar[bool] = True

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
        self.detach_state = False
        self.implementation = "auto"

    def forward(self, current: Float[Tensor, "time batch *shape"]) -> Float[Tensor, "time batch *shape"]:
        """Spikes for the input ``current`` at every step."""
        kernels, graded = self.kernels(current), isinstance(self.surrogate, Smooth)
        if kernels:
            spikes = sweep.spikes(current, self, kernels)
        elif is_plain(current) and not torch.is_grad_enabled() and not graded:
            return self._spikes(current)
        else:
            spikes = self.reference(current)
        return spikes if graded else bits.noted(spikes)

    def reference(self, current: Float[Tensor, "time batch *shape"]) -> Float[Tensor, "time batch *shape"]:
        """The same by a loop over the steps, in operations that torch can differentiate and transform as it likes."""
        membrane = torch.zeros_like(current[0], dtype=_state(current))
        spikes = []
        for step in current:
            membrane = self.decay * (membrane.detach() if self.detach_state else membrane) + step
            spikes.append(spike(membrane - self.threshold, self.surrogate))
            membrane = membrane * (1 - (spikes[-1].detach() if self.detach_reset else spikes[-1]))
        return torch.stack(spikes).to(current.dtype)

    def kernels(self, current: Tensor) -> sweep.Kernels | None:
        """The kernels that take this current, if any may and do."""
        if self.implementation == "reference" or not is_plain(current):
            return None
        if self.implementation != "triton" and fused.takes(current):
            return fused
        if self.implementation == "triton" or (self.implementation == "auto" and current.is_cuda):
            return triton_kernels(current)
        return None

    def _spikes(self, current: Tensor) -> Tensor:
        """The loop of ``reference`` without its graph."""
        order = memory_order(current)
        currents = flattened(current, order)
        spikes = torch.empty(currents.shape, dtype=current.dtype, device=current.device)
        size = _PIECE * torch.get_num_threads() if current.device.type == "cpu" else max(1, currents.shape[1])
        for piece, fired in zip(currents.split(size, 1), spikes.split(size, 1), strict=True):
            self._fire(piece, fired)
        return restored(spikes, order, current)

    def _fire(self, currents: Tensor, spikes: Tensor) -> None:
        """Write the spikes of one piece."""
        # Times a power of two is exact, so that fusing it with the sum rounds nothing differently.
        fused = math.frexp(self.decay)[0] in (0, 0.5)
        membrane = currents[0].to(_state(currents), copy=True)
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


def triton_kernels(current: Tensor) -> sweep.Kernels | None:
    """Triton's kernels where they take this current."""
    kernels = _triton()
    return kernels if kernels and kernels.takes(current) else None


@cache
def _triton() -> Any:
    """The module with the kernels, imported on first use; None where torch came without Triton."""
    return import_module("models.neurons.triton_lif") if find_spec("triton") else None


def _state(current: Tensor) -> torch.dtype:
    """What a membrane is held in: half precision would round the sum over steps at each."""
    return torch.float32 if current.dtype in (torch.float16, torch.bfloat16) else current.dtype


def is_plain(current: Tensor) -> bool:
    """Whether this is numbers to compute with: no transform of torch.func, no tangents, no tracing."""
    return not (
        forward_ad._current_level >= 0
        or torch._C._functorch.is_functorch_wrapped_tensor(current)
        or torch.compiler.is_compiling()
        or torch.jit.is_tracing()
        or current.is_meta
        or type(current) not in (Tensor, nn.Parameter)
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
