"""A training step's time and memory: this package beside its own reference neuron, a floor, and two peers.

    python -m benchmarks.training [--peer FILE] [--problems resnet19 vggsnn digits] [--repeats 3]

A step is forward, TET loss, backward and Adam, on one batch of random numbers in memory: ResNet-19 (T = 4, batch 8,
32×32), VGGSNN (T = 10, batch 8, 48×48) and the digits network (T = 4, batch 50). Variants:

- ``ours``: as ``models.train`` does it on a CPU, channels last
- ``bits``: the same with ``--keep-spikes bits``
- ``reference``: the same with ``--neuron reference``; ``separate``: the fused neuron, BatchNorm apart from it
- ``floor``: the step's convolutions alone, forward and backward, channels last, on the spikes they meet in the step
- ``spikingjelly``: the same layers and weights with SpikingJelly's multi-step LIFNode (torch backend), images repeated
  over time and the default layout, as its documentation has it
- ``peer``: FILE is Python that defines ``step(name, images, labels)``, which returns a function that does a step

Runs alternate, each in a process of its own: one step to warm up, then some steps, of which the median counts. ``cpu``
is the process's time a step, ``wall`` the clock's, ``peak`` the resident memory above that before the first step, MiB.
Ratios are of medians over runs, to the floor. One thread. The table goes to stdout and ``benchmarks/training.csv``.
"""

import argparse
import json
import resource
import runpy
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from unittest import mock

import pandas as pd
import torch
from torch import Tensor, nn

from models.losses import tet_loss
from models.networks import build, layers
from models.networks.layers import Network
from models.neurons import bits
from models.neurons.lif import LIF
from models.neurons.selection import select

HERE = Path(__file__).parent
VARIANTS = ("floor", "ours", "bits", "separate", "reference", "spikingjelly", "peer")
STEPS = {"resnet19": 1, "vggsnn": 1, "digits": 40}


def problem(name: str) -> tuple[Network, Tensor, Tensor]:
    """Network, images and labels."""
    numbers = torch.Generator().manual_seed(0)
    if name == "resnet19":
        network, images = build("resnet19", seed=0, timesteps=4), torch.randn(8, 3, 32, 32, generator=numbers)
    elif name == "vggsnn":
        network, images = build("vggsnn", seed=0), torch.rand(10, 8, 2, 48, 48, generator=numbers)
    else:
        network, images = build("digits-cnn", seed=0, timesteps=4), torch.rand(50, 1, 8, 8, generator=numbers)
    return network.train(), images, torch.randint(10, (images.shape[-4],), generator=numbers)


def stepping(
    network: nn.Module, images: Tensor, labels: Tensor, *, fused: bool = False, as_bits: bool = False
) -> Callable[[], None]:
    """A step of training ``network``, with Adam as it comes or ``fused``, and spikes kept as values or ``as_bits``."""
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3, fused=fused)

    def step() -> None:
        with bits.kept() if as_bits else nullcontext():
            loss = tet_loss(network(images), labels, mse_weight=0.05)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def variant(name: str, which: str, peer: str | None) -> Callable[[], None]:
    """What a process runs."""
    network, images, labels = problem(name)
    if which == "peer":
        step: Callable[[], None] = runpy.run_path(str(peer))["step"](name, images, labels)
        return step
    if which == "spikingjelly":
        return _spikingjelly(network, images, labels)
    network.to(memory_format=torch.channels_last)
    select(network, "reference" if which == "reference" else "auto")
    step = stepping(network, _channels_last(images), labels, fused=True, as_bits=which == "bits")
    if which == "separate":
        mock.patch.object(layers, "_one", return_value=False).start()
    return _convolutions(network, _channels_last(images)) if which == "floor" else step


def _channels_last(images: Tensor) -> Tensor:
    flat = images.flatten(0, -4).contiguous(memory_format=torch.channels_last)
    return flat.unflatten(0, images.shape[:-3])


def _convolutions(network: Network, images: Tensor) -> Callable[[], None]:
    """Every convolution of a step, forward and backward, and nothing else."""
    calls: list[tuple[nn.Conv2d, Tensor, Tensor]] = []

    def note(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if isinstance(layer, nn.Conv2d):
            calls.append((layer, inputs[0].flatten(0, 1), torch.randn_like(output.flatten(0, 1))))

    hooks = [layer.register_forward_hook(note) for layer in network.modules()]
    with torch.no_grad():
        network(images)
    for hook in hooks:
        hook.remove()

    def step() -> None:
        for index, (layer, maps, upstream) in enumerate(calls):
            into = maps.detach().requires_grad_(index > 0)
            nn.Conv2d.forward(layer, into).backward(upstream)
            layer.weight.grad = None

    return step


def _spikingjelly(network: Network, images: Tensor, labels: Tensor) -> Callable[[], None]:
    from spikingjelly.activation_based import functional, neuron, surrogate

    for parent in list(network.modules()):
        for name, child in parent.named_children():
            if isinstance(child, LIF):
                pulse = surrogate.PiecewiseQuadratic(alpha=1.0)
                node = neuron.LIFNode(
                    tau=2.0, decay_input=False, v_threshold=1.0, v_reset=0.0, surrogate_function=pulse,
                    detach_reset=False, step_mode="m",
                )  # fmt: skip
                setattr(parent, name, node)
    if images.dim() == 4:
        images = images.unsqueeze(0).repeat(network.timesteps, 1, 1, 1, 1)
    step = stepping(network, images, labels)

    def reset_too() -> None:
        step()
        functional.reset_net(network)

    return reset_too


def run_one(name: str, which: str, peer: str | None) -> dict[str, float]:
    """Seconds a step and peak memory of one variant, in this process."""
    torch.set_num_threads(1)
    step = variant(name, which, peer)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    step()
    times = []
    for _ in range(STEPS[name]):
        cpu, wall = time.process_time(), time.perf_counter()
        step()
        times.append((time.process_time() - cpu, time.perf_counter() - wall))
    cpu, wall = (statistics.median(column) for column in zip(*times, strict=True))
    return {"cpu": cpu, "wall": wall, "peak": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 2**10}


def measure(names: Sequence[str], variants: Sequence[str], repeats: int, peer: str | None) -> pd.DataFrame:
    """A row for each problem and variant."""
    rows = []
    for name in names:
        for repeat in range(repeats):
            for which in variants:
                command = [sys.executable, "-m", "benchmarks.training", "--one", name, which]
                done = subprocess.run(
                    [*command, *(["--peer", peer] if peer else [])], stdout=subprocess.PIPE, check=True
                )
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
    parser.add_argument("--one", nargs=2, metavar=("PROBLEM", "VARIANT"), help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    if arguments.one:
        name, which = arguments.one
        print(json.dumps(run_one(name, which, arguments.peer)))
        return 0
    variants = arguments.variants or [each for each in VARIANTS if each != "peer" or arguments.peer]
    table = measure(arguments.problems, variants, arguments.repeats, arguments.peer)
    table.to_csv(HERE / "training.csv", index=False)
    print(table.to_string(index=False, float_format="%.4g"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
