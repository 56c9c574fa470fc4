"""The examples of a subject: in batches, as one, a process's share, counted."""

from collections.abc import Callable, Iterator
from dataclasses import KW_ONLY, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from landscape.surfaces import cached_size
from models import processes

from .given import ONCE, Given, usable
from .sources import Batch, Images, joined
from .spiking import Spiking


class Unsuited(ValueError):
    """What is asked can't be had of this subject: it lacks what that takes."""


def complex_weight(network: nn.Module) -> str:
    """The name of the first parameter of complex numbers, for analyses of real ones; empty where there is none."""
    return next((name for name, weight in network.named_parameters() if weight.is_complex()), "")


@dataclass(frozen=True, eq=False)
class Examples:
    """A network's data, read in batches."""

    network: nn.Module
    _: KW_ONLY
    train: Given | None = None
    test: Given | None = None
    name: str = ""
    spiking: Spiking | None = None
    unpack: Callable[[Any], tuple[Any, Any]] | None = None
    device: str = "cpu"
    dtype: torch.dtype = torch.float32

    @property
    def title(self) -> str:
        """What it is called."""
        return self.name

    @property
    def axis(self) -> int:
        """The axis of examples in the inputs."""
        return 1 if self.spiking and self.spiking.frames == 0 else 0

    def batches(
        self, split: str, images: int | None, size: int, *, generator: torch.Generator | None = None
    ) -> list[Batch]:
        """The first ``images`` of ``split``, or all there are, not augmented, on the device, ``size`` a batch.

        In the order in which ``generator`` draws them, where one is given.
        """
        return self._images(split).batches(self._number(split, images, size), size, generator=generator)

    def cached(self, split: str, size: int) -> int:
        """How many images a batch of a surface takes, ``size`` at most: on a CPU as many as its caches hold."""
        one = self.batches(split, 1, 1)[0][0]
        if self.device != "cpu" or not isinstance(one, Tensor):
            return size
        return min(size, cached_size(self.network, one))

    def share(self, split: str, images: int | None, size: int) -> list[Batch]:
        """This process's share of the same, at most ``size`` a batch; with one process all of it."""
        number, world = self._number(split, images, size), processes.world()
        if world > 1:
            rounds = -(-number // (size * world))
            size = -(-number // (rounds * world))
        held = self._images(split)
        return held.batches(number, size, part=processes.bounds(held.count(number, size)))

    def batch(self, split: str, images: int | None) -> Batch:
        """The same as one batch."""
        return joined(self.batches(split, images, 10**9), self.axis)

    def first(self, split: str) -> Batch:
        """A first batch, as the data come."""
        return self._images(split).first(8)

    def count(self, split: str) -> int:
        """How many examples there are."""
        return len(self._images(split))

    def spread(self, split: str, count: int) -> list[Batch]:
        """Some ``count`` examples at equal distances, where single ones can be asked for; else none."""
        return self._images(split).spread(count)

    def _number(self, split: str, images: int | None, size: int) -> int:
        if size < 1 or (images is not None and images < 1):
            raise ValueError(f"images and chunk must be at least 1, got {images} and {size}")
        total = self._images(split).number(images)
        if not total:
            once = isinstance(getattr(self, split), Iterator)
            raise ValueError(f"{self.title}: its {split} data {ONCE if once else 'are empty'}")
        return total

    def _images(self, split: str) -> Images:
        source = getattr(self, split)
        if source is None:
            raise Unsuited(f"{self.title} has no {split} data")
        return Images(usable(source), self.device, self.dtype, self.unpack, self.axis)
