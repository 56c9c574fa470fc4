"""Batches as people have them: what a loader yields, read as input and target, counted, and the same at every reading.

A batch is (input, target), or a mapping whose labels go by one of the names in ``LABELS`` and whose other entries are
forward's keywords. Tensors may lie in tuples, named tuples, lists and mappings, and NumPy arrays count as tensors. What
can't be guessed takes ``unpack``, and the refusal shows the line to write.

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

from .checksum import checksum
from .refusal import Refusal, explained
from .structure import described, leaves, mapped, on_device

WRITTEN = (
    "forward, or the loss, writes to a batch that it is given, and not to the first one, so that it was not seen "
    "before: let it work on a copy, x.clone()"
)
LABELS = ("labels", "label", "targets", "target", "y")
DATASET_BATCH = 100
Source = Iterable[Any] | Dataset[Any]


class Keywords(dict):
    """A batch's input that forward takes by name."""


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
            source = DataLoader(source, batch_size=DATASET_BATCH)
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
        place = -1
        for place, (batch, total) in enumerate(self._read(0)):
            if place >= len(self.sums) or (total, batch.size) != (self.sums[place], self.sizes[place]):
                self._look_again()
                break
            if batch.size:
                yield from self._lent(place, batch, total)
        else:
            if place + 1 != len(self.sums):
                self._look_again()
            return
        for batch, _ in self._read(place):
            if batch.size:
                yield self._moved(batch)

    def kept(self) -> Iterator[Batch]:
        """The same, for whoever keeps them: a loader may use the memory of one batch for the next."""
        for batch in self:
            yield Batch(copied(batch.inputs), copied(batch.target), batch.size)

    def present(self) -> list[int]:
        """The checksums of batches kept in memory as they are now; those of the first reading for other sources."""
        if isinstance(self.source, list | tuple):
            return [checksum(self._pair(batch)) for batch in self.source]
        return self.sums

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
        if not self._watched or self.written or place in self._seen or not isinstance(self.source, list | tuple):
            yield self._moved(batch)
            return
        given = Batch(copied(batch.inputs), copied(batch.target), batch.size)
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


def guessed(batch: Any) -> tuple[Any, Any]:
    """Input and target of ``batch``. Raises ValueError, with the line to write, where they can't be told."""
    if isinstance(batch, Mapping):
        names = [name for name in LABELS if name in batch]
        if len(names) == 1:
            return Keywords({key: value for key, value in batch.items() if key != names[0]}), batch[names[0]]
        keys = [repr(key) for key in batch]
        raise _unclear(
            f"a batch is a mapping with {', '.join(keys) or 'nothing'} in it, of which "
            f"{'several' if names else 'none'} may be the target ({', '.join(LABELS)})",
            f"({{{keys[0]}: batch[{keys[0]}]}}, batch[{keys[-1]}])" if keys else "(batch['x'], batch['y'])",
        )
    if isinstance(batch, tuple | list) and len(batch) == 2:
        return batch[0], batch[1]
    if isinstance(batch, tuple | list) and len(batch) > 2:
        shown = ", ".join(described(part) for part in batch)
        raise _unclear(
            f"a batch holds {len(batch)} things ({shown}), of which two are input and target", "(batch[0], batch[1])"
        )
    raise _unclear(
        f"a batch is {described(batch)} and has no target. A loss without one is a landscape.closure.Closure; perhaps "
        "the input is its own target",
        "(batch, batch)",
    )


def _unclear(what: str, line: str) -> Refusal:
    """A refusal with the line to write, which stands in full below it where errors are shown with their notes."""
    refusal = Refusal(f"{what}. Say how to read it, by a function: lambda batch: {line}")
    refusal.add_note(f"unpack=lambda batch: {line}")
    return refusal


def examples(inputs: Any, target: Any) -> int:
    """How many examples a batch holds: the length of all tensors in its target, or of its inputs where it has none.

    Raises ValueError where they differ.
    """
    for part, name in ((target, "target"), (inputs, "input")):
        if isinstance(part, list) and part and not isinstance(part[0], Tensor | np.ndarray | list | tuple):
            return len(part)
        found = [leaf.shape for leaf in leaves(part)]
        lengths = {shape[0] for shape in found if shape}
        if len(lengths) == 1 and all(found):
            return int(lengths.pop())
        if found:
            raise ValueError(
                f"how many examples does a batch hold? The tensors in its {name} have the shapes "
                f"{', '.join(str(list(shape)) for shape in found)}: say so, size=lambda batch: len(batch[0])"
            )
    raise ValueError(
        "how many examples does a batch hold? There is no tensor in it: say so, size=lambda batch: len(batch[0])"
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
