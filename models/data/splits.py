"""From stored pixels to batches: the order of the images and standardised channels.

A split keeps its images in an order whose prefixes hold the classes in proportion (:func:`stratified_order`), so that
its first n images are a fair subset. Batches are standardised by channel, (x − mean) / std; views are taken before
that, of raw pixels, so padding is black and not the mean colour.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Int, Shaped
from torch import Generator, Tensor

from .augment import Augment
from .prefetch import prefetched


def stratified_order(labels: Int[Tensor, " image"], *, seed: int) -> Int[Tensor, " image"]:
    """A random permutation of the images that spreads every class evenly.

    The i-th of a class's n images, in random order, goes to (i + ½)/n of the way; ties are in random order. A prefix
    then holds each of C equally large classes to within one image of its share.
    """
    shuffled = torch.randperm(len(labels), generator=Generator().manual_seed(seed))
    classes = labels[shuffled]
    counts = torch.bincount(classes)
    by_class = classes.argsort(stable=True)
    rank = torch.arange(len(labels), dtype=torch.float64) - (counts.cumsum(0) - counts)[classes[by_class]]
    position = torch.empty_like(rank)
    position[by_class] = (rank + 0.5) / counts[classes[by_class]]
    return shuffled[position.argsort(stable=True)]


def independent_draws(images: int, *, count: int, size: int, generator: Generator) -> Int[Tensor, "count size"]:
    """Which of so many ``images`` are in each of ``count`` batches: no image twice in one, and each drawn anew.

    Batches that go through a permutation instead know of each other: what the first hold the last can't, and over the
    whole they cancel to the images' own mean. Raises ValueError for batches that can't be had.
    """
    if count < 1 or not 1 <= size <= images:
        raise ValueError(
            f"can't draw {count} batches of {size} from {images} images: ask for at least one, of at most all"
        )
    return torch.stack([torch.randperm(images, generator=generator)[:size] for _ in range(count)])


@dataclass(frozen=True, eq=False)
class Split(ABC):
    """Labels in stored order, and the mean and standard deviation of each channel, in units of the stored pixels.

    Of a user's own data labels may be any targets, [image, …], and mean and std are () where x stays as it is.
    """

    labels: Shaped[Tensor, " image *target"]
    mean: tuple[float, ...]
    std: tuple[float, ...]

    read_from_files: ClassVar[bool] = True
    """Whether batches are worth preparing ahead (:mod:`models.data.prefetch`)."""

    def __len__(self) -> int:
        return len(self.labels)

    def batches(
        self,
        size: int,
        *,
        generator: Generator | None = None,
        augment: Augment | None = None,
        limit: int | None = None,
        device: str | torch.device = "cpu",
        dtype: torch.dtype = torch.float32,
        part: tuple[int, int] = (0, 1),
        draws: int | None = None,
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Go once over the split: standardised images and int64 labels; the last batch holds what is left.

        Images are [batch, channel, height, width], or [time, batch, 2, height, width] for events. With a (CPU)
        ``generator`` the order is drawn from it, and then whatever ``augment`` draws; without one the order is the
        stored one. ``limit`` takes the first images in stored order, in proportion by class, and shuffles within
        them. ``part`` (i, n) is what the i-th of n processes gets: a share of every batch (perhaps nothing of a small
        one), ordered and augmented as in the whole; all shares in order are the batch. With ``draws`` there are so many
        full batches instead, drawn from the generator independently of each other (:func:`independent_draws`).

        Raises ValueError for a size below 1, a limit that is not between 1 and the number of images, ``augment`` or
        ``draws`` without a generator, and draws of more images than there are.
        """
        count = len(self) if limit is None else limit
        if size < 1:
            raise ValueError(f"a batch holds at least one image, got size {size}")
        if not 1 <= count <= len(self):
            raise ValueError(f"there are {len(self)} images in this split: ask for 1 to {len(self)}, not {count}")
        if augment is not None and generator is None:
            raise ValueError("augmentation draws from a generator: pass one, or no augment")
        if draws is not None and generator is None:
            raise ValueError("batches are drawn from a generator: pass one, or no draws")
        if generator is None:
            order = torch.arange(count)
        elif draws is None:
            order = torch.randperm(count, generator=generator)
        else:
            order = independent_draws(count, count=draws, size=size, generator=generator).flatten()
        mean, std = (torch.tensor(each, dtype=dtype, device=device).view(-1, 1, 1) for each in (self.mean, self.std))
        labels = self.labels.to(dtype) if self.labels.is_floating_point() else self.labels

        def prepared(stored: Tensor) -> Tensor:
            pixels = stored.to(device, non_blocking=True)
            if not self.mean:
                return pixels.to(dtype) if pixels.is_floating_point() else pixels
            return (pixels.to(dtype) - mean) / std

        stored = self._pixels(order, size, augment, generator, part)
        if self.read_from_files:
            stored = prefetched(stored, pin=mean.is_cuda)
        return (
            (prepared(pixels), labels[share(chosen, part)].to(device))
            for pixels, chosen in zip(stored, order.split(size), strict=True)
        )

    @abstractmethod
    def _pixels(
        self, order: Tensor, size: int, augment: Augment | None, generator: Generator | None, part: tuple[int, int]
    ) -> Iterator[Tensor]:
        """This ``part`` of batches of stored pixels in ``order``, augmented."""


def share(items: Tensor, part: tuple[int, int], axis: int = 0) -> Tensor:
    """The i-th of n nearly equal pieces along ``axis``, for ``part`` (i, n)."""
    number, parts = part
    start, end = (items.shape[axis] * place // parts for place in (number, number + 1))
    return items.narrow(axis, start, end - start)


@dataclass(frozen=True, eq=False)
class MemorySplit(Split):
    """A split held in memory: [image, channel, height, width], or [image, time, 2, height, width] for events."""

    images: Shaped[Tensor, " image *shape"]
    read_from_files = False

    def _pixels(
        self, order: Tensor, size: int, augment: Augment | None, generator: Generator | None, part: tuple[int, int]
    ) -> Iterator[Tensor]:
        for chosen in order.split(size):
            pixels = self.images[chosen]
            if pixels.ndim == 5:
                pixels = pixels.transpose(0, 1).contiguous()
            yield share(augment(pixels, generator) if augment and generator else pixels, part, axis=-4)
