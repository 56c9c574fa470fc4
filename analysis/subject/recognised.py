"""How a network that spikes is asked, found out by asking it: where time lies, how it is given T steps, what T is.

Nothing is taken for granted from names alone. A keyword of forward, an attribute of the network or of its modules, or
frames of the input set T if the answer to another T shows it (:mod:`.setting`): T + 1, or where the network fails at
that, T + 2, 2T, T − 1, T − 2 or T/2. Where it fails at all of these, what is said to set T is believed, as far as
output and neurons allow, and a remark says so.

The network is *causal* if what it says at the first steps is the same with another T; then one pass at the largest T
holds the answer for every smaller one that it can be asked at, which is looked at before it is used
(:mod:`.askable`). Where T can't be set, all spikes of the last step are flipped instead, and no output of an earlier
one may move. Which axis of the input is that of the examples is told by the target's length, and where that fits two
of them by turning the examples round: the answers must turn with them.

Costs some ten passes of at most eight examples. What the user says of it is held to, and checked in the same way.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from torch import Tensor

from models.perturbation import recording

from . import outputs
from .causal import causal_inside, same
from .neurons import lookalike, neuron_classes, unknown
from .passes import passes
from .setting import FAILURES, candidates, further, next_one, tried
from .sources import Batch
from .spiking import Spiking
from .watched import FEW, Pass, passed, sites_of

if TYPE_CHECKING:
    from .subject import Subject


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
    if now.output.ndim == 3 and now.output.shape[0] == now.output.shape[1] > 1:  # which of them is time?
        batch = asked.batches(split, now.output.shape[0] - 1, FEW)[0]
        now = passed(asked, batch)
    return replace(asked, spiking=replace(_timed(asked, batch, now, say), recognised=True))


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


def _timed(subject: "Subject", batch: Batch, now: Pass, say: Callable[[str], object]) -> Spiking:
    """Its Spiking with time, timesteps, T and whether it is causal."""
    ways, failed = list(candidates(subject, batch)), ""
    said = (subject.spiking or Spiking()).timesteps
    for others in (next_one, further):  # what the next one shows is taken before what others show
        failing = []
        for way in ways:
            try:
                found = tried(subject, way, batch, now, others)
            except FAILURES as error:
                failing.append(way)
                failed = failed or f"{error}"
                continue
            if isinstance(found, Spiking):
                return found
            if said is not None:
                raise ValueError(f"subject {subject.title}: spiking.timesteps={said!r} {found}")
        ways = failing
    return _believed(subject, batch, now, failed, say) if said is not None else _fixed(subject, batch, now)


def _believed(subject: "Subject", batch: Batch, now: Pass, failed: str, say: Callable[[str], object]) -> Spiking:
    """Where what is said to set T is refused by the network at every other T; ``failed`` is what it says of that."""
    spiking = subject.spiking or Spiking()
    found = _fixed(subject, batch, now)
    held = spiking.steps or spiking.now(subject.network) or found.steps
    fits = held == found.steps if found.time is not None else bool(held) and now.spikes % (held or 1) == 0
    if not fits or not held:
        raise ValueError(
            f"subject {subject.title}: with T set by spiking.timesteps={spiking.timesteps!r} its network fails on one "
            f"step more: {failed}"
        )
    tries = ", ".join(map(str, (*next_one(held), *further(held))))
    say(
        f"{subject.title}: its network fails at every other number of steps that was tried ({tries}), and is taken at "
        f"its word that T is {held}: {failed}"
    )
    return found if found.time is not None else replace(spiking, time=None, steps=held, causal=False)


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
