"""Subjects of the user's own in a study: every one measured by worker processes that have it by fork.

A network of the user's can't be sent to another process in general; a forked one has it already. Where it lies on a
GPU, which no forked process can use, the study's own process measures.
"""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing import get_all_start_methods, get_context
from pathlib import Path
from typing import Any, NamedTuple

import torch

from models import code
from tables import left_out

from .. import flags
from ..loading import check_titles, every, title
from ..subject import Subject, Unsuited
from .flags import Config
from .measuring import analyses, finished, main_table
from .stacking import Stale, written_with
from .stages import begin_worker, stage
from .trainings import folders

_LEFT_OUT = "{} left out of {}: {}"
_AT_HAND: list[Path | Subject] = []  # what forked workers have


class Refused(NamedTuple):
    """An analysis that a subject didn't get: why, and whether it is one that such a subject can't have."""

    title: str
    reason: str
    unsuited: bool


class Measured(NamedTuple):
    """Folders and methods of the subjects that got a table, the seconds of each stage, what failed, a line each.

    ``stale`` are tables of an earlier time that lie in folders of subjects which fail to give them now.
    """

    folders: list[Path]
    methods: list[str]
    seconds: dict[str, float]
    failed: list[str]
    stale: dict[Path, set[str]]


def measure(config: Config) -> Measured:
    """Put every analysis to the subjects that the study names.

    What a subject can't have is said on stderr, and is no failure; why it fails, once for every cause. Raises
    ValueError where there is none, for subjects that can't be told apart, and where nothing at all could be measured.
    """
    if not config.subjects:
        raise ValueError("no subject: name one or more, as in --subjects mine.py:subjects runs/sdt-0/ckpt.pt")
    named = every(flags.Config(tuple(map(Path, config.subjects))))
    check_titles(named)
    titles = [title(one) for one in named]
    places = [config.out / folder for folder in folders([name.removesuffix("/ckpt.pt") for name in titles]).values()]
    methods, failed = _methods(config, named)
    stale = {place / "tables": set[str]() for place in places}
    for place in (place for place, name in zip(places, titles, strict=True) if name not in methods):
        stale[place / "tables"] = {table.stem for table in (place / "tables").glob("*.csv")}
    named = [one for one in named if title(one) in methods]
    places = [place for place, name in zip(places, titles, strict=True) if name in methods]
    seconds: dict[str, float] = {}
    unsuited, failures = list[str](), list[tuple[str, Refused]]()
    _AT_HAND[:] = named
    try:
        for name in analyses(config, config.out) if named else ():
            begun = time.perf_counter()
            refused = _stage(config, places, name)
            known = {(one.title, one.reason) for _, one in failures}
            news = [one for one in refused if one.unsuited or (one.title, one.reason) not in known]
            print(*(f"{line}\n" for line in _told(name, news)), sep="", end="", file=sys.stderr)
            unsuited += _told(name, [one for one in refused if one.unsuited])
            failures += [(name, one) for one in refused if not one.unsuited]
            for one in refused:
                folder = places[[title(each) for each in named].index(one.title)] / "tables"
                stale[folder] |= written_with(main_table(name, folder))
            seconds[name] = time.perf_counter() - begun
    finally:
        _AT_HAND.clear()
    lacking = [*failed, *_summed(failures, _LEFT_OUT), *unsuited]
    failed += _once_each(failures)
    there = [i for i, place in enumerate(places) if _fresh(place / "tables", stale)]
    gone = [name for name in titles if name not in {title(named[i]) for i in there}]
    left_out.write(config.out, [*([f"{left_out.WHOLLY}{', '.join(gone)}"] if gone else []), *lacking])
    if not there:
        raise ValueError(f"nothing could be measured: {'; '.join(failed) or 'no analysis suits what there is'}")
    kept = dict.fromkeys(methods[title(named[i])] for i in there)
    return Measured([places[i] for i in there], list(kept), seconds, failed, stale)


def _fresh(folder: Path, stale: Stale) -> list[Path]:
    """The tables in ``folder`` that were made, or found to be as they would be made, now."""
    return [table for table in folder.glob("*.csv") if table.stem not in stale[folder]]


def _methods(config: Config, named: Sequence[Path | Subject]) -> tuple[dict[str, str], list[str]]:
    """By title the method of every subject that can be read, and a line for each that can't."""
    methods, failed = dict[str, str](), list[str]()
    for one in named:
        try:
            methods[title(one)] = _method(config, one)
        except (ValueError, OSError) as error:
            said = " ".join(str(error).split())
            failed.append(said if title(one) in said else f"{title(one)}: {said}")
    return methods, failed


def _method(config: Config, one: Path | Subject) -> str:
    if isinstance(one, Subject):
        return one.method
    return Subject.load(one, data_root=config.data_root, code=config.code).method


def _stage(config: Config, places: Sequence[Path], name: str) -> list[Refused]:
    """Put one analysis to every subject that hasn't had it; returns what didn't come about, in order.

    Where a worker dies, those that were left are measured one at a time, each by a worker of its own.
    """
    found: dict[int, Refused | None] = {}

    def carry_out(shared: Config, indices: Sequence[int]) -> None:
        with _workers(shared) as pool:
            stage(pool, name, [(_measured, (shared, places[i], i, name)) for i in indices], found.update)

    def left() -> list[int]:
        return [i for i, one in enumerate(_AT_HAND) if i not in found and not _finished(config, places[i], one, name)]

    try:
        carry_out(config, left())
    except BrokenExecutor:
        for i in left():
            try:
                carry_out(replace(config, jobs=1), [i])
            except BrokenExecutor:
                found[i] = Refused(title(_AT_HAND[i]), "its process ended: it crashed or ran out of memory", False)
    return [one for _, one in sorted(found.items()) if one]


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
    try:
        return finished(name, _settings(config, folder, one)[name][1], one if isinstance(one, Subject) else None)
    except Exception:  # noqa: BLE001 (of data that can't be read, which measuring tells)
        return False


def _measured(config: Config, folder: Path, index: int, name: str) -> dict[int, Refused | None]:
    """Put one analysis to one subject, and return why that can't be; None where it could."""
    one = _AT_HAND[index]
    run, settings = _settings(config, folder, one)[name]
    try:
        with code.lines():
            run(settings, [one] if isinstance(one, Subject) else [])
    except (Exception, SystemExit) as error:  # noqa: BLE001 (the others are measured all the same)
        kind = "" if isinstance(error, ValueError | OSError) else f"{type(error).__name__}: "
        reason = kind + " ".join(str(error).split()).removeprefix(f"{title(one)}: ")
        return {index: Refused(title(one), reason, isinstance(error, Unsuited))}
    return {index: None}


def _told(name: str, refused: Sequence[Refused], words: str = _LEFT_OUT) -> list[str]:
    """What was refused, each reason once with whose it is, in these words."""
    lines = []
    for reason in dict.fromkeys(one.reason for one in refused):
        titles = [one.title for one in refused if one.reason == reason]
        shown = ", ".join(titles[:3]) + (f" and {len(titles) - 3} more" if len(titles) > 3 else "")
        lines.append(words.format(name, shown, reason))
    return lines


def _once_each(failures: Sequence[tuple[str, Refused]]) -> list[str]:
    """Of every subject the first cause in a line, those of one cause together; whatever else was told already."""
    first: dict[str, str] = {}
    for _, one in failures:
        first.setdefault(one.title, one.reason)
    whole = _summed([(name, one) for name, one in failures if one.reason == first[one.title]])
    more = dict.fromkeys(one.title for _, one in failures if one.reason != first[one.title])
    return [*whole, *([f"for other causes, told above, more of {', '.join(more)}"] if more else [])]


def _summed(failures: Sequence[tuple[str, Refused]], words: str = "{} of {}: {}") -> list[str]:
    """A line for each reason with the analyses that failed for it, of the same subjects together."""
    names: dict[tuple[str, str], list[str]] = {}
    for name, one in failures:
        names.setdefault((one.title, one.reason), []).append(name)
    alike: dict[str, list[Refused]] = {}
    for (whose, reason), found in names.items():
        alike.setdefault(", ".join(found), []).append(Refused(whose, reason, False))
    return [line for found, refused in alike.items() for line in _told(found, refused, words)]
