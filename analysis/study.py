"""The whole way in one command: train with SDT and with TET over seeds, measure every checkpoint, compare, draw.

    python -m analysis.study --out runs/demo

leaves ``OUT/sdt-0/ckpt.pt`` … ``OUT/tet-4/ckpt.pt``, each run's own tables beside its checkpoint, all of them stacked
in ``OUT/tables``, the comparison there too, pictures in ``OUT/figures``, and all of it on a page, ``OUT/report.html``.
What is finished, from the same checkpoint with the same settings, is not done again; what was interrupted goes on. Each
worker computes on one thread.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from multiprocessing import get_context, parent_process
from pathlib import Path
from threading import Thread
from typing import Any, Literal

import pandas as pd
import torch
from tqdm import tqdm

from models import train
from models.training import recipe
from tables.command_line import command as run_command
from tables.result import Result, origin, provenance, sha256

from . import command, compare, energy, hessian, history, momentum, robustness, sharpness, surface, timesteps

LANDSCAPE_IMAGES = 200


@dataclass(frozen=True)
class Config:
    """Train, measure, compare and draw SDT and TET."""

    out: Path = Path("runs/demo")
    """Folder for checkpoints, tables and figures."""
    data: Literal["digits", "digit-events", "cifar10", "cifar100"] = "digits"
    """Data set."""
    model: str | None = None
    """Network; by default one that suits the data."""
    timesteps: int = 4
    """T."""
    epochs: int = 50
    """Passes over the training images."""
    batch_size: int = 50
    """Training images a step."""
    learning_rate: float = 2e-3
    """Adam's, at the first epoch."""
    until_loss: float | None = None
    """End each run at the first epoch after which its training loss is at most this: minima at comparable loss."""
    until_loss_of: Literal["sdt", "tet"] | None = None
    """Which loss --until-loss is about; by default the one trained with, which is not the same for both."""
    mse_weight: float | None = None
    """The paper's lambda on both sides; by default 0.05 with TET and 0 with SDT."""
    train_images: int | None = None
    """Train on so many images; by default 200 digits, or all."""
    seeds: int = 5
    """Networks a side, seeds 0, 1, 2 …"""
    twins: int = 0
    """Networks without spikes (ReLU, T = 1) for reference, in OUT/relu-0 …"""
    images: int = LANDSCAPE_IMAGES
    """Training images that the landscape is made of."""
    jobs: int = 2
    """Processes at a time, one thread each."""
    data_root: str | None = None
    """Folder with the data set's files, for those that have files."""
    device: str = "cpu"
    """cpu, cuda, cuda:1 …"""


Analysis = tuple[Callable[[Any], Result], command.Config]


def run(config: Config) -> tuple[pd.DataFrame, dict[str, float]]:
    """Carry the study out; returns the comparison and the seconds that each stage took."""
    if min(config.seeds, config.jobs, config.images, config.twins + 1) < 1:
        raise ValueError(
            "seeds, jobs and images must be at least 1 and twins at least 0,"
            f" got {config.seeds}, {config.jobs}, {config.images} and {config.twins}"
        )
    seconds: dict[str, float] = {}
    folders = [config.out / f"{loss}-{seed}" for seed in range(config.seeds) for loss in ("sdt", "tet")]
    folders += [config.out / f"relu-{seed}" for seed in range(config.twins)]
    with ProcessPoolExecutor(config.jobs, get_context("spawn"), _begin_worker) as pool:
        tasks = [(_train, (_training(config, folder),)) for folder in folders]
        seconds["train"] = _stage(pool, "train", tasks)
        for name in analyses(config, folders[0]):
            plans = [analyses(config, folder)[name] for folder in folders]
            stale = [plan for plan in plans if not _finished(name, plan[1])]
            seconds[name] = _stage(pool, name, [(_analyse, plan) for plan in stale])
    seconds |= _conclude(config, folders)
    return compare.read(config.out), seconds


def _conclude(config: Config, folders: Sequence[Path]) -> dict[str, float]:
    """Stack, compare and draw, unless that was done of these runs since their last table was written; the seconds."""
    done, names = config.out / "figures" / ".done", " ".join(folder.name for folder in folders)
    report = config.out / "report.html"
    written = max(table.stat().st_mtime for folder in folders for table in (folder / "tables").glob("*.csv"))
    if report.exists() and done.exists() and done.stat().st_mtime > written and done.read_text() == names:
        return {"compare": 0.0, "figures": 0.0}
    begun = time.perf_counter()
    _stack([folder / "tables" for folder in folders], config.out / "tables")
    compare.run(compare.Config((config.out,))).save(config.out / "tables")
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


def _training(config: Config, folder: Path) -> recipe.Config:
    kind, _, seed = folder.name.partition("-")
    names = ["data", "model", "timesteps", "epochs", "batch_size", "learning_rate"]
    names += ["until_loss", "until_loss_of", "mse_weight", "train_images", "data_root", "device"]
    plan = recipe.Config(out=folder, seed=int(seed), quiet=True, **{name: getattr(config, name) for name in names})
    return replace(plan, loss="tet" if kind == "tet" else "sdt", spiking=kind != "relu")


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
        stacked = pd.concat([pd.read_csv(table) for table in found], ignore_index=True)
        Result({path.stem: stacked}, record).save(out)


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""

    def show(config: Config) -> None:
        comparison, seconds = run(config)
        print(compare.table(comparison))
        print(f"\ntables   {config.out / 'tables'}\nfigures  {config.out / 'figures'}")
        print(f"report   {config.out / 'report.html'}")
        times = ", ".join(f"{name} {value:.0f}" for name, value in seconds.items())
        print(f"seconds  {sum(seconds.values()):.0f} in all: {times}")

    return run_command(Config, show, argv, "python -m analysis.study")


if __name__ == "__main__":
    sys.exit(main())
