"""The whole way in one command: train by several methods over seeds, measure every checkpoint, compare, draw.

    python -m analysis.study --out runs/demo
    python -m analysis.study --out runs/mine --methods sdt tet late=tet:learning_rate=0.001,epochs=80

    python -m analysis.study --out runs/theirs --subjects mine.py:subjects

A method is ``[NAME=]LOSS[:SETTING=VALUE,…]``, settings being those of models.train; without NAME it is called what it
says. The first is the reference. The study leaves ``OUT/METHOD-SEED/ckpt.pt``, each run's own tables beside its
checkpoint, all of them stacked in ``OUT/tables``, the comparison there too, pictures in ``OUT/figures``, and all of it
on a page, ``OUT/report.html``.
What is finished, from the same checkpoint with the same settings, is not done again; what was interrupted goes on. Each
worker computes on one thread.

With ``--subjects`` nothing is trained: the subjects that a file of the user's returns (:mod:`analysis.subject.targets`)
are measured, compared and drawn the same way, tables in ``OUT/NAME/tables``. What one of them can't have is said in a
line and left out; where something fails, the rest is measured and drawn, and the end is one line with what failed. Its
tables of an earlier time stay in ``OUT/NAME/tables``, and count nowhere. One whose weights, code and data are as they
were, as far as that is seen without reading all of them (:mod:`analysis.subject.digest`), is not measured again.
"""

import contextlib
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from models import train
from models.training import recipe
from tables import left_out
from tables.files import alone
from tables.reading import available, read
from tables.result import Result

from .. import compare
from .. import flags as common
from . import own
from .ending import ending
from .executors import executor
from .flags import Config
from .measuring import analyses, finished
from .stacking import Stale, stack
from .stages import Task, stage, stages
from .trainings import method, trainings


class Partly(ValueError):
    """A study was made without some of what it was asked for; ``verdict`` and ``seconds`` are of the rest."""

    def __init__(self, line: str, verdict: str, seconds: dict[str, float]):
        super().__init__(line)
        self.verdict, self.seconds = verdict, seconds


def run(config: Config) -> tuple[str, dict[str, float]]:
    """Carry the study out; returns the verdict in words and the seconds that each stage took.

    Raises Partly where some of it failed and the rest is there, ValueError where nothing is, OSError where another
    study is being carried out in the same folder.
    """
    with alone(config.out):
        return _carried_out(config)


def _carried_out(config: Config) -> tuple[str, dict[str, float]]:
    if min(config.seeds, config.jobs, config.images, config.twins + 1) < 1:
        raise ValueError(
            "seeds, jobs and images must be at least 1 and twins at least 0,"
            f" got {config.seeds}, {config.jobs}, {config.images} and {config.twins}"
        )
    failed: list[str] = []
    stale: Stale = {}
    if config.subjects is not None:
        config = replace(config, out=config.out.absolute())  # whatever folder the user's code goes to
        folders, methods, seconds, failed, stale = own.measure(config)
        if failed and config.reference not in (None, *methods):
            failed.append(f"the reference, {config.reference}, has no table: {methods[0]} is the reference")
            config = replace(config, reference=None)
    elif config.code:
        raise ValueError("--code is of checkpoints among --subjects: name them")
    else:
        folders, methods, seconds = _trained(config)
        left_out.write(config.out, [])
    try:
        seconds |= _conclude(config, folders, methods, stale)
    except ValueError as error:
        (config.out / "report.html").unlink(missing_ok=True)  # it would be of other tables than those that lie there
        raise ValueError("; ".join([str(error), *failed])) from error
    verdict = _verdict(config, methods)
    if failed:
        line = f"{config.out / 'report.html'} is made without what failed: {'; '.join(failed)}"
        raise Partly(line, verdict, seconds)
    return verdict, seconds


def _verdict(config: Config, methods: Sequence[str]) -> str:
    if len(methods) < 2:
        return f"one method, {methods[0]}: nothing to compare"
    there = [name for name in available(config.out) if name in ("counts", "crossovers")]
    beside = {name: read(config.out, name) for name in there}
    return compare.verdict(read(config.out, "compare"), beside)


def _trained(config: Config) -> tuple[list[Path], list[str], dict[str, float]]:
    """Train and measure; returns the runs' folders, the methods, and the seconds of each stage."""
    seconds, plans = {}, trainings(config)
    folders = [plan.out for plan in plans]
    with executor(config.executor, config.jobs) as pool:
        seconds["train"] = stage(pool, "train", [(_train, (plan,)) for plan in plans if not train.done(plan)])
        tasks: dict[str, list[Task]] = {name: [] for name in analyses(config, folders[0])}
        for folder in folders:
            for name, one in analyses(config, folder, [folder / "ckpt.pt"]).items():
                tasks[name] += [] if finished(name, one[1]) else [(_analyse, one)]
        seconds |= stages(pool, tasks)
    return folders, [method(one)[0] for one in config.methods], seconds


def _conclude(config: Config, folders: Sequence[Path], methods: Sequence[str], stale: Stale) -> dict[str, float]:
    """Stack, compare and draw, unless that was done of these runs since their last table was written; the seconds.

    Tables of an earlier time that are ``stale`` count nowhere.
    """
    left = [f"without {folder.parent.name}: {' '.join(sorted(names))}" for folder, names in stale.items() if names]
    names = "\n".join([" ".join(each.name for each in folders), *left, *left_out.read(config.out)])
    done = config.out / "figures" / ".done"
    report = config.out / "report.html"
    written = max(table.stat().st_mtime for folder in folders for table in (folder / "tables").glob("*.csv"))
    if report.exists() and done.exists() and done.stat().st_mtime > written and done.read_text() == names:
        return {"compare": 0.0, "figures": 0.0}
    begun = time.perf_counter()
    stack([folder / "tables" for folder in folders], config.out / "tables", stale)
    if len(methods) > 1:
        asked = compare.Config((config.out,), reference=config.reference or methods[0])
        compare.run(asked).replace("compare", config.out / "tables")
    elif left:
        Result({}, {}).replace("compare", config.out / "tables")
    compared = time.perf_counter()
    surfaces = ("figures.interactive",) if (config.out / "tables" / "surface.csv").exists() else ()
    _draw(config, ("figures.paper", *surfaces, "figures.report"))
    done.write_text(names)
    return {"compare": compared - begun, "figures": time.perf_counter() - compared}


def _draw(config: Config, modules: Sequence[str]) -> None:
    """Have each of the ``modules`` draw, as many at a time as there are ``config.jobs``. None needs another's files."""

    def drawn(module: str) -> bool:
        quiet = ["--quiet"] if module == "figures.paper" else []  # the page has a list of what wasn't measured
        drawing = [sys.executable, "-m", module, str(config.out), *quiet]
        return not subprocess.run(drawing, check=False, stdout=subprocess.DEVNULL).returncode

    with ThreadPoolExecutor(config.jobs) as threads:
        if not all(list(threads.map(drawn, modules))):
            raise ValueError(f"the figures of {config.out} could not be drawn, for the reason above")


def _train(plan: recipe.Config) -> None:
    train.run(plan)


def _analyse(analysis: Callable[..., Any], settings: common.Config) -> None:
    analysis(settings)


def show(config: Config) -> None:
    """Carry the study out, and print what :mod:`analysis.study.ending` says of it.

    Where some of it failed, what there is is told all the same, and then, as an error, what there isn't.
    """
    here = Path.cwd()
    try:
        _, seconds = run(config)
    except Partly as partly:
        _tell(config, partly.seconds, here)
        raise
    _tell(config, seconds, here)


def _tell(config: Config, seconds: Mapping[str, float], here: Path) -> None:
    with contextlib.chdir(here):  # wherever the user's code went
        print(ending(config, seconds))
