"""Passes of a subject's network: what it returns for given batches, with a given number of steps, and what that is."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from landscape.evaluation import Source, described
from landscape.refusal import Refusal

from . import outputs, wanted
from .outputs import Layout, Loss
from .spiking import Spiking

if TYPE_CHECKING:
    from .subject import Subject

_FEW = 8


@dataclass(frozen=True)
class Seen:
    """What a first batch showed: the output's layout, the losses it has by itself, and what the network returns.

    ``usual`` are functions of the tensor that ``pick`` takes out of what is returned; ``tensor`` says that there is
    one, ``plain`` that it is what is returned; ``shown`` describes what is. ``advice`` ends the sentence that it says
    no loss.
    """

    layout: Layout
    usual: dict[str, Loss]
    pick: Callable[[Any], Tensor]
    tensor: bool
    plain: bool
    shown: str
    advice: str = ""

    def through(self, function: Loss) -> Loss:
        """A function of the tensor as one of what the network returns."""
        return function if self.plain else partial(outputs.through, self.pick, function)


def look(subject: "Subject") -> Seen:
    """See what the network of ``subject`` returns for its first examples, not as many of them as it takes steps.

    Raises ValueError where neither that nor ``output`` or ``losses`` say what the losses take.
    """
    time = subject.spiking.time if subject.spiking else None
    pick, split = subject.output or outputs.tensor, subject.there[0]
    try:
        returned, target = next(passes(subject, subject.batches(split, _FEW, _FEW)[:1], None))
    except Refusal as error:
        raise ValueError(f"subject {subject.title}, {split} data: {error}") from error
    plain = isinstance(returned, Tensor) and not subject.output
    try:
        output = pick(returned)
    except ValueError:
        if not subject.losses:
            raise
        return Seen(Layout(None, 1, "values"), {}, pick, False, False, described(returned))
    if not isinstance(output, Tensor):
        raise ValueError(f"subject {subject.title}: output= must return a tensor, got {described(output)}")
    if output.ndim == 3 and output.shape[0] == output.shape[1] > 1 and time is None:
        fewer = subject.batches(split, output.shape[0] - 1, _FEW)[:1]
        returned, target = next(passes(subject, fewer, None))
        output = pick(returned)
    found = outputs.layout(output, target, time=time)
    if found.answers == "labels" and wanted.one_hot(target):
        if not subject.losses:
            raise ValueError(f"subject {subject.title}, {split} data: {wanted.ONE_HOT}")
        if "bce" not in subject.losses:  # whose loss may be of classes: a share of labels would be no accuracy
            found = replace(found, answers="values")
    usual = {} if subject.losses else outputs.usual_losses(found, output)
    advice = "" if usual or subject.losses else wanted.advice(output, target)
    return Seen(found, usual, pick, True, plain, described(returned), advice)


def passes(subject: "Subject", batches: Source, steps: int | None) -> Iterator[tuple[Any, Any]]:
    """What the network returns for each batch, and the target; with T = ``steps`` where that is given.

    Between two batches the network is as it was found, and gradients are on or off as they were: a generator that an
    error leaves where it stands must hold neither.
    """
    spiking, network = subject.spiking or Spiking(), subject.network
    more, cut = {}, False
    if steps is not None:
        if keyword := spiking.keyword(network):
            more = {"forward": partial(told, keyword, steps)}
        else:
            cut = spiking.frames is not None or (spiking.timesteps is None and steps != subject.trained_timesteps)
    evaluation = subject.evaluation(batches, **more)
    for batch in evaluation.batches:
        with torch.no_grad(), evaluation.evaluating():
            inputs = spiking.shortened(batch.inputs, steps) if cut and steps else batch.inputs
            with asked_for(subject, steps), nullcontext() if steps is None or more else spiking.given(network, steps):
                returned = evaluation.output(inputs)
        yield returned, batch.target


@contextmanager
def asked_for(subject: "Subject", steps: int | None) -> Iterator[None]:
    """Refusals in here say that the network was asked for T = ``steps``, where that isn't its own T."""
    try:
        yield
    except Refusal as error:
        if steps is None or not subject.spikes or steps == subject.trained_timesteps:
            raise
        raise Refusal(f"asked for T = {steps}, where its own T is {subject.trained_timesteps}: {error}") from error


def told(keyword: str, steps: int, network: nn.Module, inputs: Any) -> Any:
    """The network's output with its steps given by keyword."""
    return network(inputs, **{keyword: steps})
