"""The neuron on CUDA in one pass over memory, with its first and second derivatives: Triton kernels.

The formulas are :mod:`models.neurons.sweep`'s. A program takes some neurons through all steps with their state in
registers, the membranes of the steps among it, so that a derivative's sweep back finds them there. Whatever the tensors
are stored in, the state is float32, or float64 for float64. From memory come the currents once (a static image's from
the same place at every step) and for derivatives the spikes' gradient; nothing else is saved.

Sums are not fused with products, so that spikes are rounded as the reference rounds them. Steps are unrolled: at most
MOST_STEPS. With TRITON_INTERPRET=1 set before triton is imported the kernels run on CPU tensors, for tests.
"""

# mypy: disable-error-code="no-untyped-def, assignment"
# In a kernel names are Triton's, not Python's: annotations say what is constant, and a tuple grows.

import inspect
import os
from typing import Any

import torch
import triton
import triton.language as tl
from jaxtyping import Float
from torch import Tensor

from .surrogate import coded
from .sweep import Dynamics

Steps = Float[Tensor, "time neuron"]

MOST_STEPS = 32  # second takes half a minute to compile for as many
_WARPS = 4
_REGISTERS = 128  # of a thread's 255, for the membranes (and, twice differentiated, their movements) of all steps
_HALVES = (torch.float16, torch.bfloat16)


def takes(current: Tensor) -> bool:
    """Whether the kernels take this tensor."""
    known = current.dtype in (torch.float32, torch.float64, *_HALVES)
    return known and (current.is_cuda or os.environ.get("TRITON_INTERPRET") == "1") and len(current) <= MOST_STEPS


def spikes(current: Steps, neuron: Dynamics) -> Steps:
    """Forward."""
    return _run(_spikes, neuron, 0, 1, current)[0]


def gradient(current: Steps, upstream: Steps, neuron: Dynamics) -> Steps:
    """Jᵀ upstream."""
    return _run(_gradient, neuron, 1, 1, current, upstream)[0]


def second(current: Steps, upstream: Steps, direction: Steps, neuron: Dynamics) -> tuple[Steps, Steps]:
    """J direction, and ∂⟨J direction, upstream⟩/∂current."""
    tangent, curvature = _run(_second, neuron, 2, 2, current, upstream, direction)
    return tangent, curvature


def _run(kernel: Any, neuron: Dynamics, order: int, count: int, *tensors: Tensor) -> list[Tensor]:
    """``kernel``, a derivative of that order, on ``tensors``; returns ``count`` new ones."""
    steps, neurons = tensors[0].shape
    results = [tensors[0].new_empty(steps, neurons) for _ in range(count)]
    if neurons:
        places = [place for tensor in (*tensors, *results) for place in (tensor, tensor.stride(0))]
        fixed = constants(steps, tensors[0].dtype, neuron, order)
        with torch.cuda.device_of(tensors[0]):
            kernel[(triton.cdiv(neurons, fixed["BLOCK"]),)](*places, neurons, **fixed, **OPTIONS)
    return results


OPTIONS = {"num_warps": _WARPS, "enable_fp_fusion": False}


def constants(steps: int, dtype: torch.dtype, neuron: Dynamics, order: int) -> dict[str, Any]:
    """What a kernel is compiled for. Numbers are among it because Triton rounds a float argument to float32."""
    pulse, a, b = coded(neuron.surrogate)
    return {
        "STEPS": steps, "STATE": tl.float64 if dtype == torch.float64 else tl.float32,
        "BLOCK": 32 * _WARPS * _neurons(steps, dtype, order), "PULSE": pulse, "DETACHED": neuron.detach_reset,
        "DECAY": neuron.decay, "CARRIED": 0.0 if neuron.detach_state else neuron.decay,
        "THRESHOLD": neuron.threshold, "A": a, "B": b,
    }  # fmt: skip


def _neurons(steps: int, dtype: torch.dtype, order: int) -> int:
    """Neurons a thread: enough to load 16 bytes at once, fewer where their history would not fit the registers."""
    registers = order * steps * (2 if dtype == torch.float64 else 1)
    most = max(1, _REGISTERS // registers) if order else 16
    return min(16 // dtype.itemsize, 1 << (most.bit_length() - 1))


def kernel(function: Any) -> Any:
    """Triton's kernel of ``function`` itself, which the import hook of the tests wraps to check its types."""
    return triton.jit(inspect.unwrap(function))


@kernel
def load(place, stride, t: tl.constexpr, index, inside, STATE: tl.constexpr):
    """Numbers of step ``t`` in the precision of the state, 0 outside."""
    return tl.load(place + tl.cast(stride, tl.int64) * t + index, mask=inside, other=0.0).to(STATE)


@kernel
def store(place, stride, t: tl.constexpr, index, inside, value):
    """Write those of step ``t``, rounded to what they are stored in."""
    tl.store(place + tl.cast(stride, tl.int64) * t + index, value.to(place.dtype.element_ty), mask=inside)


@kernel
def _logistic(x):
    return 1.0 / (1.0 + tl.exp(-x))


@kernel
def _indicator(condition, like):
    """1 or 0 in the precision of ``like``: that of the numbers in a ``where`` is single."""
    return tl.where(condition, 1.0, 0.0).to(like.dtype)


@kernel
def fires(x, PULSE: tl.constexpr, A: tl.constexpr):
    """Spikes for x = membrane − threshold."""
    return _logistic(A * x) if PULSE == 4 else _indicator(x > 0, x)


@kernel
def pulse(x, PULSE: tl.constexpr, A: tl.constexpr, B: tl.constexpr):
    """σ'(x); the numbers of the pulses are those of models.neurons.surrogate.coded."""
    if PULSE == 0:
        slope = tl.maximum(A - tl.abs(x), 0.0) / B
    elif PULSE == 1:
        slope = B / (1.0 + (A * x) * (A * x))
    elif PULSE == 3:
        slope = _indicator(tl.abs(x) < A, x) / B
    else:
        value = _logistic(A * x)
        slope = A * value * (1.0 - value)
    return slope


@kernel
def _bend(x, PULSE: tl.constexpr, A: tl.constexpr, B: tl.constexpr):
    """σ''(x), zero on corners."""
    if PULSE == 0:
        bend = (_indicator((x < 0) & (x > -A), x) - _indicator((x > 0) & (x < A), x)) / B
    elif PULSE == 1:
        inverse = 1.0 / (1.0 + (A * x) * (A * x))
        bend = -2.0 * A * B * (A * x) * inverse * inverse
    elif PULSE == 3:
        bend = 0.0 * x
    else:
        value = _logistic(A * x)
        bend = A * A * value * (1.0 - value) * (1.0 - 2.0 * value)
    return bend


# ruff: noqa: ARG001 - all kernels are launched with the same constants


@kernel
def _spikes(
    current, current_stride, result, result_stride, neurons,
    STEPS: tl.constexpr, STATE: tl.constexpr, BLOCK: tl.constexpr, PULSE: tl.constexpr, DETACHED: tl.constexpr,
    DECAY: tl.constexpr, CARRIED: tl.constexpr, THRESHOLD: tl.constexpr, A: tl.constexpr, B: tl.constexpr,
):  # fmt: skip
    index = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = index < neurons
    membrane = tl.zeros((BLOCK,), STATE)
    for t in tl.static_range(STEPS):
        membrane = DECAY * membrane + load(current, current_stride, t, index, inside, STATE)
        fired = fires(membrane - THRESHOLD, PULSE, A)
        store(result, result_stride, t, index, inside, fired)
        membrane = membrane * (1.0 - fired)


@kernel
def _history(
    current, stride, index, inside,
    STEPS: tl.constexpr, STATE: tl.constexpr, BLOCK: tl.constexpr, PULSE: tl.constexpr,
    DECAY: tl.constexpr, THRESHOLD: tl.constexpr, A: tl.constexpr,
):  # fmt: skip
    """The membranes before the reset, a tuple over the steps."""
    after = tl.zeros((BLOCK,), STATE)
    membranes = ()
    for t in tl.static_range(STEPS):
        membrane = DECAY * after + load(current, stride, t, index, inside, STATE)
        membranes = membranes + (membrane,)  # noqa: RUF005 - what Triton knows of tuples
        after = membrane * (1.0 - fires(membrane - THRESHOLD, PULSE, A))
    return membranes


@kernel
def _gradient(
    current, current_stride, upstream, upstream_stride, result, result_stride, neurons,
    STEPS: tl.constexpr, STATE: tl.constexpr, BLOCK: tl.constexpr, PULSE: tl.constexpr, DETACHED: tl.constexpr,
    DECAY: tl.constexpr, CARRIED: tl.constexpr, THRESHOLD: tl.constexpr, A: tl.constexpr, B: tl.constexpr,
):  # fmt: skip
    index = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = index < neurons
    membranes = _history(current, current_stride, index, inside, STEPS, STATE, BLOCK, PULSE, DECAY, THRESHOLD, A)
    ahead = tl.zeros((BLOCK,), STATE)
    for t in tl.static_range(STEPS - 1, -1, -1):
        u = membranes[t]
        x = u - THRESHOLD
        pulled = load(upstream, upstream_stride, t, index, inside, STATE)
        if not DETACHED:
            pulled = pulled - ahead * u
        found = pulled * pulse(x, PULSE, A, B) + ahead * (1.0 - fires(x, PULSE, A))
        store(result, result_stride, t, index, inside, found)
        ahead = CARRIED * found


@kernel
def _second(
    current, current_stride, upstream, upstream_stride, direction, direction_stride,
    tangent, tangent_stride, curvature, curvature_stride, neurons,
    STEPS: tl.constexpr, STATE: tl.constexpr, BLOCK: tl.constexpr, PULSE: tl.constexpr, DETACHED: tl.constexpr,
    DECAY: tl.constexpr, CARRIED: tl.constexpr, THRESHOLD: tl.constexpr, A: tl.constexpr, B: tl.constexpr,
):  # fmt: skip
    index = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = index < neurons
    membranes = _history(current, current_stride, index, inside, STEPS, STATE, BLOCK, PULSE, DECAY, THRESHOLD, A)
    after = tl.zeros((BLOCK,), STATE)
    moves = ()
    for t in tl.static_range(STEPS):
        u = membranes[t]
        x = u - THRESHOLD
        moved = CARRIED * after + load(direction, direction_stride, t, index, inside, STATE)
        moves = moves + (moved,)  # noqa: RUF005
        fired = pulse(x, PULSE, A, B) * moved
        store(tangent, tangent_stride, t, index, inside, fired)
        after = moved * (1.0 - fires(x, PULSE, A))
        if not DETACHED:
            after = after - u * fired
    first = tl.zeros((BLOCK,), STATE)
    second = tl.zeros((BLOCK,), STATE)
    for t in tl.static_range(STEPS - 1, -1, -1):
        u = membranes[t]
        moved = moves[t]
        x = u - THRESHOLD
        kept = 1.0 - fires(x, PULSE, A)
        slope = pulse(x, PULSE, A, B)
        pulled = load(upstream, upstream_stride, t, index, inside, STATE)
        if not DETACHED:
            pulled = pulled - first * u
        found = pulled * _bend(x, PULSE, A, B) * moved + second * kept
        if not DETACHED:
            found = found - first * (slope * moved) - (first * moved + second * u) * slope
        store(curvature, curvature_stride, t, index, inside, found)
        first = CARRIED * (pulled * slope + first * kept)
        second = CARRIED * found
