"""The whole way in one command: train by several methods over seeds, measure every checkpoint, compare, draw.

    python -m analysis.study --out runs/demo
    python -m analysis.study --out runs/mine --methods sdt tet late=tet:learning_rate=0.001,epochs=80

A method is ``[NAME=]LOSS[:SETTING=VALUE,…]``, settings being those of models.train; without NAME it is called what it
says. The first is the reference. The study leaves ``OUT/METHOD-SEED/ckpt.pt``, each run's own tables beside its
checkpoint, all of them stacked in ``OUT/tables``, the comparison there too, pictures in ``OUT/figures``, and all of it
on a page, ``OUT/report.html``.
What is finished, from the same checkpoint with the same settings, is not done again; what was interrupted goes on. Each
worker computes on one thread.
"""

import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context, parent_process
from pathlib import Path
from threading import Thread
from typing import Any

import pandas as pd
import torch
from tqdm import tqdm

from models import train
from models.training import recipe
from tables.command_line import command as run_command
from tables.methods import with_methods
from tables.reading import available, read
from tables.record import origin, provenance, sha256
from tables.result import Result

from .. import command, compare, energy, hessian, history, momentum, rise, robustness, sharpness, surface, timesteps
from .trainings import Config, method, trainings

Analysis = tuple[Callable[[Any], Result], command.Config]


def run(config: Config) -> tuple[str, dict[str, float]]:
    """Carry the study out; returns the verdict in words and the seconds that each stage took."""
    if min(config.seeds, config.jobs, config.images, config.twins + 1) < 1:
        raise ValueError(
            "seeds, jobs and images must be at least 1 and twins at least 0,"
            f" got {config.seeds}, {config.jobs}, {config.images} and {config.twins}"
        )
    seconds: dict[str, float] = {}
    plans = trainings(config)
    folders = [plan.out for plan in plans]
    with ProcessPoolExecutor(config.jobs, get_context("spawn"), _begin_worker) as pool:
        tasks = [(_train, (plan,)) for plan in plans]
        seconds["train"] = _stage(pool, "train", tasks)
        for name in analyses(config, folders[0]):
            asked = [analyses(config, folder)[name] for folder in folders]
            stale = [one for one in asked if not _finished(name, one[1])]
            seconds[name] = _stage(pool, name, [(_analyse, plan) for plan in stale])
    seconds |= _conclude(config, folders)
    if len(config.methods) < 2:
        return f"one method, {config.methods[0]}: nothing to compare", seconds
    there = [name for name in available(config.out) if name in ("counts", "crossovers")]
    beside = {name: read(config.out, name) for name in there}
    return compare.verdict(read(config.out, "compare"), beside), seconds


def _conclude(config: Config, folders: Sequence[Path]) -> dict[str, float]:
    """Stack, compare and draw, unless that was done of these runs since their last table was written; the seconds."""
    done, names = config.out / "figures" / ".done", " ".join(folder.name for folder in folders)
    report = config.out / "report.html"
    written = max(table.stat().st_mtime for folder in folders for table in (folder / "tables").glob("*.csv"))
    if report.exists() and done.exists() and done.stat().st_mtime > written and done.read_text() == names:
        return {"compare": 0.0, "figures": 0.0}
    begun = time.perf_counter()
    _stack([folder / "tables" for folder in folders], config.out / "tables")
    if len(config.methods) > 1:
        reference = method(config.methods[0])[0]
        compare.save(compare.run(compare.Config((config.out,), reference=reference)), config.out / "tables")
    compared = time.perf_counter()
    for module in ("figures.paper", "figures.interactive", "figures.report"):
        drawing = [sys.executable, "-m", module, str(config.out)]
        if subprocess.run(drawing, check=False, stdout=subprocess.DEVNULL).returncode:
            raise ValueError(f"the figures of {config.out} could not be drawn, for the reason above")
    done.write_text(names)
    return {"compare": compared - begun, "figures": time.perf_counter() - compared}


def analyses(config: Config, folder: Path) -> dict[str, Analysis]:
    """Every analysis of the checkpoint in ``folder``: what to call, with which settings."""
    shared: dict[str, Any] = {
        "checkpoints": (folder / "ckpt.pt",),
        "out": folder / "tables",
        "data_root": config.data_root,
        "device": config.device,
        "quiet": True,
    }
    landscape = shared | {"images": config.images, "chunk": config.images}
    return {
        "hessian": (hessian.run, hessian.Config(**landscape, trace_tolerance=0.1, steps=10, radius_top=1)),
        "surface": (surface.run, surface.Config(**landscape)),
        "sharpness": (
            sharpness.run,
            sharpness.Config(
                **landscape,
                measures=("average", "worst", "adaptive", "relative-flatness", "fisher-rao", "norms"),
                draws=10,
                magnitude=(),
                absolute=(),
                worst=(0.1,),
                adaptive=(0.01,),
            ),
        ),
        "rise": (rise.run, rise.Config(**landscape)),
        "robustness": (robustness.run, robustness.Config(**shared | {"images": 500}, draws=3)),
        "momentum": (momentum.run, momentum.Config(**shared, layers=True, steps=20)),
        "timesteps": (timesteps.run, timesteps.Config(**shared)),
        "energy": (energy.run, energy.Config(**shared)),
        "history": (history.run, history.Config(**shared)),
    }


def _begin_worker() -> None:
    torch.set_num_threads(1)
    Thread(target=_die_with_the_study, daemon=True).start()


def _die_with_the_study() -> None:
    """So that the same study, started again after a kill, finds nobody at work in its folders."""
    study = parent_process()
    if study:
        study.join()
        os._exit(1)


def _train(plan: recipe.Config) -> None:
    train.run(plan)


def _analyse(analysis: Callable[[Any], Result], settings: command.Config) -> None:
    analysis(settings)


def _stage(pool: ProcessPoolExecutor, name: str, tasks: Iterable[tuple[Callable[..., None], Sequence[Any]]]) -> float:
    """Carry the tasks out, with a bar; returns the seconds it took. The first failure stops the study."""
    begun = time.perf_counter()
    futures = [pool.submit(function, *arguments) for function, arguments in tasks]
    try:
        for future in tqdm(
            as_completed(futures), total=len(futures), desc=f"{name:9}", unit="run", disable=not futures
        ):
            future.result()
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    return time.perf_counter() - begun


def _finished(name: str, settings: command.Config) -> bool:
    """Whether the tables of this analysis lie there, from this checkpoint and these settings."""
    try:
        found = origin((settings.out or Path()) / f"{name}.csv")
    except (FileNotFoundError, ValueError):  # what is damaged is made again
        return False
    wanted = json.loads(json.dumps(command.recorded(settings), default=str))
    return found["settings"] == wanted and found["checkpoints"] == {
        path.as_posix(): sha256(path) for path in settings.checkpoints
    }


def _stack(folders: Sequence[Path], out: Path) -> None:
    """One table from the runs' tables of the same name, and one record of their provenance."""
    for path in sorted(folders[0].glob("*.csv")):
        found = [folder / path.name for folder in folders if (folder / path.name).exists()]
        records = [origin(table) for table in found]
        hashes = {name: digest for record in records for name, digest in record["checkpoints"].items()}
        record = provenance(records[0]["settings"], hashes, sum(record["seconds"] for record in records))
        parts = [with_methods(pd.read_csv(table, dtype=str, na_filter=False)) for table in found]  # text as written
        stacked = pd.concat(parts, ignore_index=True)
        Result({path.stem: stacked}, record).save(out)


def _equal(config: Config) -> str:
    """The command that trains the methods to one loss, the highest that one of them ended at, and a little more."""
    history = read(config.out, "history")
    loss = min(name.removeprefix("train_loss_") for name in map(str, history) if name.startswith("train_loss_"))
    last = history[history["epoch"] == history.groupby("checkpoint")["epoch"].transform("max")]
    level = 1.1 * last.groupby("method")[f"train_loss_{loss}"].mean().max()
    methods = " ".join(shlex.quote(one) for one in config.methods)
    return (
        f"python -m analysis.study --out {shlex.quote(str(config.out) + '-equal')} --methods {methods} "
        f"--until-loss {level:.2g} --until-loss-of {loss}"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""

    def show(config: Config) -> None:
        verdict, seconds = run(config)
        print(verdict)
        print(f"\ntables   {config.out / 'tables'}\nfigures  {config.out / 'figures'}")
        print(f"report   {config.out / 'report.html'}")
        if config.until_loss is None and len(config.methods) > 1:
            print(f"at equal training loss: {_equal(config)}")
        times = ", ".join(f"{name} {value:.0f}" for name, value in seconds.items())
        print(f"seconds  {sum(seconds.values()):.0f} in all: {times}")

    return run_command(Config, show, argv, "python -m analysis.study")
