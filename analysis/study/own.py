"""Subjects of the user's own in a study: every one measured by worker processes that have it by fork.

A network of the user's can't be sent to another process in general; a forked one has it already. Where it lies on a
GPU, which no forked process can use, the study's own process measures. Workers of an executor make the subjects
themselves, from the same words in the same folder, and refuse those that come out as others.
"""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor
from contextlib import chdir, contextmanager, nullcontext
from dataclasses import replace
from functools import cache
from multiprocessing import get_all_start_methods, get_context
from pathlib import Path
from typing import Any, NamedTuple

import torch

from models import code
from tables import left_out

from .. import flags
from ..loading import check_titles, every, title
from ..subject import Subject, Unsuited
from .executors import executor
from .flags import Config
from .measuring import analyses, finished, main_table
from .refused import LEFT_OUT, Refused, once_each, summed, told
from .stacking import Stale, written_with
from .stages import begin_worker, stage
from .trainings import folders

_AT_HAND: list[Path | Subject] = []  # what forked workers have


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
        with executor(config.executor, config.jobs) if config.executor else nullcontext() as elsewhere:
            for name in analyses(config, config.out) if named else ():
                begun = time.perf_counter()
                refused = _stage(config, places, name, elsewhere)
                known = {(one.title, one.reason) for _, one in failures}
                news = [one for one in refused if one.unsuited or (one.title, one.reason) not in known]
                print(*(f"{line}\n" for line in told(name, news)), sep="", end="", file=sys.stderr)
                unsuited += told(name, [one for one in refused if one.unsuited])
                failures += [(name, one) for one in refused if not one.unsuited]
                for one in refused:
                    folder = places[[title(each) for each in named].index(one.title)] / "tables"
                    stale[folder] |= written_with(main_table(name, folder))
                seconds[name] = time.perf_counter() - begun
    finally:
        _AT_HAND.clear()
    lacking = [*failed, *summed(failures, LEFT_OUT), *unsuited]
    failed += once_each(failures)
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


def _stage(config: Config, places: Sequence[Path], name: str, elsewhere: Executor | None) -> list[Refused]:
    """Put one analysis to every subject that hasn't had it; returns what didn't come about, in order.

    Where a worker of this machine dies, those that were left are measured one at a time, each by a worker of its own.
    """
    found: dict[int, Refused | None] = {}

    def carry_out(shared: Config, indices: Sequence[int]) -> None:
        with _workers(shared) as pool:
            stage(pool, name, [(_at_hand, (shared, places[i], i, name)) for i in indices], found.update)

    def left() -> list[int]:
        return [i for i, one in enumerate(_AT_HAND) if i not in found and not _finished(config, places[i], one, name)]

    if elsewhere:
        tasks = [(_elsewhere, (config, places[i], i, name, Path.cwd(), *_named(_AT_HAND[i]))) for i in left()]
        stage(elsewhere, name, tasks, found.update)
        return [one for _, one in sorted(found.items()) if one]
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


def _at_hand(config: Config, folder: Path, index: int, name: str) -> dict[int, Refused | None]:
    """Measure a subject that this process has."""
    return {index: _measured(config, folder, _AT_HAND[index], name)}


def _named(one: Path | Subject) -> tuple[str, str | None]:
    """What another process knows it by: its title, and of a subject its digest."""
    return title(one), one.sha256 if isinstance(one, Subject) else None


def _elsewhere(
    config: Config, folder: Path, index: int, name: str, here: Path, wanted: str, digest: str | None
) -> dict[int, Refused | None]:
    """Measure a subject that this process makes itself, of the words that the study has, in the folder ``here``."""
    with chdir(here):
        if digest is None:
            return {index: _measured(config, folder, Path(wanted), name)}
        try:
            one = _made_again(here, config.subjects or ())[wanted]
        except (ValueError, OSError, KeyError) as error:
            return {index: Refused(wanted, f"a worker couldn't make it: {' '.join(str(error).split())}", False)}
        if one.sha256 != digest:
            said = "a worker made another network of the same words: seed what it draws, or save it and load it"
            return {index: Refused(wanted, said, False)}
        return {index: _measured(config, folder, one, name)}


@cache
def _made_again(_here: Path, words: tuple[str, ...]) -> dict[str, Subject]:
    return {title(one): one for one in every(flags.Config(tuple(map(Path, words)))) if isinstance(one, Subject)}


def _measured(config: Config, folder: Path, one: Path | Subject, name: str) -> Refused | None:
    """Put one analysis to one subject, and return why that can't be; None where it could."""
    run, settings = _settings(config, folder, one)[name]
    try:
        with code.lines():
            run(settings, [one] if isinstance(one, Subject) else [])
    except (Exception, SystemExit) as error:  # noqa: BLE001 (the others are measured all the same)
        kind = "" if isinstance(error, ValueError | OSError) else f"{type(error).__name__}: "
        reason = kind + " ".join(str(error).split()).removeprefix(f"{title(one)}: ")
        return Refused(title(one), reason, isinstance(error, Unsuited))
    return None
