"""The networks of the controls, measured: those that were trained for it or given, and copies of them."""

import hashlib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from ..compare.measures import measures, read_tables
from ..study.executors import executor
from ..study.stacking import stack
from ..study.stages import Task, stage
from ..study.trainings import folder_name
from ..sweep.command import carried_out
from ..sweep.network import Analysis, Outcome, measured, standard
from ..sweep.plan import Plan
from .copies import BY, copy
from .flags import Config


@dataclass(frozen=True)
class Networks:
    """``values`` are the networks' measures; ``copies`` those of their copies by control and level, with column source.

    ``lost`` says why a control has no copies; ``failed`` are lines on networks that could not be measured.
    """

    values: pd.DataFrame
    copies: Mapping[tuple[str, str], pd.DataFrame]
    lost: Mapping[tuple[str, str], str]
    failed: tuple[str, ...]


def levels(config: Config, controls: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """What copies there are, by control."""
    every = {"rescaled": BY, "confident": tuple(f"{factor:g}" for factor in config.logits)}
    return {control: found for control, found in every.items() if control in controls}


def trained(config: Config, controls: Sequence[str], plan: Plan, base: str) -> Networks:
    """Train and measure what ``plan`` asks for, then the copies of the first seeds of method ``base``."""
    found = carried_out(plan, config.jobs, config.executor)
    originals = [
        outcome.folder / "ckpt.pt"
        for run, outcome in zip(plan.runs, found, strict=True)
        if run.config.method == base and run.config.seed < config.seeds and outcome.status == "measured"
    ]
    return _with_copies(config, controls, found, originals)


def given(config: Config, controls: Sequence[str]) -> Networks:
    """Measure the checkpoints, and their copies. Raises FileNotFoundError for one that isn't there."""
    if missing := [path for path in config.checkpoints if not path.is_file()]:
        raise FileNotFoundError(f"no checkpoint at {missing[0]}")
    if len(set(config.checkpoints)) < len(config.checkpoints):
        raise ValueError("a checkpoint is named twice")
    tasks = [(carry_out, (path, "", "", _place(config, path), *_how(config))) for path in config.checkpoints]
    return _with_copies(config, controls, _carried_out(config, "networks", tasks), config.checkpoints)


def _with_copies(
    config: Config, controls: Sequence[str], found: Sequence[Outcome], originals: Sequence[Path]
) -> Networks:
    there = [outcome.folder / "tables" for outcome in found if outcome.status == "measured"]
    if not there:
        raise ValueError(f"no network could be measured: {found[0].status}: {found[0].reason}")
    stack(there, config.out / "tables")
    asked = {
        _place(config, path, f"{control}-{level}"): (path, control, level)
        for control, some in levels(config, controls).items()
        for level in some
        for path in originals
    }
    tasks = [(carry_out, (*asked[place], place, *_how(config))) for place in asked]
    parts: dict[tuple[str, str], list[pd.DataFrame]] = {}
    lost: dict[tuple[str, str], str] = {}
    for outcome in sorted(_carried_out(config, "copies", tasks), key=lambda outcome: outcome.folder):
        path, control, level = asked[outcome.folder]
        if outcome.status == "measured":
            values = measures(read_tables(outcome.folder)).assign(source=path.as_posix())
            parts.setdefault((control, level), []).append(values)
        else:
            lost.setdefault((control, level), outcome.reason)
    failed = tuple(f"{outcome.folder}: {outcome.reason}" for outcome in found if outcome.status == "failed")
    for outcome in found:
        if outcome.status == "diverged":
            print(f"{outcome.folder} diverged, and is in no comparison: {outcome.reason}", file=sys.stderr)
    copies = {key: pd.concat(some, ignore_index=True) for key, some in parts.items()}
    return Networks(measures(read_tables(config.out / "tables")), copies, lost, failed)


def _how(config: Config) -> tuple[Any, ...]:
    how = {"data_root": config.data_root, "device": config.device, "code": config.code}
    return config.images, config.measures, how, config.loss


def _place(config: Config, path: Path, kind: str = "") -> Path:
    """A folder of its own for what is measured of a checkpoint or of its copy."""
    digest = hashlib.sha256(path.as_posix().encode()).hexdigest()[:8]
    return config.out / (kind or "given") / folder_name(f"{path.parent.name}-{digest}")


def _carried_out(config: Config, name: str, tasks: Sequence[Task]) -> list[Outcome]:
    found: list[Outcome] = []
    if tasks:
        with executor(config.executor, config.jobs) as pool:
            stage(pool, name, tasks, found.append)
    return found


def carry_out(
    source: Path, control: str, level: str, out: Path, images: int, names: Sequence[str], how: Mapping[str, Any],
    loss: str,
) -> Outcome:  # fmt: skip
    """Measure a checkpoint, or its copy for a ``control``, on one thread, unless that is done."""

    def made() -> Mapping[str, Analysis]:
        path = copy(source, control, level, out, how) if control else source
        return standard(path, out / "tables", images, names, how, loss)

    return measured(out, made)
