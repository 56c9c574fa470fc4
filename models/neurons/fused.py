"""The neuron on a CPU in one pass over memory, with its first and second derivatives: ``lif.c``, compiled on first use.

Torch's elementwise operations cross memory once for every operation and step, some fifty times for a gradient of four
steps. The C here crosses it once. It is compiled for this machine by the C compiler that is there ($CC or cc), in a
fraction of a second, once a process and precision (:mod:`models.neurons.compiling`). Without a compiler, or with one
that fails, which is said in one line, the reference does all of it.

float32 and float64. Spikes are the reference's to the bit, and so are gradients with a triangle or a rectangle.
"""

import ctypes
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from .compiling import compiled
from .surrogate import coded
from .sweep import Dynamics

Steps = Float[Tensor, "time neuron"]
Channels = Float[Tensor, "channel"]  # in float64 here

_FLAGS = (
    "-O3", "-march=native", "-fopenmp-simd", "-fno-fast-math", "-ffp-contract=off", "-fno-math-errno",
    "-fno-trapping-math", "-fPIC", "-shared",
)  # fmt: skip
_REALS = {torch.float32: ("float", "expf"), torch.float64: ("double", "exp")}
BLOCK = 512  # as in lif.c: as many channels as Affine can have
_FEW = 2**17  # numbers; below, starting threads takes longer than they save


class _Neuron(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_int64) for name in ("steps", "pulse", "detached", "cut")),
        *((name, ctypes.c_double) for name in ("decay", "threshold", "a", "b")),
    )


class _Steps(ctypes.Structure):
    _fields_ = (("data", ctypes.c_void_p), ("stride", ctypes.c_int64))


class _Affine(ctypes.Structure):
    _fields_ = (
        ("channels", ctypes.c_int64),
        ("scale", ctypes.c_void_p),
        ("shift", ctypes.c_void_p),
        ("plus_scale", ctypes.c_void_p),
        ("plus", _Steps),
    )


def takes(current: Tensor) -> bool:
    """Whether there is a kernel for this tensor here."""
    return current.device.type == "cpu" and current.dtype in _REALS and _library(current.dtype) is not None


@cache
def _library(dtype: torch.dtype) -> ctypes.CDLL | None:
    """The compiled kernels; None where there is no compiler, or it can't do it."""
    real, exp = _REALS[dtype]
    return compiled(Path(__file__).with_name("lif.c"), *_FLAGS, f"-DREAL={real}", f"-DEXP={exp}")


@dataclass(frozen=True)
class Affine:
    """Currents are made of what is given as scale · x + shift (+ plus_scale · plus), channels innermost in memory.

    Without ``plus_scale`` it is 1.
    """

    scale: Channels
    shift: Channels
    plus: Steps | None = None
    plus_scale: Channels | None = None


def spikes(current: Steps, neuron: Dynamics, affine: Affine | None = None) -> Steps:
    """Forward."""
    return _run("spikes", neuron, affine, 1, current)[0]


def gradient(current: Steps, upstream: Steps, neuron: Dynamics) -> Steps:
    """Jᵀ upstream."""
    return _run("gradient", neuron, None, 1, current, upstream, more=lambda: (None, None, None))[0]


def gradient_moments(
    x: Steps, upstream: Steps, neuron: Dynamics, affine: Affine, centre: Channels, plus_centre: Channels | None = None
) -> tuple[Steps, Float[Tensor, "2 2 channel"]]:
    """The gradient d of the currents that ``affine`` makes of ``x``; Σ d and Σ d (x − centre) by channels.

    Then, if ``plus`` is scaled, the same sums with ``plus`` and ``plus_centre``; else zeros.
    """
    sums: list[Tensor] = []

    def more() -> tuple[ctypes.c_void_p | None, ...]:
        sums.append(torch.zeros(2, 2, len(centre), dtype=torch.float64))
        return _at(centre), None if plus_centre is None else _at(plus_centre), _at(sums[-1])

    d = _run("gradient", neuron, affine, 1, x, upstream, more=more)[0]
    return d, sum(sums[1:], sums[0])


def second(current: Steps, upstream: Steps, direction: Steps, neuron: Dynamics) -> tuple[Steps, Steps]:
    """J direction, and ∂⟨J direction, upstream⟩/∂current."""
    tangent, curvature = _run("second", neuron, None, 2, current, upstream, direction)
    return tangent, curvature


def moments(x: Steps, centre: Channels) -> Float[Tensor, "2 channel"]:
    """Σ (x − centre) and Σ (x − centre)² by channels, which are innermost in memory."""
    steps, neurons = x.shape
    channels = len(centre)

    def part(start: int, stop: int) -> Tensor:
        sums = torch.zeros(2, channels, dtype=torch.float64)
        _call(x, "moments", steps, channels, start, stop, ctypes.byref(_steps(x)), _at(centre), _at(sums))
        return sums

    first, *others = _shared_out(part, steps, neurons, _pixels(channels))
    return sum(others, first)


def centred(
    of: Steps, x: Steps, centre: Channels, scale: Channels, first: Channels, second: Channels, into: Steps
) -> None:
    """Write scale · (of − first − second · (x − centre)) ``into``, which may be ``of``."""
    steps, neurons = x.shape
    channels = len(centre)
    ends, start_of = [_at(each) for each in (centre, scale, first, second)], ctypes.byref(_steps(of))
    at, result = ctypes.byref(_steps(x)), ctypes.byref(_steps(into))

    def part(start: int, stop: int) -> None:
        _call(x, "centred", steps, channels, start, stop, start_of, at, *ends, result)

    _shared_out(part, steps, neurons, _pixels(channels))


def packed(spikes: Float[Tensor, " count"]) -> UInt8[Tensor, " byte"]:
    """Bit k of byte i is whether number 8i + k is not zero."""
    bits = torch.empty(-(-len(spikes) // 8), dtype=torch.uint8)

    def part(start: int, stop: int) -> None:
        _call(spikes, "pack", start, stop, _at(spikes), _at(bits))

    _shared_out(part, 1, len(spikes), 8)
    return bits


def unpacked(bits: UInt8[Tensor, " byte"], count: int, dtype: torch.dtype) -> Float[Tensor, " count"]:
    """The first ``count`` bits as numbers."""
    spikes = torch.empty(count, dtype=dtype)

    def part(start: int, stop: int) -> None:
        _call(spikes, "unpack", start, stop, _at(bits), _at(spikes))

    _shared_out(part, 1, count, 8)
    return spikes


def _run(
    name: str, neuron: Dynamics, affine: Affine | None, count: int, *tensors: Tensor,
    more: Callable[[], tuple[ctypes.c_void_p | None, ...]] | None = None,
) -> list[Tensor]:  # fmt: skip
    """A neuron's kernel on ``tensors``; returns ``count`` new ones. ``more`` makes each thread's further arguments."""
    steps, neurons = tensors[0].shape
    results = [tensors[0].new_empty(steps, neurons) for _ in range(count)]
    described = [ctypes.byref(_steps(tensor)) for tensor in (*tensors, *results)]
    pulse, a, b = coded(neuron.surrogate)
    cuts = int(neuron.detach_reset), int(neuron.detach_state)
    dynamics = _Neuron(steps, pulse, *cuts, neuron.decay, neuron.threshold, a, b)
    block, made = BLOCK, None
    if affine:
        channels, plus = len(affine.scale), _Steps(None, 0) if affine.plus is None else _steps(affine.plus)
        ends = [each if each is None else _at(each) for each in (affine.scale, affine.shift, affine.plus_scale)]
        block, made = _pixels(channels), ctypes.byref(_Affine(channels, *ends, plus))

    def part(start: int, stop: int) -> None:
        _call(tensors[0], name, ctypes.byref(dynamics), made, start, stop, *described, *(more() if more else ()))

    _shared_out(part, steps, neurons, block)
    return results


def _steps(tensor: Tensor) -> _Steps:
    return _Steps(tensor.data_ptr(), tensor.stride(0))


def _pixels(channels: int) -> int:
    """The numbers that a kernel takes at once where channels matter: those of whole pixels."""
    return BLOCK // channels * channels


def _at(tensor: Tensor) -> ctypes.c_void_p:
    return ctypes.c_void_p(tensor.data_ptr())


def _call(like: Tensor, name: str, *arguments: Any) -> None:
    library = _library(like.dtype)
    wide = (ctypes.c_int64(each) if isinstance(each, int) else each for each in arguments)
    if getattr(library, name)(*wide):
        raise MemoryError("no memory for the membranes of all steps")


def _shared_out(part: Callable[[int, int], Any], steps: int, neurons: int, block: int) -> list[Any]:
    """What ``part`` gives for ranges of neurons, one for each of torch's threads, that begin at multiples of block."""
    threads = torch.get_num_threads() if steps * neurons > _FEW else 1
    if threads == 1:
        return [part(0, neurons)]
    edges = [neurons * index // threads // block * block for index in range(threads)] + [neurons]
    return list(_pool(threads, os.getpid()).map(part, edges[:-1], edges[1:]))


@cache
def _pool(threads: int, _process: int) -> ThreadPoolExecutor:
    """Threads do not survive a fork, so a pool belongs to its process."""
    return ThreadPoolExecutor(threads)
