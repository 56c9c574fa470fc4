"""Counting what a subject does on its data, up to each number of steps.

One pass for each T, for any network: then nothing has to be known of where time lies, and nothing assumed of what the
first steps of a long pass have to do with a short one. This project's own networks, in which time comes first
throughout and no step knows of later ones, need only the longest, whose steps are kept apart.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float64
from torch import Tensor

from landscape.evaluation import examples, leaves
from models.networks.layers import Network

from ..subject import Spiking, Subject, Unsuited
from ..subject.passes import asked_for, passes
from ..subject.sources import Batch, selected
from ..timesteps.curves import curve
from .meter import Key, Meter, Tally
from .places import Places, places


@dataclass(frozen=True)
class Counted:
    """Tallies with a row for each of ``timesteps``: what each layer did up to then.

    ``neurons`` and ``synapses`` are those of a step.
    ``accuracy`` is each image's at each T, nan where nothing counts as right, or the output is no answer. ``unknown``
    says why it isn't known which image did how much, so that all have the mean; empty where it is.
    """

    timesteps: Sequence[int]
    layers: dict[Key, Tally]
    accuracy: Float64[Tensor, "time image"]
    unknown: str = ""


@torch.no_grad()
def counted(subject: Subject, batches: Sequence[Batch], timesteps: Sequence[int], *, once: bool = False) -> Counted:
    """What the network does on ``batches`` in each number of steps, which ascend.

    What reads a static image is the same at every step, and counts at every step, or ``once``, however often it is
    executed, which two T tell. Where only one is given that can't be told, and what is executed counts.
    """
    if isinstance(subject.network, Network) and list(timesteps) == list(range(1, len(timesteps) + 1)):
        layers, accuracy, unknown = _pass(subject, batches, timesteps[-1], apart=True)
        if not unknown:
            return Counted(timesteps, {key: _up_to(one, len(timesteps), once) for key, one in layers.items()}, accuracy)
    every = [_pass(subject, batches, steps, apart=False) for steps in timesteps]
    static = (subject.spiking or Spiking()).frames is None
    layers = {}
    for key in dict.fromkeys(key for found, _, _ in every for key in found):
        layers[key] = _stacked([found.get(key) for found, _, _ in every], timesteps, once if static else None)
    return Counted(timesteps, layers, torch.cat([accuracy for _, accuracy, _ in every]), every[-1][2])


def _pass(
    subject: Subject, batches: Sequence[Batch], steps: int, *, apart: bool
) -> tuple[dict[Key, Tally], Float64[Tensor, "time image"], str]:
    """Tallies of all images, their accuracies, and why it isn't known whose the counts are."""
    spiking = subject.spiking or Spiking()
    where, unknown = _places(subject, batches[0], steps)
    binary = all(bool(((leaf == 0) | (leaf == 1)).all()) for inputs, _ in batches for leaf in leaves(inputs))
    parts, accuracy = [], []
    for batch in batches:
        images = _number(subject, batch)
        meter = Meter(subject.network, spiking, images, where, steps=steps if apart and where else 0, binary=binary)
        with meter.attached():
            returned, target = next(passes(subject, [batch], steps))
        with asked_for(subject, steps):
            accuracy.append(_accuracy(subject, returned, target, images))
        parts.append((meter.found, images))
    right = torch.cat(accuracy, 1).cpu()
    return _together(parts), right if apart else right[-1:], unknown


def _places(subject: Subject, batch: Batch, steps: int) -> tuple[Places | None, str]:
    number = _number(subject, batch)

    def run(index: Sequence[int]) -> None:
        rows = torch.tensor([place % number for place in index])
        for _ in passes(subject, [selected(batch, rows, subject.axis)], steps):
            pass

    first = steps if subject.layout.time != 1 and (subject.spiking or Spiking()).frames != 1 else 1
    try:
        return places(subject.network, subject.spiking or Spiking(), run, first), ""
    except (ValueError, RuntimeError, AssertionError, IndexError) as error:
        return None, (str(error) or type(error).__name__).splitlines()[0]


def _number(subject: Subject, batch: Batch) -> int:
    return examples(None if subject.axis else batch[0], batch[1])


def _accuracy(subject: Subject, returned: Any, target: Any, images: int) -> Float64[Tensor, "time image"]:
    try:
        output = subject.time_first(returned)
    except Unsuited:
        return torch.full((1, images), torch.nan, dtype=torch.float64)
    if subject.layout.answers == "classes":
        return curve(output, target.long())["accuracy_cumulative"]
    found = subject.scored(output, target)
    return torch.full((len(output), images), torch.nan, dtype=torch.float64) if found is None else found


def _together(parts: Sequence[tuple[dict[Key, Tally], int]]) -> dict[Key, Tally]:
    """All batches' images; a layer that one of them didn't reach did nothing there."""
    return {key: _of_all(key, parts) for key in dict.fromkeys(key for found, _ in parts for key in found)}


def _of_all(key: Key, parts: Sequence[tuple[dict[Key, Tally], int]]) -> Tally:
    some = next(found[key] for found, _ in parts if key in found)
    none = torch.zeros_like(some.updates[:, :1])

    def count(name: str) -> Tensor:
        return torch.cat(
            [getattr(found[key], name) if key in found else none.expand(-1, size) for found, size in parts], 1
        )

    return some.counted(count)


def _up_to(tally: Tally, steps: int, once: bool) -> Tally:
    """Sums over the steps up to each, of steps kept apart; one row that reads the image counts at all or ``once``."""
    only = once and tally.image and len(tally.multiplications) < steps
    weight = (torch.arange(steps) == 0)[:, None] if only else torch.ones(steps, 1)
    return tally.counted(lambda name: (getattr(tally, name) * weight).cumsum(0))


def _stacked(tallies: Sequence[Tally | None], timesteps: Sequence[int], once: bool | None) -> Tally:
    """Passes of each number of steps as one tally; ``once`` is None where nothing is the same at every step."""
    last = next(tally for tally in reversed(tallies) if tally)
    some = replace(last, neurons=last.neurons / timesteps[-1], synapses=last.synapses / timesteps[-1])
    passes = list(zip(tallies, timesteps, strict=True))
    others = [*passes[1:2], *passes[:1] * len(passes)]  # the second for the first, and the first for all others
    factors = [_repeats(one, another, once) for one, another in zip(passes, others, strict=False)]
    every = [(tally, factor) if tally else (last, 0.0) for tally, factor in zip(tallies, factors, strict=True)]
    return some.counted(lambda name: torch.cat([getattr(tally, name) * factor for tally, factor in every]))


def _repeats(one: tuple[Tally | None, int], another: tuple[Tally | None, int], once: bool | None) -> float:
    """By what to multiply a pass's counts: of what reads a static image, so that they are of every step, or of one.

    How often that is executed is told by ``another`` T: as often there, or in proportion to T.
    """
    (tally, steps), (beside, others) = one, another
    if once is None or not tally or not tally.image or not beside or steps == others:
        return 1.0
    if tally.synapses * others == beside.synapses * steps:
        return 1 / steps if once else 1.0
    return (1.0 if once else float(steps)) if tally.synapses == beside.synapses else 1.0
