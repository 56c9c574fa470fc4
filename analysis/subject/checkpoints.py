"""Subjects from checkpoints of this project."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from models import code as named_code
from models.checkpoint import Checkpoint
from models.checkpoint import load as read
from models.data import Data
from models.device import device as usable_device
from models.losses import OBJECTIVES
from models.networks.layers import Network
from models.neurons.lif import LIF
from tables.record import sha256
from tables.schema import TWIN

from .spiking import Spiking
from .subject import DTYPES, Subject


def load(
    path: Path, *, device: str = "cpu", dtype: str = "float32", data_root: str | None = None, code: Sequence[str] = ()
) -> Subject:
    """The subject in the checkpoint at ``path``: its network rebuilt on ``device`` in ``dtype``, its data loaded.

    ``code`` is what it may have of the user's own code (:mod:`models.code`). Raises CheckpointError, CodeError,
    FileNotFoundError or ValueError with what was got and what was expected.
    """
    place = usable_device(device)
    digest = sha256(path) if path.is_file() else ""
    checkpoint = read(path)
    network, data = checkpoint.network(code), checkpoint.load_data(data_root, code)
    for name in ("in_channels", "num_classes", "image_size"):
        takes, gets = getattr(network, "arguments", {}).get(name), getattr(data, name)
        if takes is not None and takes != gets:
            raise ValueError(f"{path}: its network takes {name} {takes}, its data {data.name} has {gets}")
    network = network.to(device=place, dtype=DTYPES[dtype])
    subject = of(path, checkpoint, network, data, device, DTYPES[dtype])
    if subject.sha256 != digest:
        raise ValueError(f"{path} was replaced while it was read: measure it when its training has ended")
    trained_with = checkpoint.training["loss"]
    if trained_with in OBJECTIVES:
        return subject
    own = named_code.parse(trained_with)
    if subject.has_losses and not any(word.startswith(own.where) for word in code):
        return subject  # its usual losses will do
    granted = named_code.granted(own, named_code.recorded_digest(checkpoint.training.get("code"), own.where), code)
    usual = subject.asked("all") if subject.has_losses else {}
    return replace(subject, losses=usual | {own.name: named_code.function(granted)})


def of(path: Path, checkpoint: Checkpoint, network: nn.Module, data: Data, device: str, dtype: torch.dtype) -> Subject:
    """The subject of a checkpoint whose network is built and whose data are loaded.

    A network that doesn't spike is named apart from its spiking twin: digits-cnn-relu.
    """
    told = {"architecture": checkpoint.model["name"]}
    if isinstance(network, Network):
        spikes = checkpoint.model["arguments"].get("spiking", True)
        frames = 0 if data.steps else None
        told["architecture"] += "" if spikes else TWIN
        spiking = Spiking((LIF,) if spikes else (), 0, frames, "timesteps")
    else:  # somebody's own, which is looked at
        spiking = None
    return Subject(
        network, train=data.train, test=data.test, name=path.as_posix(), data=checkpoint.data["name"],
        method=checkpoint.training["method"], seed=checkpoint.training["seed"], spiking=spiking,
        device=device, dtype=dtype, checkpoint=checkpoint, path=path, dataset=data, **told,
    )  # fmt: skip
