"""A training step's time and memory: this package beside its own reference neuron, a floor, and two peers.

    python -m benchmarks.training [--peer FILE] [--problems resnet19 vggsnn digits spikes gradient] [--repeats 3]
    python -m benchmarks.training --device cuda --precision bfloat16 --batch 128 [...]

Problems and variants are those of :mod:`benchmarks.steps`.

Runs alternate, each in a process of its own: two steps to warm up, then three (digits: 40), the median counts.
``cpu`` is the process's time a step, ``wall`` the clock's, ``peak`` the resident memory above that before the first
step, MiB; on CUDA, what is allocated. Ratios are of medians over runs, to the floor. One thread. Precision is that of
the network, the floor and SpikingJelly. The table goes to stdout and to ``benchmarks/training.csv``, or to
``training-cuda.csv``.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import pandas as pd
import torch

from models import heap

from .steps import NEURON, PEERS, VARIANTS, Setting, variant

HERE = Path(__file__).parent
STEPS = {"resnet19": 3, "vggsnn": 3, "digits": 40, "spikes": 20, "gradient": 20}


def run_one(name: str, which: str, setting: Setting) -> dict[str, float]:
    """Seconds a step and peak memory of one variant, in this process."""
    torch.set_num_threads(1)
    if which not in (*PEERS, "bits"):
        heap.keep_freed()
    cuda = torch.device(setting.device).type == "cuda"
    wait = torch.cuda.synchronize if cuda else lambda: None
    step = variant(name, which, setting)
    before = torch.cuda.memory_allocated() if cuda else _resident()
    for _ in range(2):
        step()
    times = []
    for _ in range(STEPS[name] * (10 if cuda else 1)):
        wait()
        cpu, wall = time.process_time(), time.perf_counter()
        step()
        wait()
        times.append((time.process_time() - cpu, time.perf_counter() - wall))
    cpu, wall = (statistics.median(column) for column in zip(*times, strict=True))
    peak = torch.cuda.max_memory_allocated() if cuda else _resident()
    return {"cpu": cpu, "wall": wall, "peak": (peak - before) / 2**20}


def _resident() -> int:
    """The most bytes that were resident so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 2**10


def measure(names: Sequence[str], variants: Sequence[str], repeats: int, setting: Setting) -> pd.DataFrame:
    """A row for each problem and variant."""
    rows = []
    given = [word for name, value in asdict(setting).items() if value for word in (f"--{name}", str(value))]
    for name in names:
        for repeat in range(repeats):
            for which in variants:
                if which in NEURON.get(name, VARIANTS):
                    command = [sys.executable, "-m", "benchmarks.training", "--one", name, which, *given]
                    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
                    rows.append({"problem": name, "variant": which, "repeat": repeat, **json.loads(done.stdout)})
                    print(rows[-1], file=sys.stderr, flush=True)
    runs = pd.DataFrame(rows)
    table = runs.groupby(["problem", "variant"], sort=False)[["cpu", "wall", "peak"]].median().reset_index()
    for column in ("cpu", "wall"):
        floor = table[table["variant"] == "floor"].set_index("problem")[column]
        table[f"{column}_ratio"] = table[column] / table["problem"].map(floor)
    return table


def main(argv: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--peer")
    parser.add_argument("--problems", nargs="+", default=list(STEPS), choices=list(STEPS))
    parser.add_argument("--variants", nargs="+", default=None, choices=VARIANTS)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", default="float32", choices=("float32", "bfloat16"))
    parser.add_argument("--batch", type=int, default=None)
    parser.add_argument("--one", nargs=2, metavar=("PROBLEM", "VARIANT"), help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    setting = Setting(arguments.device, arguments.precision, arguments.batch, arguments.peer)
    if arguments.one:
        name, which = arguments.one
        print(json.dumps(run_one(name, which, setting)))
        return 0
    cuda = torch.device(setting.device).type == "cuda"
    possible = {"peer": setting.peer is not None, "graph": cuda}
    for each in arguments.variants or ():
        if not possible.get(each, True):
            parser.error(f"variant {each} needs {'--peer FILE' if each == 'peer' else '--device cuda'}")
    variants = arguments.variants or [each for each in VARIANTS if possible.get(each, True)]
    table = measure(arguments.problems, variants, arguments.repeats, setting)
    table.to_csv(HERE / ("training-cuda.csv" if cuda else "training.csv"), index=False)
    print(table.to_string(index=False, float_format="%.4g"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
