"""How time and memory grow with images, weights, timesteps, points, networks and processes.

    python -m benchmarks.scaling

Each operation at levels over two decades (processes: 1 to 8), each level in a process of its own, so that its peak
memory is its own. Seconds are CPU time, the least of the repeats: what else the machine does only adds to it. Memory is
resident, at its peak, above what the process took before; less than 4 MB is the allocator's, and counts as 4. One
thread.

An exponent is the slope of log cost against log level over the upper decade (three levels at least), with its error;
beside it what the operation should have, from what it does:

- ``product``: a Hessian–vector product of the digits network (T = 4 unless it is asked for). Passes over all images, in
  batches: time 1 and memory 0 in the images; time 1 in weights (each weight is used as often), time and memory 1 in T
- ``training``: a step of training, memory 1 in T
- ``surface``: points of a plane, evaluated one after the other: time 1, memory 0
- ``timesteps``: the analysis, of several networks in turn: time 1, memory 0
- ``compare``: from tables of networks: time and memory 1, passes over rows; ``generalization``: 2, all pairs of them
- ``shared surface``: a plane's points over processes that torchrun starts: the work is divided, so that its sum stays
  (0) when what the processes take to start is taken off

The tables go to stdout, ``benchmarks/scaling.csv`` and ``benchmarks/exponents.csv``, the picture to
``benchmarks/scaling.png``.
"""

import argparse
import json
import math
import os
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator
from tqdm import tqdm

from figures.style.look import GREY, PAGE, paper

from .curvature import peak_megabytes
from .ladders import LADDERS, Ladder, part_of_a_plane, plane

HERE = Path(__file__).parent
SMALL = 4.0  # megabytes: less is the allocator's
LEAST, LONG = 0.2, 5.0  # seconds of CPU time: that a level is measured for at least, and from which once is enough
SHARING, PROCESSES = ("shared surface", "processes"), (1, 2, 4, 8)
SHARED = 41  # points along an axis of the plane that processes share


def one(operation: str, quantity: str, level: int, repeats: int) -> dict[str, float]:
    """The level as it came out, seconds of one call, and megabytes at its peak above what was there before."""
    torch.set_num_threads(1)
    LADDERS[operation, quantity].work(min(LADDERS[operation, quantity].levels))[1]()  # first calls pick kernels
    level, work = LADDERS[operation, quantity].work(level)
    before, begun = peak_megabytes(reset=True), time.process_time()
    work()
    took = time.process_time() - begun
    memory = peak_megabytes() - before
    calls = max(1, math.ceil(LEAST / max(took, 1e-4)))
    for _ in range(repeats if took < LONG else 0):
        begun = time.process_time()
        for _ in range(calls):
            work()
        took = min(took, (time.process_time() - begun) / calls)
    return {"level": level, "seconds": took, "megabytes": memory}


def share(along: int) -> None:
    """A plane's points in this process' turn: what torchrun starts."""
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo")
    part_of_a_plane(along, 200, torch.distributed.get_rank(), torch.distributed.get_world_size())()
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


def processes(count: int) -> dict[str, float]:
    """CPU seconds of all of ``count`` processes for the plane, less those of a plane of a few points each."""
    took = []
    for along in (SHARED, 2 * count):
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(count)]
        command += ["-m", "benchmarks.scaling", "--share", str(along)]
        before = _children()
        subprocess.run(command, check=True, capture_output=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
        took.append(_children() - before)
    return {"level": count, "seconds": took[0] - took[1], "megabytes": math.nan}


def _apart(operation: str, quantity: str, level: int, repeats: int) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.scaling", "--one", operation, quantity, str(level)]
    command += ["--repeats", str(repeats)]
    return dict(json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout))


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def exponents(table: pd.DataFrame) -> pd.DataFrame:
    """A row for each operation and quantity: slopes over the upper decade, their errors, and what they should be."""
    rows = []
    for (operation, quantity), levels in table.groupby(["operation", "quantity"], sort=False):
        ladder = LADDERS.get((operation, quantity), Ladder(plane, (), 0, None))
        levels = levels.sort_values("level")
        upper = levels[levels["level"] >= levels["level"].max() / 10 * (1 - 1e-9)]
        upper = upper if len(upper) > 2 else levels.tail(3)
        row = {"operation": operation, "quantity": quantity, "levels": len(upper), "from": upper["level"].min()}
        for cost in ("seconds", "megabytes"):
            slope, error = slope_of(
                upper["level"].to_numpy(float), upper[cost].clip(SMALL if cost == "megabytes" else None).to_numpy(float)
            )
            row |= {f"{cost}_expected": getattr(ladder, cost), f"{cost}_exponent": slope, f"{cost}_error": error}
        rows.append(row)
    return pd.DataFrame(rows)


def slope_of(levels: np.ndarray, costs: np.ndarray) -> tuple[float, float]:
    """Slope of log cost against log level by least squares, and its standard error; nan where a cost isn't above 0."""
    if len(levels) < 3 or not (costs > 0).all():
        return math.nan, math.nan
    x, y = np.log(levels), np.log(costs)
    x, y = x - x.mean(), y - y.mean()
    slope = float(x @ y / (x @ x))
    left = y - slope * x
    return slope, float(np.sqrt(left @ left / (len(x) - 2) / (x @ x)))


def draw(table: pd.DataFrame, fitted: pd.DataFrame, path: Path) -> None:
    """A panel for each operation and quantity: seconds against level, log–log, with the expected slope in grey."""
    with paper():
        figure = Figure(figsize=(PAGE, 3.6))
        panels = figure.subplots(2, math.ceil(len(fitted) / 2), squeeze=False).ravel()
        for axes, (_, row) in zip(panels, fitted.iterrows(), strict=False):
            levels = table[(table["operation"] == row["operation"]) & (table["quantity"] == row["quantity"])]
            x, y = levels["level"].to_numpy(float), levels["seconds"].to_numpy(float)
            axes.loglog(x, y[-1] * (x / x[-1]) ** row["seconds_expected"], color=GREY, linewidth=0.8)
            axes.loglog(x, y, "o-", color="C0")
            axes.set_title(f"{row['operation']}\n{row['seconds_exponent']:.2f} ± {row['seconds_error']:.2f}")
            axes.set_xlabel(row["quantity"])
            for axis, there in ((axes.xaxis, x), (axes.yaxis, y)):
                if there.max() < 10 * there.min():
                    axis.set_major_locator(FixedLocator(sorted({float(f"{one:.2g}") for one in there})))
                    axis.set_major_formatter("{x:g}")
                    axis.set_minor_locator(NullLocator())
        for axes in panels[len(fitted) :]:
            axes.set_axis_off()
        figure.supylabel("seconds of one core", fontsize=8)
        figure.savefig(path, dpi=200)


def main(argv: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=3, help="calls of each level, of which the fastest counts")
    parser.add_argument("--only", nargs="+", default=[], help="operations; rows of the others stay in the file")
    parser.add_argument("--one", nargs=3, metavar=("OPERATION", "QUANTITY", "LEVEL"), help="a single level, as JSON")
    parser.add_argument("--share", type=int, help="a process' part of a plane, under torchrun")
    arguments = parser.parse_args(argv)
    if arguments.one:
        operation, quantity, level = arguments.one
        print(json.dumps(one(operation, quantity, int(level), arguments.repeats)))
        return 0
    if arguments.share:
        share(arguments.share)
        return 0
    asked = [(*name, level) for name, ladder in LADDERS.items() for level in ladder.levels]
    asked += [(*SHARING, count) for count in PROCESSES]
    asked = [one for one in asked if not arguments.only or one[0] in arguments.only]
    path = HERE / "scaling.csv"
    kept = pd.read_csv(path) if path.exists() else pd.DataFrame(columns=["operation"])
    table = kept[~kept["operation"].isin({operation for operation, _, _ in asked})]
    for operation, quantity, level in tqdm(asked):
        found = processes(level) if operation == SHARING[0] else _apart(operation, quantity, level, arguments.repeats)
        row = pd.DataFrame([{"operation": operation, "quantity": quantity, **found}])
        table = pd.concat([table, row], ignore_index=True) if len(table) else row
        table.to_csv(path, index=False, float_format="%.4g")  # what there is
    fitted = exponents(table)
    fitted.to_csv(HERE / "exponents.csv", index=False, float_format="%.3g")
    draw(table, fitted, HERE / "scaling.png")
    print(fitted.to_string(index=False, float_format=lambda value: f"{value:.2f}"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
