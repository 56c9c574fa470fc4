"""Derivatives of the neuron, first and second, by kernels that sweep over the steps once.

With u the membrane before the reset, x = u − threshold, s = H(x), σ' the pulse, m = u (1 − s) what the reset leaves,
d the decay and g the gradient of the spikes, one sweep back over the steps gives that of the currents, **gradient**::

    ∂I(t) = (g(t) − a(t) u(t)) σ'(x(t)) + a(t) (1 − s(t))        a(t) = d ∂I(t+1), 0 at the last step

That is Jᵀg. Differentiated again along ``direction`` v it gives Jv, what happens to the **tangent** of the spikes when
the currents move along v (forward), and the **curvature** ∂⟨Jv, g⟩/∂I, where derivatives along v have a dot (back)::

    u̇ = d ṁ(t−1) + v        ṡ = σ' u̇        ṁ = u̇ (1 − s) − u ṡ
    p = g − a u              b(t) = d c(t+1)                      c(t) the curvature at step t
    c = p σ'' u̇ − a ṡ − (a u̇ + b u) σ' + b (1 − s)

A detached reset drops a u, u ṡ, a ṡ and (a u̇ + b u). A detached state has d = 0 in all of these, and the decay only in
the membranes themselves: ∂I = g σ', u̇ = v, c = g σ'' v. A smooth spike has s = σ(kx) and the same formulas. All are the
reference loop's, derived by hand and tested against it. Between the sweeps nothing is kept but the currents (and g):
membranes, spikes and pulses are computed again.

Where a kernel doesn't do, because a third derivative is asked for or gradients come in batches of torch's vmap, the
reference is run instead, from the currents kept: slower, and as right.
"""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from .flat import flattened, memory_order, restored
from .surrogate import Surrogate


@runtime_checkable
class Dynamics(Protocol):
    """What a kernel needs to know of a neuron, and the loop that it stands for."""

    decay: float
    threshold: float
    surrogate: Surrogate
    detach_reset: bool
    detach_state: bool

    def reference(self, current: Tensor) -> Tensor:
        """Spikes, differentiable any number of times."""


@runtime_checkable
class Kernels(Protocol):
    """The sweeps, on tensors [time, neurons] with neighbours adjacent; the results are new ones."""

    def spikes(self, current: Tensor, neuron: Any) -> Tensor:
        """Forward."""

    def gradient(self, current: Tensor, upstream: Tensor, neuron: Any) -> Tensor:
        """First derivative: Jᵀ upstream."""

    def second(self, current: Tensor, upstream: Tensor, direction: Tensor, neuron: Any) -> tuple[Tensor, Tensor]:
        """Second derivative: tangent J direction, and curvature ∂⟨J direction, upstream⟩/∂current."""


def spikes(current: Tensor, neuron: Dynamics, kernels: Kernels) -> Tensor:
    """Spikes for the currents, with first and second derivatives by ``kernels``."""
    if torch.is_grad_enabled() and current.requires_grad:
        fired: Tensor = _Spikes.apply(current, neuron, kernels)
        return fired
    return _on_flat(kernels.spikes, (current,), neuron)[0]


def _on_flat(kernel: Any, tensors: Sequence[Tensor], neuron: Dynamics) -> tuple[Tensor, ...]:
    """``kernel`` on ``tensors``, all laid out as the first is."""
    order = memory_order(tensors[0])
    found = kernel(*(flattened(tensor, order) for tensor in tensors), neuron)
    return tuple(restored(flat, order, tensors[0]) for flat in (found if isinstance(found, tuple) else (found,)))


def batched(tensor: Tensor) -> bool:
    """Whether this is many tensors of torch's vmap in one, which a kernel can't see into."""
    functorch = torch._C._functorch
    return bool(functorch.is_functorch_wrapped_tensor(tensor) or functorch.is_legacy_batchedtensor(tensor))


class _Spikes(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, current: Tensor, neuron: Dynamics, kernels: Kernels) -> Tensor:
        ctx.save_for_backward(current)
        ctx.by = neuron, kernels
        return _on_flat(kernels.spikes, (current,), neuron)[0]

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor, None, None]:
        (current,) = ctx.saved_tensors
        if batched(upstream[0]):
            return _reference_gradient(current, upstream[0], ctx.by[0], torch.is_grad_enabled()), None, None
        if not torch.is_grad_enabled():
            neuron, kernels = ctx.by
            return _on_flat(kernels.gradient, (current, upstream[0]), neuron)[0], None, None
        return _Gradient.apply(current, upstream[0], *ctx.by), None, None


class _Gradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, current: Tensor, upstream: Tensor, neuron: Dynamics, kernels: Kernels) -> Tensor:
        ctx.save_for_backward(current, upstream)
        ctx.by = neuron, kernels
        return _on_flat(kernels.gradient, (current, upstream), neuron)[0]

    @staticmethod
    def backward(ctx: Any, *direction: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        current, upstream = ctx.saved_tensors
        neuron, kernels = ctx.by
        if torch.is_grad_enabled() or batched(direction[0]):
            found = _reference_second(current, upstream, direction[0], neuron, torch.is_grad_enabled())
        else:
            found = _on_flat(kernels.second, (current, upstream, direction[0]), neuron)
        tangent, curvature = found
        return curvature, tangent, None, None


def _reference_gradient(current: Tensor, upstream: Tensor, neuron: Dynamics, create_graph: bool) -> Tensor:
    with torch.enable_grad():
        fired = neuron.reference(current)
        return torch.autograd.grad(fired, current, upstream, create_graph=create_graph)[0]


def _reference_second(
    current: Tensor, upstream: Tensor, direction: Tensor, neuron: Dynamics, create_graph: bool
) -> tuple[Tensor, ...]:
    """Tangent and curvature, the gradient being linear in ``upstream``."""
    with torch.enable_grad():
        # What is differentiated by must have no part in the other's history, which it has: hence aliases.
        current = current.view_as(current)
        upstream = upstream.view_as(upstream) if upstream.requires_grad else upstream.detach().requires_grad_()
        gradient = _reference_gradient(current, upstream, neuron, True)
        return torch.autograd.grad(
            gradient, (upstream, current), direction, create_graph=create_graph, materialize_grads=True
        )
