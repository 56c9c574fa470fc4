"""The weights that a training run passed through: ``snapshots/`` beside its checkpoint."""

from collections.abc import Iterator
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from landscape.objective import Parameters
from models.checkpoint import Checkpoint, CheckpointError, load
from models.networks.layers import Network

from . import Subject


def snapshots(subject: Subject, weights: Parameters) -> tuple[list[int], Float[Tensor, "snapshot dimension"]]:
    """The epochs of the run's snapshots, in order, and their ``weights`` as vectors.

    Raises FileNotFoundError where there are none, ValueError for a single one, and CheckpointError for a file that is
    damaged or of another run.
    """
    subject.trained("a trajectory")
    folder = (subject.path or Path()).parent / "snapshots"
    files = sorted(folder.glob("*.pt"))
    if not files:
        raise FileNotFoundError(
            f"no snapshots in {folder}: train with 'python -m models.train --snapshots N' to keep every N-th epoch"
        )
    if len(files) < 2:
        raise ValueError(f"{folder} holds a single snapshot, and a trajectory takes at least 2: train with --snapshots")
    found = sorted(_vectors(files, subject, weights), key=lambda pair: pair[0])
    return [epoch for epoch, _ in found], torch.stack([vector for _, vector in found])


def _vectors(files: list[Path], subject: Subject, weights: Parameters) -> Iterator[tuple[int, Tensor]]:
    for path in files:
        snapshot = load(path)
        _check_same_run(snapshot, path, subject)
        ours = isinstance(subject.network, Network)
        state = snapshot.network().state_dict() if ours else snapshot.state_dict
        parts = [state[name].to(weights.device, weights.dtype) for name in weights.names]
        yield snapshot.training.get("epochs_done", 0), weights.flatten(parts)


def _check_same_run(snapshot: Checkpoint, path: Path, subject: Subject) -> None:
    here, there = (
        {"network": each.model, "data": each.data, **{name: each.training[name] for name in ("loss", "method", "seed")}}
        for each in (subject.trained("a trajectory"), snapshot)
    )
    for name, value in here.items():
        if there[name] != value:
            raise CheckpointError(
                f"{path} is of another run than {subject.path}: its {name} is {there[name]}, expected {value}"
            )
