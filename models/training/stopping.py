"""How a run ends before its last epoch: the training loss that was asked for is reached, or SIGTERM comes.

**Loss.** ``--until-loss X`` ends a run at the first epoch after which the training loss is at most X: in eval mode,
over all training images, without regulariser, as in history.csv. The learning rate's cosine spans ``--epochs`` whatever
happens, so a run that ends early ends at a rate above zero. Networks that reached one X are at comparable losses, not
after equally much training.

**SIGTERM.** The step at hand is finished (after the last step of an epoch: the epoch, and it is saved); an unfinished
epoch is lost, and the checkpoint of the one before lies there. Of several processes all stop when one is told to. The
process ends with status 143, which schedulers take for "terminated as asked". Started again, the run goes on from that
checkpoint.
"""

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from .. import processes
from ..checkpoint import Checkpoint, load

AGAIN = "the same command goes on from there"


class Terminated(SystemExit):
    """SIGTERM came; the exit status is 143, as a shell reports it."""

    def __init__(self) -> None:
        super().__init__(128 + signal.SIGTERM)


@contextmanager
def terminable() -> Iterator[Callable[[], None]]:
    """Put SIGTERM off: the function yielded raises :class:`Terminated` once it has come.

    Outside the main thread, where Python handles no signals, SIGTERM stays what it was.
    """
    received: list[int] = []

    def remember(number: int, _frame: FrameType | None) -> None:
        received.append(number)

    def check() -> None:
        if processes.any_of(bool(received)):
            raise Terminated

    if threading.current_thread() is not threading.main_thread():
        yield check
        return
    before = signal.signal(signal.SIGTERM, remember)
    try:
        yield check
    finally:
        signal.signal(signal.SIGTERM, before)


def reached(training: dict[str, Any], history: dict[str, list[float]]) -> bool | None:
    """Whether the last epoch's training loss is what ``until_loss`` asks for; None where nothing was asked."""
    goal = training.get("until_loss")
    if goal is None:
        return None
    losses = history[_column(training)]
    return bool(losses) and losses[-1] <= goal


def _column(training: dict[str, Any]) -> str:
    """The history's column that the run ends by: one of SDT's and TET's, or of the loss trained with."""
    loss = training["until_loss_of"]
    return f"train_loss_{loss}" if loss else "train_loss"


def finished(training: dict[str, Any]) -> bool:
    """Whether a run with this record has nothing left to do."""
    return bool(training.get("epochs_done") == training["epochs"] or training.get("until_loss_reached"))


def kept(path: Path) -> str:
    """What a run that stopped leaves at ``path``, for its last words."""
    return f"{near(path)} holds epoch {load(path).training['epochs_done']}" if path.exists() else "nothing was saved"


def near(path: Path) -> Path:
    """The path as seen from the present folder, where it lies below."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def warn_unreached(checkpoint: Checkpoint, out: Path) -> None:
    """Say on stderr that a finished run did not get to the loss asked for."""
    training = checkpoint.training
    if training.get("until_loss_reached") is False:
        loss = training["until_loss_of"] or training["loss"]
        found = checkpoint.history[_column(training)][-1]
        print(
            f"{out}: the training loss ({loss}) is {found:.4g} after {training['epochs']} epochs, not"
            f" {training['until_loss']:g} as --until-loss asks: raise --epochs or --until-loss",
            file=sys.stderr,
        )
