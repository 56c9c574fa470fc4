"""From stored pixels to batches: the order of the images, random views of them, and standardised channels.

A split keeps its images in an order whose prefixes hold the classes in proportion (:func:`stratified_order`), so that
its first n images are a fair subset. Batches are standardised by channel, (x − mean) / std; views are taken before
that, of raw pixels, so padding is black and not the mean colour.

Random views, drawn from a generator: ``crop_and_flip`` is the CIFAR recipe (zero padding of 4, a random 32×32 crop, a
mirror with probability ½), each image of a batch by its own draw. ``resized_crop_and_flip`` is the ImageNet recipe (a
crop of 8 % to 100 % of the area with an aspect ratio between 3/4 and 4/3, resized to 224×224, mirrored; Szegedy et
al. 2015), with ``centre_crop`` for testing: the shorter side resized to 256, the central 224×224.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Int, Shaped
from torch import Generator, Tensor
from torch.nn.functional import pad
from torch.utils.data import DataLoader, Dataset
from torchvision.datasets import ImageFolder
from torchvision.transforms import functional as vision

Augment = Callable[[Tensor, Generator], Tensor]


def stratified_order(labels: Int[Tensor, "image"], *, seed: int) -> Int[Tensor, "image"]:
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


@dataclass(frozen=True, eq=False)
class Split(ABC):
    """Labels in stored order, and the mean and standard deviation of each channel, in units of the stored pixels."""

    labels: Int[Tensor, "image"]
    mean: tuple[float, ...]
    std: tuple[float, ...]

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
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Go once over the split: standardised images and int64 labels; the last batch holds what is left.

        Images are [batch, channel, height, width], or [time, batch, 2, height, width] for events. With a (CPU)
        ``generator`` the order is drawn from it, and then whatever ``augment`` draws; without one the order is the
        stored one. ``limit`` takes the first images in stored order, in proportion by class, and shuffles within
        them.

        Raises ValueError for a size below 1, a limit that is not between 1 and the number of images, and an
        ``augment`` without a generator.
        """
        count = len(self) if limit is None else limit
        if size < 1:
            raise ValueError(f"a batch holds at least one image, got size {size}")
        if not 1 <= count <= len(self):
            raise ValueError(f"there are {len(self)} images in this split: ask for 1 to {len(self)}, not {count}")
        if augment is not None and generator is None:
            raise ValueError("augmentation draws from a generator: pass one, or no augment")
        order = torch.arange(count) if generator is None else torch.randperm(count, generator=generator)
        mean, std = (torch.tensor(each, dtype=dtype, device=device).view(-1, 1, 1) for each in (self.mean, self.std))
        return (
            ((pixels.to(device).to(dtype) - mean) / std, self.labels[chosen].to(device))
            for pixels, chosen in zip(self._pixels(order, size, augment, generator), order.split(size), strict=True)
        )

    @abstractmethod
    def _pixels(
        self, order: Tensor, size: int, augment: Augment | None, generator: Generator | None
    ) -> Iterator[Tensor]:
        """Batches of stored pixels in ``order``, augmented."""


@dataclass(frozen=True, eq=False)
class MemorySplit(Split):
    """A split held in memory: [image, channel, height, width], or [image, time, 2, height, width] for events."""

    images: Shaped[Tensor, "image *shape"]

    def _pixels(
        self, order: Tensor, size: int, augment: Augment | None, generator: Generator | None
    ) -> Iterator[Tensor]:
        for chosen in order.split(size):
            pixels = self.images[chosen]
            if pixels.ndim == 5:
                pixels = pixels.transpose(0, 1).contiguous()
            yield augment(pixels, generator) if augment and generator else pixels


@dataclass(frozen=True, eq=False)
class FolderSplit(Split):
    """A split read from files as it goes; ``numbers`` are the folder's numbers of the images in stored order.

    Here ``augment`` works on one image, [channel, height, width], and draws from a generator of the image's own whose
    seed comes from the caller's: what is drawn does not depend on the number of worker processes. Without ``augment``
    images are cropped in the centre.
    """

    folder: ImageFolder
    numbers: Int[Tensor, "image"]
    image_size: int
    workers: int

    def _pixels(
        self, order: Tensor, size: int, augment: Augment | None, generator: Generator | None
    ) -> Iterator[Tensor]:
        seeds = torch.randint(2**63 - 1, order.shape, generator=generator) if augment else torch.zeros_like(order)
        requests = torch.stack([self.numbers[order], seeds], 1).split(size)
        return iter(
            DataLoader(
                _Reader(self.folder, augment, self.image_size),
                batch_sampler=[request.tolist() for request in requests],
                num_workers=self.workers,
                generator=Generator(),  # without one of its own a loader draws from the global generator
            )
        )


@dataclass(frozen=True)
class _Reader(Dataset[Tensor]):
    folder: ImageFolder
    augment: Augment | None
    image_size: int

    def __getitem__(self, request: list[int]) -> Tensor:
        number, seed = request
        try:
            image = vision.pil_to_tensor(self.folder[number][0])
        except OSError as error:
            raise OSError(f"cannot read the image {self.folder.samples[number][0]}: {error}") from error
        if self.augment is None:
            return centre_crop(image, size=self.image_size)
        return self.augment(image, Generator().manual_seed(seed))


def crop_and_flip(
    images: Shaped[Tensor, "batch channel height width"], generator: Generator, *, padding: int = 4
) -> Shaped[Tensor, "batch channel height width"]:
    """Shift each image by up to ``padding`` pixels either way, filling with zeros, and mirror half of them.

    The draws are, in this order: the top edges, the left edges, the mirrors; ``generator`` is a CPU generator.
    """
    count, _, height, width = images.shape
    top = torch.randint(2 * padding + 1, (count,), generator=generator)
    left = torch.randint(2 * padding + 1, (count,), generator=generator)
    mirror = torch.rand(count, generator=generator) < 0.5
    windows = pad(images, (padding,) * 4).unfold(2, height, 1).unfold(3, width, 1)
    cropped = windows[torch.arange(count), :, top, left]
    return torch.where(mirror.view(-1, 1, 1, 1).to(images.device), cropped.flip(-1), cropped)


def resized_crop_and_flip(
    image: Shaped[Tensor, "channel height width"],
    generator: Generator,
    *,
    size: int = 224,
    scale: tuple[float, float] = (0.08, 1.0),
    ratio: tuple[float, float] = (3 / 4, 4 / 3),
) -> Shaped[Tensor, "channel size size"]:
    """Cut a random rectangle out of one image, resize it to ``size`` × ``size``, and mirror it with probability ½.

    ``scale`` bounds the rectangle's share of the area, ``ratio`` its width over height.
    """
    top, left, height, width = _rectangle(image.shape[1], image.shape[2], generator, scale, ratio)
    cropped = vision.resized_crop(image, top, left, height, width, [size, size], antialias=True)
    return cropped.flip(-1) if torch.rand(1, generator=generator) < 0.5 else cropped


def _rectangle(
    rows: int, columns: int, generator: Generator, scale: tuple[float, float], ratio: tuple[float, float]
) -> tuple[int, int, int, int]:
    # The order of the draws is torchvision's, so that one seed gives both the same rectangle.
    for _ in range(10):
        area = rows * columns * torch.empty(1).uniform_(*scale, generator=generator).item()
        aspect = torch.empty(1).uniform_(*map(math.log, ratio), generator=generator).exp().item()
        width, height = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < width <= columns and 0 < height <= rows:
            top = int(torch.randint(rows - height + 1, (1,), generator=generator))
            left = int(torch.randint(columns - width + 1, (1,), generator=generator))
            return top, left, height, width
    # A very elongated image: the largest central rectangle whose aspect ratio is allowed.
    aspect = min(max(columns / rows, ratio[0]), ratio[1])
    width, height = min(columns, round(rows * aspect)), min(rows, round(columns / aspect))
    return (rows - height) // 2, (columns - width) // 2, height, width


def centre_crop(
    image: Shaped[Tensor, "channel height width"], *, size: int = 224
) -> Shaped[Tensor, "channel size size"]:
    """Resize the shorter side to 256/224 of ``size`` and cut out the centre."""
    return vision.center_crop(vision.resize(image, [round(size * 256 / 224)], antialias=True), [size, size])
