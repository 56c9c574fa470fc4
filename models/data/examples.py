"""Splits of any Dataset's examples, or of a list of them: pairs (x, y) of one shape.

A Dataset is gone through once at the start, for its y. What it draws from torch's global generator as it reads an
example (augmentation) is seeded by the run's own, so that a run that goes on draws what it would have drawn.
"""

from collections.abc import Iterator, Sized
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Generator, Tensor
from torch.utils.data import Dataset, TensorDataset

from .. import code
from .augment import Augment
from .dataset import Data, check_count
from .splits import Split, share, stratified_order
from .workers import read


@dataclass(frozen=True, eq=False)
class ExampleSplit(Split):
    """A split read from a Dataset; ``numbers`` are its numbers of the examples in stored order."""

    dataset: Any
    numbers: Tensor
    frames: bool
    workers: int = 0
    read_from_files = False  # preparing ahead in a thread would share the generator that is seeded here

    def _pixels(
        self, order: Tensor, size: int, _augment: Augment | None, generator: Generator | None, part: tuple[int, int]
    ) -> Iterator[Tensor]:
        seeds = torch.zeros_like(order)
        if generator is not None and not isinstance(self.dataset, TensorDataset):
            seeds = torch.randint(2**63 - 1, order.shape, generator=generator)
        requests = [share(each, part) for each in torch.stack([self.numbers[order], seeds], 1).split(size)]
        return (each.transpose(0, 1).contiguous() if self.frames else each for each in self._examples(requests))

    def _examples(self, requests: list[Tensor]) -> Iterator[Tensor]:
        if isinstance(self.dataset, TensorDataset):
            x = self.dataset.tensors[0]
            return (x[request[:, 0]] for request in requests)
        return read(_Reader(self.dataset), self.workers, batch_sampler=[request.tolist() for request in requests])


@dataclass(frozen=True)
class _Reader(Dataset[Tensor]):
    dataset: Any

    def __getitem__(self, request: list[int]) -> Tensor:
        number, seed = request
        with torch.random.fork_rng(devices=[]), code.lines():
            torch.default_generator.manual_seed(seed)
            return torch.as_tensor(self.dataset[number][0])


def of_datasets(
    name: str, train: Any, test: Any, *, split_seed: int, train_images: int | None,
    frames: bool | None, workers: int = 0,
) -> Data:  # fmt: skip
    """Two Datasets as splits. Raises ValueError for one that is empty, or whose examples aren't pairs of one shape."""
    read = [_read(each, f"the {part} examples of {name}") for part, each in (("training", train), ("test", test))]
    (shape, y), (other, y_test) = read
    if shape != other or y.shape[1:] != y_test.shape[1:] or y.is_floating_point() != y_test.is_floating_point():
        raise ValueError(
            f"{name}: training and test examples differ: x {list(shape)}, y {list(y.shape[1:])} of {y.dtype};"
            f" x {list(other)}, y {list(y_test.shape[1:])} of {y_test.dtype}"
        )
    timed = len(shape) == 4 if frames is None else frames
    splits = []
    for dataset, targets in ((train, y), (test, y_test)):
        order = spread(targets, split_seed)
        splits.append(ExampleSplit(targets[order], (), (), dataset, order, timed, workers))
    classes = y.ndim == 1 and not y.is_floating_point()
    images = len(shape) - timed == 3
    arguments = {"split_seed": split_seed, "train_images": train_images, "frames": frames}
    return Data(
        name=name,
        arguments={key: value for key, value in arguments.items() if value is not None},
        train=splits[0] if train_images is None else first(splits[0], train_images),
        test=splits[1],
        num_classes=1 + int(max(y.max(), y_test.max())) if classes else 0,
        in_channels=shape[-3] if images else 0,
        image_size=shape[-1] if images and shape[-1] == shape[-2] else 0,
        steps=shape[0] if timed else None,
    )


def first(split: Split, count: int) -> Split:
    """The first ``count`` of a split of numbered examples in stored order. ValueError where there are fewer."""
    check_count(count, 1, len(split), "as many as there are training examples")
    kept: dict[str, Any] = {name: vars(split)[name][:count] for name in ("labels", "numbers")}
    return replace(split, **kept)


def _read(dataset: Any, which: str) -> tuple[tuple[int, ...], Tensor]:
    """The shape of every x, and all y."""
    if not isinstance(dataset, Sized):
        raise ValueError(f"{which}: a {type(dataset).__name__} has no length, expected a Dataset with __len__")
    if not len(dataset):
        raise ValueError(f"{which} are none: expected at least one pair (x, y)")
    if isinstance(dataset, TensorDataset) and len(dataset.tensors) == 2:
        x, y = dataset.tensors
        return tuple(x.shape[1:]), integers(y)
    with torch.random.fork_rng(devices=[]):
        pairs = [_pair(dataset, number, which) for number in range(len(dataset))]
    shapes = [(x, tuple(y.shape)) for x, y in pairs]
    if odd := [number for number, shape in enumerate(shapes) if shape != shapes[0]]:
        got = f"number {odd[0]} has x and y of shapes {shapes[odd[0]]}, number 0 {shapes[0]}"
        raise ValueError(f"{which} differ: {got}; expected one shape")
    return shapes[0][0], integers(torch.stack([y for _, y in pairs]))


def _pair(dataset: Any, number: int, which: str) -> tuple[tuple[int, ...], Tensor]:
    """The shape of an example's x, and its y."""
    with code.lines():
        pair = dataset[number]
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        raise ValueError(f"{which}: number {number} is a {type(pair).__name__}, expected a pair (x, y)")
    try:
        return tuple(torch.as_tensor(pair[0]).shape), torch.as_tensor(pair[1])
    except (TypeError, ValueError, RuntimeError) as error:
        kinds = ", ".join(type(each).__name__ for each in pair)
        raise ValueError(
            f"{which}: number {number} is ({kinds}), expected tensors: of images with transform=ToTensor()"
        ) from error


def integers(y: Tensor) -> Tensor:
    """Targets, of whole numbers in 64 bits."""
    return y.long() if not y.is_floating_point() else y


def spread(y: Tensor, seed: int) -> Tensor:
    """The stored order of examples with these targets: classes evenly, others at random."""
    if y.ndim == 1 and not y.is_floating_point() and int(y.min()) >= 0:
        return stratified_order(y, seed=seed)
    return torch.randperm(len(y), generator=Generator().manual_seed(seed))
