"""A checkpoint made ready for measurement: its network, in eval mode, and batches of the images it knows or not."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor

from models import processes
from models.checkpoint import Checkpoint, load
from models.data import Data
from models.data.splits import Split
from models.device import device as usable_device
from models.losses import LOSSES
from models.networks.layers import Network
from tables.record import sha256

Batch = tuple[Tensor, Tensor]
TWIN = "-relu"
DTYPES = {"float32": torch.float32, "float64": torch.float64, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class Subject:
    """One trained network, its data, and the columns that name it in every table."""

    path: Path
    checkpoint: Checkpoint
    network: Network
    data: Data
    device: str
    dtype: torch.dtype

    @classmethod
    def load(
        cls, path: Path, *, device: str = "cpu", dtype: str = "float32", data_root: str | None = None
    ) -> "Subject":
        """Read ``path``, rebuild its network on ``device`` in ``dtype``, and load its data.

        Raises CheckpointError, FileNotFoundError or ValueError with what was got and what was expected.
        """
        place = usable_device(device)
        digest = sha256(path) if path.is_file() else ""
        checkpoint = load(path)
        network, data = checkpoint.network(), checkpoint.load_data(data_root)
        for name in ("in_channels", "num_classes", "image_size"):
            takes, gets = network.arguments.get(name), getattr(data, name)
            if takes is not None and takes != gets:
                raise ValueError(f"{path}: its network takes {name} {takes}, its data {data.name} has {gets}")
        subject = cls(path, checkpoint, network.to(device=place, dtype=DTYPES[dtype]), data, device, DTYPES[dtype])
        if subject.sha256 != digest:
            raise ValueError(f"{path} was replaced while it was read: measure it when its training has ended")
        return subject

    @property
    def identity(self) -> dict[str, str | int]:
        """The columns checkpoint, network, data, method (how it was trained), training (with which loss) and seed.

        A network that doesn't spike is named apart from its spiking twin: digits-cnn-relu.
        """
        spiking = self.network.arguments["spiking"]
        return {
            "checkpoint": self.path.as_posix(),
            "network": self.checkpoint.model["name"] + ("" if spiking else TWIN),
            "data": self.checkpoint.data["name"],
            "method": self.checkpoint.training["method"],
            "training": self.checkpoint.training["loss"],
            "seed": self.checkpoint.training["seed"],
        }

    @cached_property
    def sha256(self) -> str:
        """Digest of the checkpoint file: as it was read, where :meth:`load` did, whatever lies there since."""
        return sha256(self.path)

    @property
    def trained_timesteps(self) -> int:
        """T of the training run."""
        return self.network.timesteps

    def batches(self, split: str, images: int | None, size: int) -> list[Batch]:
        """The first ``images`` of ``split``, or all there are, not augmented, on the device, ``size`` a batch."""
        return self._read(split, self._number(split, images, size), size)

    def share(self, split: str, images: int | None, size: int) -> list[Batch]:
        """This process's share of the same, at most ``size`` a batch; with one process all of it."""
        number, world = self._number(split, images, size), processes.world()
        if world > 1:
            rounds = -(-number // (size * world))
            size = -(-number // (rounds * world))
        return self._read(split, number, size, *processes.bounds(-(-number // size)))

    def _number(self, split: str, images: int | None, size: int) -> int:
        if size < 1 or (images is not None and images < 1):
            raise ValueError(f"images and chunk must be at least 1, got {images} and {size}")
        total = len(self._part(split))
        return total if images is None else min(images, total)

    def _part(self, split: str) -> Split:
        return self.data.train if split == "train" else self.data.test

    def _read(self, split: str, number: int, size: int, first: int = 0, end: int | None = None) -> list[Batch]:
        found = self._part(split).batches(size, limit=number, device=self.device)
        return [(x.to(self.dtype), y) for x, y in islice(found, first, end)]

    def batch(self, split: str, images: int | None) -> Batch:
        """The same as one batch."""
        return self.batches(split, images, 10**9)[0]


def per_image(loss: str) -> Callable[[Tensor, Tensor], Tensor]:
    """The landscape's loss ("sdt": equation 7, "tet": equation 9; no regulariser), one value per image."""
    return partial(LOSSES[loss], reduction="none")


def correct(logits: Tensor, labels: Tensor) -> Tensor:
    """1 where the class with the largest mean output is the label, else 0; shape ``[batch]``."""
    return (logits.mean(0).argmax(1) == labels).to(logits.dtype)
