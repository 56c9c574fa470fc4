"""What is given as data, told apart: what can be read by example, in batches, over and over, or not at all."""

from collections.abc import Iterable, Iterator, Mapping, Sized
from typing import Any, Protocol, runtime_checkable

import numpy as np
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset

from landscape.evaluation import Source, described
from models.data.splits import Split


@runtime_checkable
class Indexable(Protocol):
    """Examples by number."""

    def __len__(self) -> int: ...

    def __getitem__(self, place: int, /) -> Any: ...


Given = Source | Split | Indexable
ONCE = "can be read only once: pass a list, a loader or a Dataset"
_ONCE_FROM = ("builtins", "itertools", "torch.utils.data.dataloader")


class Indexed(Dataset[Any]):
    """Somebody's object with ``__len__`` and ``__getitem__``, as the Dataset that it is but for its class."""

    def __init__(self, held: Any):
        self.held = held

    def __len__(self) -> int:
        return len(self.held)

    def __getitem__(self, place: int) -> Any:
        return self.held[place]


def by_example(source: Any) -> bool:
    """Whether single examples can be asked for by number."""
    return isinstance(source, Split | Dataset) and not isinstance(source, IterableDataset)


def usable(source: Any) -> Any:
    """``source``, as a Dataset where it is one in all but its class."""
    indexed = all(hasattr(source, name) for name in ("__len__", "__getitem__")) and not hasattr(source, "__iter__")
    return Indexed(source) if indexed and not isinstance(source, Split | Dataset) else source


def as_batches(source: Any) -> Any:
    """``source``, as a list of one batch where it is a pair (x, y) of all inputs and all targets."""
    arrays = (Tensor, np.ndarray)
    if isinstance(source, tuple) and len(source) == 2 and isinstance(source[1], arrays):
        return [source] if isinstance(source[0], (*arrays, Mapping)) else source
    return source


def unpaired(source: Any) -> str:
    """Why a list isn't one of batches, as a sentence about it, where its items are single arrays; else empty."""
    if not isinstance(source, list | tuple) or not source or not isinstance(source[0], Tensor | np.ndarray):
        return ""
    return f"must be pairs, got a list of arrays ({described(source[0])} first): (x, y), or batches [(x, y), …]"


def uneven(source: Any, axis: int) -> str:
    """Why a list of one pair of arrays, x and y, isn't one of examples, as a sentence about it; else empty.

    Where time may come first, which nobody has said, either axis of x may be that of examples.
    """
    arrays = (Tensor, np.ndarray)
    if not (isinstance(source, list) and len(source) == 1 and isinstance(source[0], tuple) and len(source[0]) == 2):
        return ""
    x, y = source[0]
    if not (isinstance(x, arrays) and isinstance(y, arrays) and x.ndim and y.ndim) or len(y) in x.shape[:2]:
        return ""
    return f"must have a target for every example: x has {x.shape[min(axis, x.ndim - 1)]} examples, y {len(y)}"


def refused(source: Any) -> str:
    """Why nothing can be measured on ``source``, as a sentence about it; empty where something may."""
    expected = "must be a Dataset, a loader that doesn't shuffle, or a list of batches"
    if isinstance(source, Iterator) and type(source).__module__ in _ONCE_FROM:
        return ONCE
    if isinstance(usable(source), Split | Dataset):
        if by_example(usable(source)) and (why := _unsized(usable(source))):
            return f"must say how many examples they have: {why}. Give the Dataset a __len__"
        return ""
    if isinstance(source, Tensor | np.ndarray | Mapping | str) or not isinstance(source, Iterable):
        return f"{expected}, got {described(source)}{f' ({source!r})' if isinstance(source, int | float | str) else ''}"
    return ""


def _unsized(source: Any) -> str:
    try:
        len(source)
    except (TypeError, NotImplementedError) as error:
        return f"{type(error).__name__}: {error}"
    return ""


def number(source: Any) -> int | None:
    """How many examples there are, where that is known without reading them."""
    held = source.dataset if isinstance(source, DataLoader) else usable(source)
    return len(held) if by_example(held) and isinstance(held, Sized) else None
