"""At which numbers of steps a network can be asked, and whether one pass at the largest holds the answers to fewer.

A network need not take every T: a temporal convolution has a least one, halved steps an even one. What it says at the
first T' steps of a longer pass is then no answer of the network at T', which has none; such T' are left out. Where it
can be asked at T', the longer pass holds the answer only if the network itself says the same.

Costs a pass of at most eight examples for each T. This project's own networks take every T, and their steps know
nothing of later ones: they aren't asked.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

from landscape.refusal import Refusal
from models.networks.layers import Network

from .causal import same
from .examples import Unsuited
from .passes import passes
from .setting import FAILURES
from .sources import Batch
from .spiking import Spiking
from .watched import FEW

if TYPE_CHECKING:
    from .subject import Subject


@dataclass(frozen=True)
class Askable:
    """The numbers of steps, ascending, why each of the others is left out, and whether one pass holds all of them."""

    steps: tuple[int, ...]
    left_out: Mapping[int, str]
    held: bool

    def said(self, subject: "Subject", *, quiet: bool) -> dict[str, str]:
        """What is left out and why, for the table's record; said in one line on stderr."""
        if self.left_out and not quiet:
            (first, why), *_ = self.left_out.items()
            at = "" if len(set(self.left_out.values())) == 1 else f"at T = {first} "
            named, several = _listed(sorted(self.left_out)), len(self.left_out) > 1
            print(
                f"{subject.title}: T = {named} {'are' if several else 'is'} left out, where its own T is "
                f"{subject.trained_timesteps}: {at}{why}",
                file=sys.stderr,
            )
        return {f"T = {steps}": f"is left out: {why}" for steps, why in self.left_out.items()}


def askable(subject: "Subject", most: int) -> Askable:
    """Which of T = 1 … ``most`` the network can be given; all, where nothing is known to set T.

    Raises ValueError where there is none, and where the network fails at its own T; Unsuited where that isn't how many
    steps its output has.
    """
    spiking, every = subject.spiking or Spiking(), range(1, most + 1)
    if not spiking.settable:
        return Askable(tuple(every) if subject.causal else (subject.trained_timesteps,), {}, subject.causal)
    if isinstance(subject.network, Network):
        return Askable(tuple(every), {}, subject.causal)
    batch = subject.batches(subject.there[0], FEW, FEW)[0]
    own, longest = _own(subject, batch), None
    can, left_out, held = [], {}, subject.causal
    for steps in reversed(every):
        found = own if steps == subject.trained_timesteps else _tried(subject, batch, steps, own)
        if isinstance(found, str):
            left_out[steps] = found
            continue
        can.append(steps)
        longest = found if longest is None else longest
        held = held and found is not None and longest is not None and same(longest[:steps], found)
    if not can:
        said = f"its network, whose own T is {subject.trained_timesteps}, takes no T of 1 … {most}"
        raise ValueError(f"{subject.title}: {said}: {left_out[most]}")
    return Askable(tuple(reversed(can)), dict(reversed(left_out.items())), held)


def _own(subject: "Subject", batch: Batch) -> Tensor | None:
    """What it says at its own T."""
    own, given = (_answer(subject, batch, steps) for steps in (None, subject.trained_timesteps))
    if own is not None and given is not None and own.shape != given.shape:
        raise Unsuited(
            f"{subject.title}: its output has {len(own)} steps, and {len(given)} when it is given so many: which of "
            "them is that of which step can't be told. Take one answer for all steps: output=lambda returned: "
            f"returned.mean({subject.layout.time})"
        )
    return own


def _tried(subject: "Subject", batch: Batch, steps: int, own: Tensor | None) -> Tensor | str | None:
    """What it says with so many steps, or why that can't be had."""
    try:
        found = _answer(subject, batch, steps)
    except Refusal as error:
        cause: BaseException = error
        while cause.__cause__ is not None:
            cause = cause.__cause__
        kind = "" if isinstance(cause, Refusal) else f"{type(cause).__name__}: "
        return f"{kind}{next(iter(str(cause).split(chr(10))))}"
    except FAILURES:
        return _OTHER
    if own is None or found is None:
        return found
    wanted = (steps if subject.layout.time is not None else 1, *own.shape[1:])
    return found if tuple(found.shape) == wanted else _OTHER


_OTHER = "its output there isn't of the shape that it has at its own T, with as many steps as asked for"


def _answer(subject: "Subject", batch: Batch, steps: int | None) -> Tensor | None:
    """What it says, time first; None where that isn't one tensor."""
    ((returned, _),) = passes(subject, [batch], steps)
    try:
        return subject.time_first(returned)
    except Unsuited:
        return None


def _listed(numbers: list[int]) -> str:
    """Whole numbers in rising order, three or more in a row as "3 … 9"."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(f"{run[0]} … {run[-1]}" if len(run) > 2 else ", ".join(map(str, run)) for run in runs)
