"""A training run in parts: another loss, another T, another learning rate from some epoch on.

Written as epochs and what differs from the run's own settings, phase by phase::

    "200 loss=sdt; 100"                                 SDT for 200 epochs, then the run's loss (Deng et al., Figure 3)
    "300 timesteps=2; 50 learning_rate=1e-4"            T = 2 for 300 epochs, then the run's T

The second is time inheritance training (Deng et al. 2022, section 4.3): long at few steps, then short at the T asked
for. A phase with a ``learning_rate`` starts the optimizer and the cosine anew, down to zero over its epochs and those
of the phases after it that have none; a phase without one goes on along the cosine, with the optimizer's moments.

Cost is counted in time steps, epochs · T, as in the paper: 300 epochs at T = 2 and 50 at T = 6 are 900, half of the
1,800 of 300 epochs at T = 6.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

from ..losses import OBJECTIVES

_KEYS = ("loss", "timesteps", "learning_rate")


@dataclass(frozen=True)
class Phase:
    """``epochs`` with one loss and one T; ``learning_rate`` is None where the cosine goes on."""

    epochs: int
    loss: str
    timesteps: int
    learning_rate: float | None = None

    def __str__(self) -> str:
        rate = "" if self.learning_rate is None else f" learning_rate={self.learning_rate!r}"
        return f"{self.epochs} loss={self.loss} timesteps={self.timesteps}{rate}"


def parse(text: str, *, loss: str, timesteps: int) -> tuple[Phase, ...]:
    """The phases that ``text`` names; ``loss`` and ``timesteps`` are for those that don't say.

    Joined by "; ", their ``str`` is a text that says everything. Raises ValueError for what can't be read.
    """
    return tuple(_phase(part.split(), text, loss, timesteps) for part in text.split(";"))


def _phase(words: list[str], text: str, loss: str, timesteps: int) -> Phase:
    pairs = [word.partition("=") for word in words[1:]]
    said = {key: value for key, _, value in pairs}
    complaint = f"--phases {text!r} can't be read: expected epochs and {', '.join(_KEYS)}, as in '200 loss=sdt; 100'"
    if not words or len(said) < len(pairs) or not said.keys() <= set(_KEYS):
        raise ValueError(complaint)
    try:
        rate = float(said["learning_rate"]) if "learning_rate" in said else None
        phase = Phase(int(words[0]), said.get("loss", loss), int(said.get("timesteps", timesteps)), rate)
    except ValueError as failure:
        raise ValueError(complaint) from failure
    if phase.loss not in (*OBJECTIVES, loss):
        raise ValueError(complaint)
    if phase.epochs < 1 or phase.timesteps < 1:
        raise ValueError(f"a phase has at least one epoch and one timestep, got '{phase}'")
    if rate is not None and not 0 < rate < inf:
        raise ValueError(f"a phase's learning rate must be positive and finite, got {rate}")
    return phase


def at(phases: Sequence[Phase], epoch: int) -> int:
    """The number, from 0, of the phase that ``epoch`` (from 1) is in."""
    ends = [sum(phase.epochs for phase in phases[: index + 1]) for index in range(len(phases))]
    return next(index for index, end in enumerate(ends) if epoch <= end)


def leg(phases: Sequence[Phase], number: int) -> tuple[int, int]:
    """The phase whose learning rate holds in phase ``number``, and the epochs that its cosine spans."""
    starts = [index for index, phase in enumerate(phases) if index == 0 or phase.learning_rate is not None]
    start = max(index for index in starts if index <= number)
    end = min((index for index in starts if index > number), default=len(phases))
    return start, sum(phase.epochs for phase in phases[start:end])


def described(phases: Sequence[Phase]) -> str:
    """One line: the phases, the time steps that they cost, and those of the longest phase at the last one's T."""
    parts = [f"{phase.epochs} epochs of {phase.loss.upper()} at T = {phase.timesteps}" for phase in phases]
    cost = sum(phase.epochs * phase.timesteps for phase in phases)
    long, steps = max(phase.epochs for phase in phases), phases[-1].timesteps
    inherited = len({phase.timesteps for phase in phases}) > 1
    scratch = f"; {long} epochs at T = {steps} would be {long * steps:,}" if inherited else ""
    return f"{', then '.join(parts)}: {cost:,} time steps an image{scratch}"
