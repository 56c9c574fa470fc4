"""What a run trains and on what: the network and the data of its settings, this project's or the user's own."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from .. import code
from ..data import NAMES, Data, load
from ..data.splits import MemorySplit, Split
from ..losses import OBJECTIVES
from ..networks import own, parse
from ..networks.layers import Network
from . import recipe
from .epoch import DTYPES
from .objective import objective
from .outputs import Kind, checked
from .recipe import Config
from .usual import EVENTS, RECORDED


@dataclass(frozen=True, eq=False)
class Made:
    """``train`` and ``test`` are the data's, on the device where they are in memory."""

    data: Data
    train: Split
    test: Split
    network: nn.Module
    model: dict[str, Any]
    """How a checkpoint names the network, without the arguments of this project's."""

    kind: Kind
    losses: tuple[str, ...]
    """What it is trained with, in all phases."""

    @property
    def tells_loss(self) -> bool:
        """Whether the history has the loss trained with, beside SDT's and TET's or in their place."""
        return self.kind != "steps" or not set(self.losses) <= set(OBJECTIVES)

    @contextmanager
    def seeded(self, seed: int, epoch: int) -> Iterator[None]:
        """What a network of the user's own draws in the block, as by dropout, is drawn from the run's ``seed``."""
        if isinstance(self.network, Network):
            yield
            return

        with torch.random.fork_rng():
            torch.manual_seed((seed * 1_000_003 + epoch) % 2**63)
            yield

    def remarks(self, neuron: str) -> list[str]:
        """What a run says of it on stderr; ``neuron`` is how neurons are computed."""
        network, data = self.network, self.data
        spikes = isinstance(network, Network) and network.arguments["spiking"]
        found = [f"neurons: {neuron}"] if spikes else []
        if data.name not in NAMES:
            share = data.arguments.get("test_share")
            drawn = f" ({share:.0%} of all, drawn by split seed {data.arguments['split_seed']})" if share else ""
            counts = f"{len(data.train):,} examples for training and {len(data.test):,} for testing"
            found.append(f"data: {data.name}, {counts}{drawn}")
        return found

    def record(self) -> dict[str, dict[str, Any]]:
        """How a checkpoint names both; arguments of this project's networks as they are now."""
        digest = {} if self.data.sha256 is None else {"sha256": self.data.sha256}
        now = {"arguments": dict(self.network.arguments)} if isinstance(self.network, Network) else {}
        return {
            "model": now | self.model,
            "data": {"name": self.data.name, "arguments": self.data.arguments} | digest,
        }


def made(config: Config, device: str) -> Made:
    """The untrained network and the data of a resolved ``config``.

    Raises FileNotFoundError, ValueError and CodeError for what can't be had, and where they don't go together.
    """
    named = (config.data,) if code.is_code(config.data) else ()
    data = load(config.data, root=config.data_root, code=named, **data_arguments(config))
    network, model = _network(config, data)
    network.to(device, DTYPES[config.precision])
    if config.channels_last:
        network.to(memory_format=torch.channels_last)
    train, test = (_resident(split, device) for split in (data.train, data.test))
    losses = tuple(dict.fromkeys(phase.loss for phase in recipe.timeline(config)))
    kind: Kind = "steps"
    usual = set(OBJECTIVES) - {"ce"}
    if data.name not in NAMES or not isinstance(network, Network) or not set(losses) <= usual:
        kind = _checked(config, network, (train, test), losses, device)
    return Made(data, train, test, network, model, kind, losses)


def _checked(
    config: Config, network: nn.Module, splits: tuple[Split, Split], losses: tuple[str, ...], device: str
) -> Kind:
    """What the outputs are; asked only where it could be anything else than usual."""
    size = min(config.batch_size, len(splits[0]))
    batch = next(splits[0].batches(size, limit=size, device=device, dtype=DTYPES[config.precision]))
    functions = {loss: objective(config, loss, network) for loss in losses}
    kind = checked(network, splits, functions, name=str(config.model), batch=batch)
    if kind != "steps" and (config.record_momentum or config.until_loss_of):
        flag = "--record-momentum" if config.record_momentum else "--until-loss-of"
        raise ValueError(
            f"{flag} is about outputs [time, batch, class] with class labels, and {config.model} has others"
        )
    return kind


def data_arguments(config: Config) -> dict[str, Any]:
    """What :func:`models.data.load` takes beside the name and the root."""
    arguments: dict[str, Any] = {"split_seed": config.split_seed + config.vary_data * config.seed}
    # What was not asked for is left to the data set, which refuses what it doesn't take.
    asked: dict[str, Any] = {
        "train_images": config.train_images,
        "split": config.split,
        "binary": config.binary_frames or None,
    }
    asked["by"] = None if config.cut == "count" else config.cut
    arguments |= {name: value for name, value in asked.items() if value is not None}
    if config.random_labels:
        arguments |= {"random_labels": config.random_labels, "label_seed": config.seed}
    if config.data in EVENTS:
        arguments["timesteps"] = config.timesteps
    if config.frames is not None:
        arguments["frames"] = config.frames
    if config.data == "imagenet" or config.data in RECORDED or (config.workers and config.data not in NAMES):
        arguments["workers"] = config.workers
    if config.image_size is not None:
        arguments["image_size"] = config.image_size
    return arguments


def _network(config: Config, data: Data) -> tuple[nn.Module, dict[str, Any]]:
    if recipe.own_network(config):
        named = code.parse(str(config.model))
        digest = code.sha256(named.where)
        network = own.build(named, seed=config.seed)
        return network, {"name": str(named), "arguments": dict(named.arguments), "sha256": digest}
    if not data.num_classes or not data.in_channels or not data.image_size:
        raise ValueError(
            f"{config.model} takes images [channel, size, size] and class labels, which {data.name} has not:"
            " give a network of your own, --model FILE.py:NAME"
        )
    shape = {name: getattr(data, name) for name in ("num_classes", "in_channels", "image_size")}
    return recipe.network(config, **shape), {"name": parse(str(config.model))[0]}


def _resident(split: Split, device: str) -> Split:
    """The split with its images on ``device``, where they are held in memory: there they are cut and mirrored too."""
    return replace(split, images=split.images.to(device)) if isinstance(split, MemorySplit) else split
