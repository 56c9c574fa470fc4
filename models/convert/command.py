"""Make a checkpoint of weights that were trained elsewhere.

    python -m models.convert theirs.pth --as resnet19 --loss tet --timesteps 4 --data cifar10 --out runs/theirs/ckpt.pt
    python -m models.convert theirs.pth --as spiking-resnet18 --node LIFNode --tau 2.0 --loss sdt --data cifar10 \\
        --out runs/theirs/ckpt.pt
    python -m models.convert resnet18.pth --as resnet18 --loss sdt --data imagenet --out runs/resnet18/ckpt.pt

``--as`` says whose network it is (:mod:`models.foreign` lists them), and the other flags what no state dict holds:
neurons, T, loss and data, whose files it doesn't need. Where the weights lie in the file it finds unasked and says in a
line (:mod:`models.elsewhere`); ``--weights ema`` takes the moving average that timm keeps beside them. Logits then are
the other side's, on the same images, up to rounding. Neurons that have no equal here (:mod:`models.nodes`), tensors
that are missing, unknown or of another shape are refused, all of them listed; so is a pickle that holds more than
tensors, plain values and an argparse.Namespace, which is never run. A network of torchvision's is this project's
spiking one with ReLUs, and named so in tables: ``spiking-resnet18-relu``, at T = 1.

The checkpoint works with every analysis but those of a training run (history, stability), which it doesn't have. Its
``training`` says where it is from: source_project, source_network, source_sha256, source_weights.
"""

import hashlib
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from tables.files import alone, check_writable, remove_leftovers

from .. import elsewhere, foreign
from ..checkpoint import Checkpoint, CheckpointError, load, save
from ..data import check_arguments, described
from ..data.dataset import Described
from ..fitting import State
from ..foreign import SOURCES, Source
from ..networks import build
from ..neurons.lif import Neuron
from ..nodes import Node
from ..training import made, recipe
from ..validation import check_label
from .flags import Config


def run(config: Config) -> Checkpoint:
    """Convert, save, and return the checkpoint.

    Raises ValueError for what has no equal here, FileNotFoundError for no file, OSError when nothing can be saved.
    """
    return _run(config)[0]


def _run(config: Config) -> tuple[Checkpoint, str]:
    """The same, and which weights of the file were taken, in a sentence."""
    if config.network not in SOURCES:
        raise ValueError(f"--as {config.network} is no network known elsewhere; there are {', '.join(SOURCES)}")
    method = config.loss if config.method is None else config.method
    for flag, label in (("--loss", config.loss), ("--method", method)):
        check_label(label, flag)
    source = SOURCES[config.network]
    neuron = _neuron(source, config)
    found = elsewhere.read(config.source, config.weights, prefix=config.prefix)
    origin = {
        "source_project": source.project,
        "source_network": config.network,
        "source_sha256": hashlib.sha256(config.source.read_bytes()).hexdigest(),
        "source_weights": found.key + (f", from {config.prefix}" if config.prefix else ""),
    }
    _check_out(config.out, origin)
    try:
        checkpoint = converted(found.state, source, neuron, config.timesteps)
    except CheckpointError as failure:
        remedy = elsewhere.suggestion(config.source, found, partial(converted, source=source, neuron=neuron))
        said = f"{config.source} is no {config.network} of {source.project}: {failure}{remedy}"
        raise CheckpointError(said) from failure
    data = described(config.data, **_data_arguments(config, checkpoint))
    _check_data(data, checkpoint)
    asked = {"batch_size": config.batch_size, "momentum": config.momentum}
    told = {name: value for name, value in asked.items() if value is not None}
    training = {"loss": config.loss, "method": method, "seed": config.seed, **told, **origin}
    checkpoint = replace(checkpoint, data={"name": data.name, "arguments": data.arguments}, training=training)
    with alone(config.out.parent):
        remove_leftovers(config.out.parent, config.out.name)
        save(checkpoint, config.out)
    return checkpoint, found.chosen


def converted(state: State, source: Source, neuron: Neuron, timesteps: int | None = None) -> Checkpoint:
    """``state``, of a network of ``source``'s with such neurons, as a checkpoint without data and training.

    Raises CheckpointError, listing every path with what was expected and found; ValueError for impossible settings.
    """
    arguments = foreign.arguments(source, state) | {"timesteps": timesteps} | asdict(neuron)
    network = build(source.network, seed=0, device="meta", **arguments)
    weights = foreign.fitted(state, network.state_dict(), source.names)
    checkpoint = Checkpoint({"name": source.network, "arguments": network.arguments}, weights, {}, {}, {})
    checkpoint.network()  # refuses what is not finite
    return checkpoint


def _neuron(source: Source, config: Config) -> Neuron:
    jelly = source.project == "SpikingJelly"
    if jelly and config.node is None:
        raise ValueError(f"what SpikingJelly's neurons are is in no state dict: give --node for {config.network}")
    if not jelly and (config.node or config.tau is not None):
        raise ValueError(
            f"--node and --tau are of SpikingJelly's neurons, and {config.network} is {source.project}'s: "
            "the TET code's tau, a factor on the membrane, is --decay"
        )
    if source.project == "torchvision":
        if config.timesteps not in (None, 1):
            raise ValueError(f"{config.network} doesn't spike and has one timestep, got --timesteps {config.timesteps}")
        return Neuron(spiking=False)
    node = Node(
        config.node or "LIFNode",
        Node.tau if config.tau is None else config.tau,
        config.decay_input, config.v_threshold, config.v_reset, config.surrogate, config.alpha, config.detach_reset,
    )  # fmt: skip
    neuron = node.neuron()
    if jelly:
        return neuron
    return Neuron(
        decay=config.decay, threshold=config.v_threshold, width=config.gamma, detach_reset=config.detach_reset
    )


def _check_out(out: Path, origin: dict[str, str]) -> None:
    """Raise OSError where ``out`` can't be written, ValueError where it holds anything but the same conversion."""
    check_writable(out.parent)
    unsaid = {"source_weights": origin["source_weights"]}  # by earlier versions
    if out.exists() and not origin.items() <= (unsaid | load(out).training).items():
        raise ValueError(f"{out} holds a checkpoint of other weights: choose another --out")


def _data_arguments(config: Config, checkpoint: Checkpoint) -> dict[str, Any]:
    """What models.train would ask for with these flags and the network's T."""
    check_arguments(config.data, {})
    names = ("out", "data", "cut", "binary_frames", "split", "split_seed", "train_images", "image_size")
    shared: dict[str, Any] = {name: getattr(config, name) for name in names}
    return made.data_arguments(recipe.Config(**shared, timesteps=checkpoint.model["arguments"]["timesteps"]))


def _check_data(data: Described, checkpoint: Checkpoint) -> None:
    """Raise ValueError unless the network takes such data."""
    takes = checkpoint.model["arguments"]
    for name in ("in_channels", "num_classes", "image_size"):
        has = getattr(data, name)
        if has is not None and takes.get(name, has) != has:
            raise ValueError(f"the network takes {name} {takes[name]}, --data {data.name} has {has}")


def show(config: Config) -> None:
    """Convert, and print what was taken and what was made of it."""
    made, chosen = _run(config)
    print(chosen)
    named = f"{made.model['name']}, {len(made.state_dict)} tensors, T = {made.model['arguments']['timesteps']}"
    print(f"{config.out}: {named}; from {config.source} (sha256 {made.training['source_sha256'][:12]}…)")
