"""Many networks that differ in known factors: trained to one criterion, measured by a cheap standard set.

    python -m analysis.sweep plan.toml --out runs/sweep

The plan is a TOML file (:mod:`analysis.sweep.plan`). Every network is a task of its own, trained and measured by one
process: after a kill the same command goes on where it was. It leaves ``OUT/METHOD-…-SEED/ckpt.pt`` with each network's
own tables, all of them stacked in ``OUT/tables``, and there table ``runs``: a row for each network of the plan, with
its factors, what became of it, and its seconds in this call (0 where it was finished before). One that diverged, its
weights no numbers any more, is counted there and has no other rows. Where a network fails otherwise, the rest goes on,
and the command ends with exit status 1.
"""

import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from models.networks import parse
from models.training import recipe
from tables.files import alone
from tables.record import provenance, sha256
from tables.result import Result
from tables.schema import TWIN

from ..study.executors import executor
from ..study.measuring import finished
from ..study.stacking import stack
from ..study.stages import stage
from .flags import Config
from .network import Outcome, analyses, carry_out
from .plan import Plan, Run, read

_TRIED = 3  # networks that a dry run trains briefly
_BRIEFLY = 2  # epochs, of which the second is a usual one


def run(config: Config) -> pd.DataFrame:
    """Carry the plan out; returns table ``runs``.

    Raises ValueError for a plan that can't be read or trained, and where nothing at all could be measured; OSError
    where another sweep is being carried out in the same folder.
    """
    begun = time.perf_counter()
    if config.jobs < 1:
        raise ValueError(f"--jobs must be at least 1, got {config.jobs}")
    plan = read(config)
    with alone(config.out):
        return _carried_out(config, plan, begun)


def _carried_out(config: Config, plan: Plan, begun: float) -> pd.DataFrame:
    outcomes = carried_out(plan, config.jobs, config.executor)
    there = [outcome.folder / "tables" for outcome in outcomes if outcome.status == "measured"]
    if not there:
        raise ValueError(f"no network could be measured: {outcomes[0].status}: {outcomes[0].reason}")
    stack(there, config.out / "tables")
    table = _table(plan, outcomes)
    record = provenance({"plan": config.plan.read_text(encoding="utf-8")}, {str(config.plan): sha256(config.plan)}, 0.0)
    Result({"runs": table}, record | {"seconds": time.perf_counter() - begun}).save(config.out / "tables")
    return table


def carried_out(plan: Plan, jobs: int, where: str | None) -> list[Outcome]:
    """What became of every network, in the plan's order; ``where`` names the executor, if not ``jobs`` processes."""
    found: dict[Path, Outcome] = {
        run.config.out: Outcome(run.config.out, "measured", "", 0.0) for run in plan.runs if _done(run, plan)
    }
    tasks = [(carry_out, (run.config, plan.images, plan.measures)) for run in plan.runs if run.config.out not in found]

    def keep(outcome: Outcome) -> None:
        found[outcome.folder] = outcome

    with executor(where, jobs) as pool:
        stage(pool, "networks", tasks, keep)
    return [found[run.config.out] for run in plan.runs]


def _done(run: Run, plan: Plan) -> bool:
    """Whether every table of a network is there, of its checkpoint and with the plan's settings."""
    asked = analyses(run.config, plan.images, plan.measures)
    if not (run.config.out / "ckpt.pt").is_file():
        return False
    return all(finished(name, settings) for name, (_, settings) in asked.items())


def _table(plan: Plan, outcomes: Sequence[Outcome]) -> pd.DataFrame:
    rows: list[dict[str, Any]] = []
    for one, outcome in zip(plan.runs, outcomes, strict=True):
        made = recipe.resolved(one.config)
        name = str(made.model) if recipe.own_network(made) else parse(str(made.model))[0]
        row: dict[str, Any] = {
            "checkpoint": (made.out / "ckpt.pt").as_posix(),
            "network": name + TWIN * (not made.spiking),
            "data": made.data,
        }
        row |= {"method": made.method, "training": made.loss, "seed": made.seed}
        row |= {"status": outcome.status, "reason": outcome.reason, "seconds": outcome.seconds}
        rows.append(row | dict(one.levels))
    return pd.DataFrame(rows)


def forecast(plan: Plan, jobs: int) -> str:
    """How many networks, hours and gigabytes the plan is, from some of them trained for two epochs and measured."""
    left = [run for run in plan.runs if not _done(run, plan)]
    said = f"{len(plan.runs):,} networks, each trained to {plan.criterion}"
    if not left:
        return f"{said}; all are there"
    tried = [left[place * (len(left) - 1) // max(_TRIED - 1, 1)] for place in range(min(_TRIED, len(left)))]
    seconds, size = zip(*(_tried(one, plan) for one in tried), strict=True)
    hours = sum(seconds) / len(seconds) * len(left) / jobs / 3600
    room = 2 * sum(size) / len(size) * len(left) / 1e9  # once in its folder, once in the stack
    there = f", {len(plan.runs) - len(left):,} of them there already" if len(left) < len(plan.runs) else ""
    return (
        f"{said}{there}: about {hours:.2g} hours by {jobs} processes, {min(seconds):.0f} to {max(seconds):.0f} "
        f"seconds a network, and {room:.2g} GB"
    )


def _tried(one: Run, plan: Plan) -> tuple[float, float]:
    """Seconds and bytes of one network, from two epochs of its training and its measurement."""
    folder = Path(tempfile.mkdtemp())
    try:
        brief = replace(one.config, out=folder, epochs=_BRIEFLY, until_loss=None, until_loss_of=None, phases=None)
        outcome = carry_out(brief, plan.images, plan.measures)
        if outcome.status == "failed":
            raise ValueError(outcome.reason)
        told = pd.read_csv(folder / "history.csv")["seconds"]
        size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
        more = recipe.resolved(one.config).epochs - _BRIEFLY
        return outcome.seconds + more * float(told.iloc[-1]), float(size)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def show(config: Config) -> None:
    """Carry the plan out, or say what it would cost; what became of its networks is printed."""
    for remark in read(config).remarks:
        print(remark, file=sys.stderr)
    if config.dry_run:
        print(forecast(read(config), config.jobs))
        return
    table = run(config)
    counts = table["status"].value_counts().to_dict()
    print(f"{len(table):,} networks: {', '.join(f'{count:,} {status}' for status, count in counts.items())}")
    print(f"tables  {config.out / 'tables'}")
    if failed := table.loc[table["status"] == "failed", ["checkpoint", "reason"]].values.tolist():
        more = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
        raise ValueError(f"{failed[0][0]} failed: {failed[0][1]}{more}")
