"""Ways in which a network might be given T steps, and whether one of them is it: the network is asked at another T.

A way sets T if with another T

- the output has that many steps, T now, and else the same shape: its axis of time is the one that changed; or
- the neurons are asked in proportion more or less often (by what they give, counted), and the output's shape is the
  same: an answer for all steps, as their mean.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from inspect import signature
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from . import outputs
from .causal import same
from .sources import Batch
from .spiking import Everywhere, Spiking
from .watched import Pass, passed

if TYPE_CHECKING:
    from .subject import Subject

NAMES = ("timesteps", "num_steps", "T", "time_steps", "n_steps", "steps", "seq_length", "time_window", "num_timesteps")
FAILURES = (RuntimeError, ValueError, TypeError, IndexError, AttributeError, KeyError, AssertionError)
_NOTHING = "changes nothing: neither the output's shape nor how often the neurons are asked"


def next_one(steps: int) -> tuple[int, ...]:
    """T + 1."""
    return (steps + 1,)


def further(steps: int) -> tuple[int, ...]:
    """What to ask a network at that fails at T + 1: T must be even, say, or isn't to grow."""
    others = (steps + 2, 2 * steps, steps - 1, steps - 2, steps // 2)
    return tuple(dict.fromkeys(other for other in others if other > 0 and other not in (steps, steps + 1)))


def candidates(subject: "Subject", batch: Batch) -> Iterator[Spiking]:
    """Ways in which the network might be given T steps."""
    spiking, network, inputs = subject.spiking or Spiking(), subject.network, batch[0]
    if spiking.timesteps is not None or spiking.frames is not None:
        yield spiking
        return
    for name in NAMES:
        if subject.forward is None and name in signature(network.forward).parameters:
            yield replace(spiking, timesteps=name)
    holders = _holders(network)
    for place, name in holders:
        yield replace(spiking, timesteps=f"{place}.{name}" if place else name)
    for name in dict.fromkeys(name for _, name in holders):
        yield replace(spiking, timesteps=Everywhere(name))
    if isinstance(inputs, Tensor) and inputs.ndim >= 3:
        yield replace(spiking, frames=1)


def _holders(network: nn.Module) -> list[tuple[str, str]]:
    """Where attributes lie that are called as a number of steps is, and hold one: places and names."""
    return [(place, name) for name in NAMES for place, module in network.named_modules() if _whole(module, name)]


def likely(network: nn.Module) -> str:
    """The keyword of forward, or the attribute, that is called as a number of steps is; empty where there is none."""
    keywords = [name for name in NAMES if name in signature(network.forward).parameters]
    return next(iter([*keywords, *(f"{place}.{name}".lstrip(".") for place, name in _holders(network))]), "")


def _whole(module: nn.Module, name: str) -> bool:
    value = vars(module).get(name)
    return type(value) is int and value > 0


def tried(
    subject: "Subject", way: Spiking, batch: Batch, now: Pass, others: Callable[[int], Sequence[int]]
) -> Spiking | str:
    """The way completed, or why it isn't how T is set, by the first of the ``others`` of T that the network takes.

    Raises what the network raises at the first of them where it takes none.
    """
    asked, failure = replace(subject, spiking=way), None
    steps = _steps(asked, way, batch, now)
    if isinstance(steps, str):
        return steps
    for other in others(steps):
        try:
            if way.frames is not None and way.timesteps is None:
                found = passed(asked, _framed(batch, way.frames, other))
            else:
                found = passed(asked, batch, other)
        except FAILURES as error:
            failure = failure or error
            continue
        return _shown(asked, way, (now, steps), (found, other))
    raise failure or ValueError(f"there is no other T than {steps} to ask its network at")


def _shown(subject: "Subject", way: Spiking, one: tuple[Pass, int], another: tuple[Pass, int]) -> Spiking | str:
    """The way completed, or why it isn't how T is set, by passes of its own T and of another."""
    (now, steps), (found, other) = one, another
    before, after = now.output.shape, found.output.shape
    changed = [axis for axis, (a, b) in enumerate(zip(before, after, strict=False)) if a != b]
    more = "one more" if other == steps + 1 else str(other)
    shown = f"sets the number of steps, {steps} now, but with {more} its output is {list(after)} where it was"
    if len(before) != len(after) or len(changed) > 1:
        return f"{shown} {list(before)}: one axis may be another, that of time"
    if not changed:
        if found.spikes * steps != now.spikes * other:
            return _NOTHING
        return replace(way, time=None, steps=steps, causal=False)
    (time,) = changed
    if (before[time], after[time]) != (steps, other):
        mean = f"output=lambda returned: {'pick(returned)' if subject.output else 'returned'}.mean({time})"
        return (
            f"{shown} {list(before)}, {before[time]} outputs of {steps} steps: which of them is that of which step "
            f"can't be told. Take one answer for all steps: {mean}"
        )
    if way.time not in (None, time):
        return f"moves axis {time} of the output, and spiking.time is {way.time}"
    first = min(steps, other)
    causal = same(found.output.narrow(time, 0, first), now.output.narrow(time, 0, first))
    return replace(way, time=time, steps=steps, causal=causal)


def _steps(subject: "Subject", way: Spiking, batch: Batch, now: Pass) -> int | str:
    """T of the network as it is: what says so, or by how often its neurons are asked; why it can't be told.

    Where it fails at T = 1 or 2, by which that is told, as many as its output has along an axis of time.
    """
    if way.steps:
        return way.steps
    if way.timesteps is None and way.frames is not None:
        return int(batch[0].shape[way.frames])
    if (held := way.now(subject.network)) is not None:
        return held
    try:
        one, two = passed(subject, batch, 1), passed(subject, batch, 2)
    except FAILURES:
        found = outputs.layout(now.output, batch[1], time=way.time)
        if found.time is None:
            raise
        return found.steps
    each = two.spikes - one.spikes
    if each > 0 and now.spikes % each == 0:
        return now.spikes // each
    lengths = [a for a, b, c in zip(now.output.shape, one.output.shape, two.output.shape, strict=True) if c - b == 1]
    return int(lengths[0]) if len(lengths) == 1 else _NOTHING


def _framed(batch: Batch, axis: int, steps: int) -> Batch:
    """The batch with its first ``steps`` frames, the last of them once more as often as there are too few."""
    inputs = batch[0]
    there = torch.arange(steps, device=inputs.device).clamp(max=inputs.shape[axis] - 1)
    return inputs.index_select(axis, there), batch[1]
