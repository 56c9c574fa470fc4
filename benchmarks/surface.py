"""Points of a loss surface per second: this package beside tomgoldstein/loss-landscape, and what each saving gives.

    python -m benchmarks.surface [--peer FOLDER]

FOLDER is a checkout of https://github.com/tomgoldstein/loss-landscape (64ef4d5), whose functions are called as they
are: its ``crunch`` over the same network, images, directions and points, for one loss (SDT's), with a loader in this
process, and with two worker processes, which is how it comes ("peer, 2 workers"; h5py is needed). Without it
those rows are left out.
"naive" is the same by hand: a copy of the state dict and a pass of a DataLoader at every point. Ours computes both
losses and the accuracy.

Runs alternate. ``cpu`` is this process's time per point, ``wall`` the clock's; ratios are of medians over runs, to the
peer or, without one, to the naive way. ``error`` is the largest difference to the naive values, ``flips`` the share of
points that differ by more than 1e-5: a spike fell on the other side of its threshold by rounding. One thread. The table
goes to stdout and to ``benchmarks/surface.csv``. Of a plane with a tolerance ``points`` are those evaluated, ``images``
what a point of the grid took on average; ``rms_error``, ``error`` (the largest) and ``stated`` are over the range.
"""

import argparse
import copy
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from unittest import mock

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from analysis.subject import correct, per_image
from landscape.objective import Parameters
from landscape.surfaces import first_layer, surface
from models import train
from models.data import load
from models.networks import build
from models.neurons import lif
from models.training import recipe

from .planes import Mean, Peer, Problem

HERE = Path(__file__).parent
SAMPLED = 5  # points along each axis of the planes that full passes are timed on
Run = Callable[[], np.ndarray]


def metrics(*losses: str) -> Callable[[Tensor, Tensor], dict[str, Tensor]]:
    """What one forward gives: the losses, and whether the answer is right."""
    functions = {name: per_image(name) for name in losses} | {"accuracy": correct}
    return lambda output, target: {name: function(output, target) for name, function in functions.items()}


def ours(problem: Problem, *, channels_last: bool = True) -> np.ndarray:
    """SDT's loss; TET's and the accuracy are thrown away here."""
    found = surface(
        problem.network, metrics("sdt", "tet"), problem.batches(problem.size), problem.directions,
        problem.axis, problem.axis, channels_last=channels_last,
    )  # fmt: skip
    return found.mean["sdt"]


def naive(problem: Problem) -> np.ndarray:
    """A copied state dict and a DataLoader at every point."""
    model, loss = Mean(problem.network).eval(), nn.CrossEntropyLoss()
    loader = DataLoader(TensorDataset(problem.images, problem.labels), batch_size=128)
    weights = Parameters(problem.network)
    found = weights.vector()
    before = copy.deepcopy(model.state_dict())
    values = np.empty((problem.points, problem.points))
    for i, alpha in enumerate(problem.axis):
        for j, beta in enumerate(problem.axis):
            model.load_state_dict(copy.deepcopy(before))
            weights.assign(found + alpha * problem.directions[0] + beta * problem.directions[1])
            with torch.no_grad():
                values[i, j] = sum(loss(model(x), y).item() * len(y) for x, y in loader) / len(problem.labels)
    model.load_state_dict(before)
    return values


def floor(problem: Problem, size: int, layout: torch.memory_format) -> np.ndarray:
    """Nothing but the forward passes."""
    network = copy.deepcopy(problem.network).to(memory_format=layout)
    batches = [images.contiguous(memory_format=layout) for images, _ in problem.batches(size)]
    with torch.no_grad():
        for _ in range(problem.points**2):
            for images in batches:
                network(images)
    return np.empty(0)


def variants(problem: Problem, peer: Peer | None) -> dict[str, Run]:
    """What is compared, by name."""
    everything = len(problem.labels)
    size = min(problem.size, everything)
    runs: dict[str, Run] = {"ours": lambda: ours(problem), "naive": lambda: naive(problem)}
    if peer:
        runs["peer"] = lambda: peer.run(problem, 0)
    for layout in (torch.contiguous_format, torch.channels_last):
        name = f"floor, {str(layout).partition('.')[2]}"
        runs |= {f"{name}, {each} a pass": partial(floor, problem, each, layout) for each in {size, everything}}
    if problem.name == "digits":  # the others take minutes each, and convolutions are all of it
        if peer:
            runs["peer, 2 workers"] = lambda: peer.run(problem, 2)
        runs["ours, first layer computed"] = lambda: _without(first_layer, "BUDGET", 0, lambda: ours(problem))
        runs["ours, channels first"] = lambda: ours(problem, channels_last=False)
        runs["ours, differentiable neuron"] = lambda: _without(
            lif.LIF, "forward", lif.LIF.reference, lambda: ours(problem)
        )
    return runs


def _without(module: object, name: str, value: object, run: Run) -> np.ndarray:
    with mock.patch.object(module, name, value):
        return run()


def measure(problem: Problem, peer: Peer | None, repeats: int) -> pd.DataFrame:
    """A row for each variant."""
    runs = variants(problem, peer)
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in runs}
    values: dict[str, np.ndarray] = {}
    for _ in range(repeats):
        for name, run in runs.items():
            wall, cpu = time.perf_counter(), time.process_time()
            values[name] = run()
            times[name].append((time.process_time() - cpu, time.perf_counter() - wall))
    rows = []
    for name, found in times.items():
        cpu, wall = (statistics.median(column) / problem.points**2 for column in zip(*found, strict=True))
        apart = np.abs(values[name] - values["naive"]) if len(values[name]) else np.full(1, np.nan)
        rows.append(
            {
                "problem": problem.name, "variant": name, "cpu": cpu, "wall": wall,
                "error": apart.max(), "flips": (apart > 1e-5).mean() if len(values[name]) else np.nan,
            }
        )  # fmt: skip
    table = pd.DataFrame(rows)
    base = table[table["variant"] == ("peer" if peer else "naive")].iloc[0]
    return table.assign(cpu_ratio=base["cpu"] / table["cpu"], wall_ratio=base["wall"] / table["wall"])


def tolerance(problem: Problem, peer: Peer | None, repeats: int, wanted: float = 0.02) -> pd.DataFrame:
    """Time to a plane whose errors are ``wanted`` of its range, beside all points on all images; its actual errors.

    Full passes are timed on a plane of :data:`SAMPLED` by :data:`SAMPLED` points: each point of theirs takes the same.
    """
    order = torch.randperm(len(problem.labels), generator=torch.Generator().manual_seed(0))
    shuffled = replace(problem, images=problem.images[order], labels=problem.labels[order])
    sample, whole_grid = replace(problem, points=SAMPLED), problem.points**2
    few = lambda: surface(  # noqa: E731
        shuffled.network, metrics("sdt", "tet"), shuffled.batches(50), shuffled.directions, shuffled.axis,
        shuffled.axis, channels_last=True, tolerance={"sdt": wanted, "tet": wanted},
    )  # fmt: skip
    runs: dict[str, Callable[[], object]] = {f"ours, {wanted:.0%}": few, "ours": lambda: ours(sample)}
    runs |= {"peer": lambda: peer.run(sample, 0)} if peer else {"naive": lambda: naive(sample)}
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in runs}
    for _ in range(repeats):
        for name, run in runs.items():
            wall, cpu = time.perf_counter(), time.process_time()
            run()
            times[name].append((time.process_time() - cpu, time.perf_counter() - wall))
    whole, found = ours(problem), few()
    apart = (found.mean["sdt"] - whole) / np.ptp(whole)
    table = pd.DataFrame(
        [
            {"problem": f"{problem.name}, {problem.points} x {problem.points}, {len(problem.labels)} images",
             "variant": name, **{
                 clock: statistics.median(column) / (whole_grid if run is few else SAMPLED**2)
                 for clock, column in zip(("cpu", "wall"), zip(*times[name], strict=True), strict=True)
             }}
            for name, run in runs.items()
        ]
    )  # fmt: skip
    base = table.iloc[-1]
    table = table.assign(cpu_ratio=base["cpu"] / table["cpu"], wall_ratio=base["wall"] / table["wall"])
    extra = {
        "images": found.images.mean(), "points": (found.images > 0).sum(), "error": np.abs(apart).max(),
        "rms_error": float(np.sqrt((apart**2).mean())), "stated": found.errors["sdt"].error / np.ptp(whole),
    }  # fmt: skip
    return table.assign(**{name: [value, *[np.nan] * (len(table) - 1)] for name, value in extra.items()})


def problems(folder: Path, resnet: bool) -> Iterator[Problem]:
    """The digits network trained on 200 images; ResNet-19 on images of CIFAR's shape, with statistics of its own."""
    checkpoint = train.run(recipe.Config(out=folder, loss="tet", quiet=True))
    images, labels = next(checkpoint.load_data().train.batches(200))
    yield Problem("digits", checkpoint.network().eval(), images, labels, 11)
    if resnet:
        network = build("resnet19", seed=0, timesteps=4)
        generator = torch.Generator().manual_seed(0)
        images, labels = torch.randn(8, 3, 32, 32, generator=generator), torch.arange(8)
        with torch.no_grad():
            network.train()(images)
        yield Problem("resnet19", network.eval(), images, labels, 3)


def main(argv: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--peer", type=Path, help="folder with tomgoldstein/loss-landscape")
    parser.add_argument("--repeats", type=int, default=5, help="runs of each")
    parser.add_argument("--runs", type=Path, default=Path("runs/bench"), help="folder for the trained network")
    parser.add_argument("--no-resnet", action="store_true", help="the digits network alone")
    arguments = parser.parse_args(argv)
    torch.set_num_threads(1)
    peer = None
    if arguments.peer:
        peer = Peer(arguments.peer)
    else:
        print("tomgoldstein/loss-landscape is left out: --peer names its folder", file=sys.stderr)
    tables = []
    for problem in problems(arguments.runs, not arguments.no_resnet):
        tables.append(measure(problem, peer, arguments.repeats))
        print(tables[-1].to_string(index=False, float_format=lambda value: f"{value:.4g}"), flush=True)
        if problem.name == "digits":
            images, labels = next(load("digits", train_images=1500).train.batches(1500))
            many = Problem("digits", problem.network, images, labels, 51)
            tables.append(tolerance(many, peer, arguments.repeats))
            print(tables[-1].to_string(index=False, float_format=lambda value: f"{value:.4g}"), flush=True)
    pd.concat(tables, ignore_index=True).to_csv(HERE / "surface.csv", index=False, float_format="%.4g")
    return 0


if __name__ == "__main__":
    sys.exit(main())
