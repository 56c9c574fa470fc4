"""Subjects of the user's own in a study: every one measured by worker processes that have it by fork.

A network of the user's can't be sent to another process in general; a forked one has it already. Where it lies on a
GPU, which no forked process can use, the study's own process measures.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_all_start_methods, get_context
from pathlib import Path
from typing import Any, NamedTuple

import torch

from models import code

from .. import command
from ..subject import Subject, Unsuited
from .measuring import analyses, finished
from .stages import begin_worker, stage
from .trainings import Config, folders

_AT_HAND: list[Path | Subject] = []  # what forked workers have


class Refused(NamedTuple):
    """An analysis that a subject didn't get: why, and whether it is one that such a subject can't have."""

    title: str
    reason: str
    unsuited: bool


def measure(config: Config) -> tuple[list[Path], list[str], dict[str, float], list[str]]:
    """Put every analysis to the subjects that the study names.

    Returns their folders, the methods, the seconds of each stage, and what failed, a line each. What a subject can't
    have is said on stderr, and is no failure. Raises ValueError for subjects that can't be told apart.
    """
    named = command.every(command.Config(tuple(map(Path, config.subjects))))
    titles = [one.title if isinstance(one, Subject) else str(one) for one in named]
    if twice := [title for title in titles if titles.count(title) > 1]:
        raise ValueError(f"two subjects are called {twice[0]}: tell them apart by name=, or by method= and seed=")
    places = [config.out / folder for folder in folders([title.removesuffix("/ckpt.pt") for title in titles]).values()]
    methods = [one.method if isinstance(one, Subject) else Subject.load(one, code=config.code).method for one in named]
    seconds: dict[str, float] = {}
    failed: list[str] = []
    _AT_HAND[:] = named
    try:
        with _workers(config) as pool:
            for name in analyses(config, config.out):
                open_ = [i for i, one in enumerate(named) if not _finished(config, places[i], one, name)]
                tasks = [(_measured, (config, places[i], i, name)) for i in open_]
                found: list[Refused | None] = []
                seconds[name] = stage(pool, name, tasks, found.append)
                failed += _told(name, [one for one in found if one])
    finally:
        _AT_HAND.clear()
    return places, list(dict.fromkeys(methods)), seconds, failed


@contextmanager
def _workers(config: Config) -> Iterator[Executor]:
    if "fork" not in get_all_start_methods() or torch.cuda.is_initialized() or config.device.startswith("cuda"):
        yield _Here()
        return
    with ProcessPoolExecutor(config.jobs, get_context("fork"), begin_worker) as pool:
        yield pool


class _Here(Executor):
    """Carries out in this process what it is given, at once."""

    def submit(self, function: Callable[..., Any], /, *arguments: Any, **named: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(function(*arguments, **named))
        except Exception as error:  # noqa: BLE001 (the future hands it on)
            future.set_exception(error)
        return future


def _settings(config: Config, folder: Path, one: Path | Subject) -> dict[str, Any]:
    return analyses(config, folder, () if isinstance(one, Subject) else (one,))


def _finished(config: Config, folder: Path, one: Path | Subject, name: str) -> bool:
    return finished(name, _settings(config, folder, one)[name][1], one if isinstance(one, Subject) else None)


def _measured(config: Config, folder: Path, index: int, name: str) -> Refused | None:
    """Put one analysis to one subject, and return why that can't be; None where it could."""
    one = _AT_HAND[index]
    run, settings = _settings(config, folder, one)[name]
    try:
        with code.lines():
            run(settings, [one] if isinstance(one, Subject) else [])
    except (ValueError, OSError) as error:
        title = one.title if isinstance(one, Subject) else str(one)
        return Refused(title, " ".join(str(error).split()), isinstance(error, Unsuited))
    return None


def _told(name: str, refused: Sequence[Refused]) -> list[str]:
    """Say what was left out, each reason once, and return the lines of what failed."""
    reasons = dict.fromkeys((one.reason.replace(one.title, "it"), one.unsuited) for one in refused)
    lines = []
    for reason, unsuited in reasons:
        titles = [one.title for one in refused if one.reason.replace(one.title, "it") == reason]
        shown = ", ".join(titles[:3]) + (f" and {len(titles) - 3} more" if len(titles) > 3 else "")
        lines += [] if unsuited else [f"{name} of {shown}: {reason}"]
        print(f"{name} left out of {shown}: {reason}", file=sys.stderr)
    return lines
