"""Batches of whatever a subject's data are: a split of this project's, a Dataset, a loader, a list of batches."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, RandomSampler, Subset

from landscape.evaluation import Source, checksum, examples, guessed, leaves, mapped, on_device
from landscape.refusal import explained
from models.data.splits import Split

from .given import by_example

Batch = tuple[Any, Any]


@dataclass(frozen=True, eq=False)
class Images:
    """The examples of one split as batches of (input, target) on ``device``, floating ones in ``dtype``.

    ``axis`` is that of the examples in the inputs. ``whole`` says that a loader's or a list's batches are not to be
    cut: then more examples may come than were asked for.
    """

    source: Source | Split
    device: str
    dtype: torch.dtype
    unpack: Callable[[Any], tuple[Any, Any]] | None = None
    axis: int = 0
    whole: bool = False

    def __len__(self) -> int:
        return self.number(None)

    def number(self, images: int | None) -> int:
        """How many of ``images`` there are, or how many of all; no more batches are read than that takes."""
        if by_example(self.source):
            total = len(self.source)  # type: ignore[arg-type]
            return total if images is None else min(total, images)
        total = 0
        for _, size in self._given():
            total += size
            if images is not None and total >= images:
                return images
        return total

    def batches(
        self,
        images: int | None,
        size: int,
        *,
        part: tuple[int, int | None] = (0, None),
        generator: torch.Generator | None = None,
    ) -> list[Batch]:
        """The first ``images`` of them, or all, ``size`` a batch; of those batches the ``part`` from … to before ….

        With a ``generator`` those images in the order that it draws.
        """
        if isinstance(self.source, Split):
            found = self.source.batches(size, limit=images, device=self.device, generator=generator)
            return [self._placed(batch) for batch in islice(found, *part)]
        if generator is None:
            return [self._placed(batch) for batch in islice(self._sized(images, size), *part)]
        whole = joined([self._placed(batch) for batch in self._sized(images, 10**9)], self.axis)
        order = torch.randperm(len(whole[1]), generator=generator).split(size)
        return [selected(whole, rows, self.axis) for rows in islice(order, *part)]

    def count(self, images: int, size: int) -> int:
        """How many :meth:`batches` they are: a loader's or a list's are cut, and never put together."""
        if by_example(self.source):
            return -(-images // size)
        return sum(1 for _ in self._sized(images, size))

    def first(self, count: int) -> Batch:
        """A list's or a loader's first batch as it comes, of a Dataset the first ``count`` examples."""
        if isinstance(self.source, Split):
            return self.batches(count, count)[0]
        return self._placed(next(replace(self, whole=True)._sized(count, count)))

    def spread(self, count: int) -> list[Batch]:
        """Some ``count`` examples at equal distances, where single ones can be asked for; else none."""
        if isinstance(self.source, Split) or not by_example(self.source):
            return []
        places = np.unique(np.linspace(0, len(self) - 1, count, dtype=int)).tolist() if len(self) else []
        return [self._placed(self._pair(batch)) for batch in _read(self._loader(places, 64))]

    def _loader(self, places: Sequence[int], size: int) -> DataLoader[Any]:
        return DataLoader(Subset(self.source, places), batch_size=size, generator=_unused())  # type: ignore[arg-type]

    def _sized(self, images: int | None, size: int) -> Iterator[Batch]:
        if isinstance(self.source, Dataset) and not isinstance(self.source, IterableDataset):
            number = len(self.source) if images is None else min(images, len(self.source))  # type: ignore[arg-type]
            yield from (self._pair(batch) for batch in _read(self._loader(range(number), size)))
            return
        left = len(self) if images is None else images
        for batch, count in self._given():
            if left <= 0:
                return
            yield from self._cut(batch, count, min(left, count), size)
            left -= count

    def _cut(self, batch: Batch, count: int, wanted: int, size: int) -> Iterator[Batch]:
        """A batch in parts of ``size``, as far as it is ``wanted``."""
        if self.whole or (wanted == count and count <= size):
            yield batch
            return
        for start in range(0, wanted, size):
            yield selected(batch, torch.arange(start, min(start + size, wanted)), self.axis)

    def _given(self) -> Iterator[tuple[Batch, int]]:
        source = (
            DataLoader(self.source, 100, generator=_unused())
            if isinstance(self.source, IterableDataset)
            else self.source
        )
        for batch in _read(source):  # type: ignore[arg-type]
            pair = self._pair(batch)
            if count := examples(*pair) if self.axis == 0 else examples(None, pair[1]):
                yield pair, count

    def _pair(self, batch: Any) -> Batch:
        return self.unpack(batch) if self.unpack else guessed(batch)

    def _placed(self, batch: Batch) -> Batch:
        def cast(tensor: Tensor) -> Tensor:
            return tensor.to(self.dtype) if tensor.is_floating_point() else tensor

        inputs, target = (mapped(on_device(part, torch.device(self.device)), cast, arrays=True) for part in batch)
        return inputs, target

    def changes(self) -> str:
        """Why the batches are others at every reading; empty where the first ones aren't."""
        if isinstance(self.source, Split):
            return ""
        if isinstance(getattr(self.source, "sampler", None), RandomSampler):
            return "the loader shuffles: pass the Dataset itself, or DataLoader(…, shuffle=False)"
        first, again = (checksum([*islice(self._sized(8, 8), 1)]) for _ in range(2))
        return "" if first == again else "the data differ between two readings: leave augmentation and shuffling out"


def _unused() -> torch.Generator:
    """For a loader, which else would draw a number from torch's own generator, the user's too."""
    return torch.Generator()


def _read(source: Iterable[Any]) -> Iterator[Any]:
    """Its batches; what a Dataset or a loader raises, in one line."""
    with explained("the data can't be read as batches"):
        yield from source


def selected(batch: Batch, index: Tensor, axis: int) -> Batch:
    """The examples ``index`` of a batch; ``axis`` is theirs in the inputs.

    Raises ValueError for inputs that aren't tensors with an example in every row.
    """
    inputs, target = batch
    count = examples(None, target) if axis else examples(inputs, target)

    def rows(part: Any, along: int) -> Any:
        if isinstance(part, list) and len(part) == count and not isinstance(part[0], Tensor | np.ndarray):
            return [part[place] for place in index.tolist()]

        def select(tensor: Tensor) -> Tensor:
            if tensor.ndim <= along or tensor.shape[along] != count:
                raise ValueError(
                    f"a batch of {count} examples holds a tensor {list(tensor.shape)}: single examples can't be taken "
                    "from it. Pass a Dataset, or batches of the size wanted"
                )
            return tensor.index_select(along, index.to(tensor.device))

        return mapped(part, select, arrays=True)

    return rows(inputs, axis), rows(target, 0)


def joined(batches: list[Batch], axis: int) -> Batch:
    """All batches as one; ``axis`` is the examples' in the inputs.

    Raises ValueError for what isn't tensors of one shape but for the number of examples.
    """
    if len(batches) == 1:
        return batches[0]

    def together(parts: list[Any], along: int) -> Any:
        rest = [leaves(part) for part in parts[1:]]
        try:
            return mapped(parts[0], lambda tensor: torch.cat([tensor, *(next(each) for each in rest)], along))
        except RuntimeError as error:
            raise ValueError(f"the batches can't be put together as one: {error}") from error

    return together([inputs for inputs, _ in batches], axis), together([target for _, target in batches], 0)
