"""Batches as people have them: what a loader yields, read as input and target, counted, and the same at every reading.

What a batch is, is guessed (:mod:`landscape.evaluation.guessing`) or told by ``unpack`` and ``size``. Arrays count as
tensors.

Whether a source yields the same at every reading is seen by a checksum of each batch: one of all its bytes, so that a
loader that shuffles, also within a batch, or that augments is found out at whichever batch it first shows.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, RandomSampler

from ..refusal import Refusal, explained
from .checksum import checksum
from .guessing import examples, guessed
from .structure import described, leaves, mapped, on_device

WRITTEN = (
    "forward, or the loss, writes to a batch that it is given, and not to the first one, so that it was not seen "
    "before: let it work on a copy, x.clone()"
)
DATASET_BATCH = 100
Source = Iterable[Any] | Dataset[Any]


class Batch(NamedTuple):
    """One batch's input and target, and the number of examples in it."""

    inputs: Any
    target: Any
    size: int


class Batches:
    """The batches of ``source``: a loader, a list, or a Dataset, which is read in its order, 100 examples at a time.

    ``unpack(batch)`` returns (input, target), ``size(batch)`` the number of examples; by default they are guessed.
    ``watched`` says whether each reading is compared with the first. ``sizes`` are the batches' numbers of examples.

    Raises ValueError for a source that can be read only once, and a batch that is not understood.
    """

    def __init__(
        self,
        source: Source,
        *,
        device: torch.device,
        unpack: Callable[[Any], tuple[Any, Any]] | None = None,
        size: Callable[[Any], int] | None = None,
        watched: bool = True,
    ):
        if isinstance(source, Dataset) and not (isinstance(source, IterableDataset) and _yields_batches(source)):
            source = DataLoader(source, batch_size=DATASET_BATCH, generator=torch.Generator())  # not torch's own
        if isinstance(source, Tensor | Mapping | str) or not isinstance(source, Iterable):
            raise ValueError(
                f"batches must be a loader, a Dataset or a list of (input, target), got {described(source)}: of a "
                "single batch make a list of one"
            )
        if isinstance(source, Iterator) and type(source).__module__ in ("builtins", "itertools"):
            raise ValueError("batches can be read only once, and are needed many times: pass a list or a loader")
        self.source, self.device = source, device
        self._unpack, self._size, self._watched = unpack, size, watched
        self.written = False  # whether a batch is known to be written to, and given as a copy by whoever gives it
        self._seen: set[int] = set()
        self.sizes: list[int] = []
        self.sums: list[int] = []
        for batch, total in self._read(0):
            self.sizes.append(batch.size)
            self.sums.append(total)

    def __iter__(self) -> Iterator[Batch]:
        """Each batch with an example in it, on the device.

        Raises ValueError where the source yields something else than at first, unless it does so for good.
        """
        for place, batch, total in self._same():
            yield from self._lent(place, batch, total)

    def kept(self) -> Iterator[Batch]:
        """The same as copies, for whoever keeps them: a loader may use the memory of one batch for the next."""
        for _, batch, _ in self._same():
            yield self._moved(_copy(batch))

    @property
    def in_memory(self) -> bool:
        """Whether the batches lie in a list, where they can be looked at again for nothing."""
        return isinstance(self.source, list | tuple)

    def present(self) -> list[int]:
        """The checksums of batches kept in memory as they are now; those of the first reading for other sources."""
        if self.in_memory:
            return [checksum(self._pair(batch)) for batch in self.source]
        return self.sums

    def _same(self) -> Iterator[tuple[int, Batch, int]]:
        """Place, batch and checksum of each batch with an example in it, as at first."""
        place = -1
        for place, (batch, total) in enumerate(self._read(0)):
            if place >= len(self.sums) or (total, batch.size) != (self.sums[place], self.sizes[place]):
                self._look_again()
                break
            if batch.size:
                yield place, batch, total
        else:
            if place + 1 != len(self.sums):
                self._look_again()
            return
        for later, (batch, total) in enumerate(self._read(place), place):
            if batch.size:
                yield later, batch, total

    def _read(self, start: int) -> Iterator[tuple[Batch, int]]:
        for batch in _in_words(islice(self.source, start, None)):
            inputs, target = self._pair(batch)
            count = self._size(batch) if self._size else examples(inputs, target)
            yield Batch(inputs, target, count), checksum((inputs, target)) if self._watched else 0

    def _pair(self, batch: Any) -> tuple[Any, Any]:
        pair = self._unpack(batch) if self._unpack else guessed(batch)
        if not isinstance(pair, tuple) or len(pair) != 2:
            raise ValueError(f"unpack must return (input, target), got {described(pair)}")
        return pair

    def _lent(self, place: int, batch: Batch, total: int) -> Iterator[Batch]:
        """The batch; the first time, of batches kept in memory, a copy, to see whether it is written to.

        Raises ValueError where it was, and that is not known.
        """
        if not self._watched or self.written or place in self._seen or not self.in_memory:
            yield self._moved(batch)
            return
        given = _copy(batch)
        yield self._moved(given)
        self._seen.add(place)
        if not self.written and checksum((given.inputs, given.target)) != total:
            raise Refusal(WRITTEN)

    def _moved(self, batch: Batch) -> Batch:
        return Batch(on_device(batch.inputs, self.device), on_device(batch.target, self.device), batch.size)

    def _look_again(self) -> None:
        """Take what the source holds now for what it holds, if two more readings agree on it and its examples' number.

        Else say what it does.
        """
        before = sum(self.sizes)
        first, second = (list(self._read(0)) for _ in range(2))
        now = sum(batch.size for batch, _ in first)
        if now != before:
            raise ValueError(f"the batches held {before} examples at first and {now} now: pass the same ones always")
        if [total for _, total in first] != [total for _, total in second]:
            raise ValueError(self._differing([batch for batch, _ in first], [batch for batch, _ in second]))
        self.sizes, self.sums = [batch.size for batch, _ in first], [total for _, total in first]

    def _differing(self, first: list[Batch], second: list[Batch]) -> str:
        cure = "pass the same examples in the same order at every reading"
        if isinstance(getattr(self.source, "sampler", None), RandomSampler) or _rows(first) == _rows(second):
            return (
                f"the batches come in another order at every reading: the loader shuffles. {cure.capitalize()}: "
                "DataLoader(…, shuffle=False)"
            )
        return (
            "the loader yields other batches at every reading: it augments its inputs, draws them, or shuffles them. "
            f"{cure.capitalize()}, without augmentation"
        )


def _rows(batches: list[Batch]) -> Counter[int]:
    """The checksums of single examples, of batches whose inputs are tensors that begin with the batch's dimension."""
    found: Counter[int] = Counter()
    for place, batch in enumerate(batches):
        parts = list(leaves(batch.inputs))
        if all(isinstance(part, Tensor) and part.ndim and len(part) == batch.size for part in parts):
            found.update(checksum([part[row] for part in parts]) for row in range(batch.size))
        else:
            found[-1 - place] += 1 + checksum(batch.inputs)
    return found


def _copy(batch: Batch) -> Batch:
    return Batch(copied(batch.inputs), copied(batch.target), batch.size)


def copied(value: Any) -> Any:
    """``value`` with its tensors copied; an object of another class that has a ``clone()``, by that."""
    if not isinstance(value, Tensor | Mapping | tuple | list) and callable(clone := getattr(value, "clone", None)):
        return clone()
    return mapped(value, lambda tensor: tensor.detach().clone().requires_grad_(tensor.requires_grad))


def _in_words(batches: Iterable[Any]) -> Iterator[Any]:
    """The same batches; what a loader raises, in one line."""
    with explained("the batches can't be read"):
        yield from batches


def _yields_batches(source: Iterable[Any]) -> bool:
    """Whether a Dataset that is iterated yields batches, and not examples, whose targets have no length."""
    first = next(iter(source), None)
    if not isinstance(first, tuple | list | Mapping):
        return False
    last = list(first.values() if isinstance(first, Mapping) else first)[-1]
    return isinstance(last, Tensor | np.ndarray) and last.ndim > 0
