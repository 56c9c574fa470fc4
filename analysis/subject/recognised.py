"""How a network that spikes is asked, found out by asking it: where time lies, how it is given T steps, what T is.

Nothing is taken for granted from names alone. A keyword of forward, an attribute of the network or of its modules, or
another frame of the input sets T if with T + 1

- the output has one more step, and else the same shape: its axis of time is the one that grew; or
- the neurons are asked in proportion more often (by what they give, counted), and the output's shape is the same: an
  answer for all steps, as their mean.

The network is *causal* if what it says at the first T steps is the same with T + 1; then one pass at the largest T
holds the answer for every smaller one. Where T can't be set, all spikes of the last step are flipped instead, and no
output of an earlier one may move. Which axis of the input is that of the examples is told by the target's length, and
where that fits two of them by turning the examples round: the answers must turn with them.

Costs some ten passes of at most eight examples. What the user says of it is held to, and checked in the same way.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from inspect import signature
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from models.perturbation import recording

from . import outputs
from .causal import causal_inside, same
from .neurons import lookalike, neuron_classes, unknown
from .passes import passes
from .sources import Batch
from .spiking import Everywhere, Spiking
from .watched import FEW, Pass, passed, sites_of

if TYPE_CHECKING:
    from .subject import Subject

NAMES = ("timesteps", "num_steps", "T", "time_steps", "n_steps", "steps", "seq_length", "time_window", "num_timesteps")
_FAILURES = (RuntimeError, ValueError, TypeError, IndexError, AttributeError, KeyError, AssertionError)


def recognised(subject: "Subject", say: Callable[[str], object] = lambda _: None) -> "Subject":
    """The subject with its ``spiking`` complete, as far as it can be found out; ``say`` takes a remark of one line.

    Raises ValueError where what is said of it doesn't hold, and for what the network itself refuses.
    """
    given = subject.spiking or Spiking()
    if subject.checkpoint is not None or given.recognised:
        return subject
    classes = given.neurons or neuron_classes(subject.network)
    if not classes and subject.spiking is None:
        if remark := _unknown(subject):
            say(remark)
        return subject
    if not any(isinstance(module, classes) for module in subject.network.modules()) and classes:
        kinds = ", ".join(kind.__name__ for kind in classes)
        raise ValueError(f"subject {subject.title}: spiking.neurons are {kinds}, and its network has no such module")
    frames = _frames(subject, given) if given.frames is None else given.frames
    spiking = replace(given, neurons=classes, frames=frames)
    asked = replace(subject, spiking=spiking)
    split = asked.there[0]
    batch = asked.batches(split, FEW, FEW)[0]
    try:
        now = passed(asked, batch)
    except ValueError:
        if subject.losses:  # which take what it returns, whatever that is
            return asked
        raise
    return replace(asked, spiking=replace(_timed(asked, batch, now), recognised=True))


def _unknown(subject: "Subject") -> str:
    """What to write if a module of nobody's library gives 0s and 1s alone; empty where none does."""
    modules = unknown(subject.network)
    if not modules:
        return ""
    batch = subject.batches(subject.there[0], FEW, FEW)[0]
    with recording(modules) as records:
        list(passes(subject, [batch], None))
    name = lookalike(records)
    if not name:
        return ""
    kind = type(modules[name]).__name__
    return (
        f"{subject.title}: module {name!r} ({kind}) gives 0s and 1s alone, as neurons that spike do. If it is one, say "
        f"so, or nothing is measured of its spikes: spiking=Spiking(neurons=({kind},))"
    )


def _frames(subject: "Subject", given: Spiking) -> int | None:
    """0 where the input begins with time, else None: frames behind the examples are found where T is.

    Told by the target's length; where two axes have it, by which of them the answers turn with.
    """
    inputs, target = subject.first(subject.there[0])
    if not isinstance(inputs, Tensor) or not isinstance(target, Tensor) or inputs.ndim < 3 or not target.ndim:
        return None
    count = len(target)
    if inputs.shape[0] != count:
        return 0 if inputs.shape[1] == count else None
    if inputs.shape[1] != count or count == 1:
        return None
    asked = replace(subject, spiking=given)
    plain, turned = (passed(asked, (x, target)).output for x in (inputs, inputs.flip(0)))
    turns = [
        axis for axis in range(min(2, plain.ndim)) if plain.shape[axis] == count and same(turned.flip(axis), plain)
    ]
    return None if turns else 0


def _timed(subject: "Subject", batch: Batch, now: Pass) -> Spiking:
    """Its Spiking with time, timesteps, T and whether it is causal."""
    spiking = subject.spiking or Spiking()
    for candidate in _candidates(subject, batch):
        try:
            found = _tried(subject, candidate, batch, now)
        except _FAILURES as error:
            if spiking.timesteps is None:
                continue
            raise ValueError(
                f"subject {subject.title}: with T set by spiking.timesteps={spiking.timesteps!r} its network fails on "
                f"one step more: {error}"
            ) from error
        if isinstance(found, Spiking):
            return found
        if spiking.timesteps is not None:
            raise ValueError(f"subject {subject.title}: spiking.timesteps={spiking.timesteps!r} {found}")
    return _fixed(subject, batch, now)


def _fixed(subject: "Subject", batch: Batch, now: Pass) -> Spiking:
    """Where T can't be set."""
    spiking = subject.spiking or Spiking()
    layout = outputs.layout(now.output, batch[1], time=spiking.time)
    if layout.time is None:
        return spiking
    found = replace(spiking, time=layout.time, steps=layout.steps)
    if not now.spikes:
        return found
    probed = replace(subject, spiking=found)
    holds = causal_inside(lambda: passed(probed, batch).output, now.output, layout.time, sites_of(probed))
    return replace(found, causal=holds)


def _candidates(subject: "Subject", batch: Batch) -> Iterator[Spiking]:
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


def _tried(subject: "Subject", candidate: Spiking, batch: Batch, now: Pass) -> Spiking | str:
    """The candidate completed, or why it isn't how T is set."""
    asked = replace(subject, spiking=candidate)
    steps = _steps(asked, candidate, batch, now)
    if isinstance(steps, str):
        return steps
    if candidate.frames is not None and candidate.timesteps is None:
        more = passed(asked, _longer(batch, candidate.frames))
    else:
        more = passed(asked, batch, steps + 1)
    before, after = now.output.shape, more.output.shape
    grown = [axis for axis, (a, b) in enumerate(zip(before, after, strict=False)) if a != b]
    shown = f"is the number of steps, of {steps} now, but with one more its output is"
    if len(before) != len(after) or len(grown) > 1 or any(after[axis] != steps + 1 for axis in grown):
        return f"{shown} {list(after)} where it was {list(before)}: one axis may grow, by one, that of time"
    if not grown:
        if more.spikes * steps != now.spikes * (steps + 1):
            return "changes nothing: neither the output's shape nor how often the neurons are asked"
        return replace(candidate, time=None, steps=steps, causal=False)
    time = grown[0]
    if candidate.time not in (None, time):
        return f"moves axis {time} of the output, and spiking.time is {candidate.time}"
    causal = same(more.output.narrow(time, 0, steps), now.output)
    return replace(candidate, time=time, steps=steps, causal=causal)


def _steps(subject: "Subject", candidate: Spiking, batch: Batch, now: Pass) -> int | str:
    """T of the network as it is: what says so, or by how often its neurons are asked; why it can't be told."""
    if candidate.steps:
        return candidate.steps
    if candidate.timesteps is None and candidate.frames is not None:
        return int(batch[0].shape[candidate.frames])
    if (held := candidate.now(subject.network)) is not None:
        return held
    one, two = passed(subject, batch, 1), passed(subject, batch, 2)
    each = two.spikes - one.spikes
    if each > 0 and now.spikes % each == 0:
        return now.spikes // each
    lengths = [a for a, b, c in zip(now.output.shape, one.output.shape, two.output.shape, strict=True) if c - b == 1]
    if len(lengths) == 1:
        return int(lengths[0])
    return "changes nothing: neither the output's shape nor how often the neurons are asked"


def _longer(batch: Batch, axis: int) -> Batch:
    """The batch with its last frame once more."""
    inputs = batch[0]
    return torch.cat([inputs, inputs.narrow(axis, inputs.shape[axis] - 1, 1)], axis), batch[1]
