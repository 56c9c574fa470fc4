"""What data hold that is seen without reading them by example: numbers in memory, and the files that they name."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from stat import S_ISREG
from typing import Any

import numpy as np
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from models.data.splits import Split

_PLAIN = (bool, int, float, str, bytes)
_DEEPEST = 8
_LONGEST = 1024  # characters of a word that may name a file


def held(source: Any) -> list[Any]:
    """The tensors and arrays of a list of batches, of a Dataset or of what it is made of, a loader's among them.

    And the words and numbers that lie in its lists; of files that words name size and time of change. A single number
    of a Dataset's own, as a counter is, counts for nothing, nor do objects of other classes.
    """
    return list(_inside(source, set(), _DEEPEST))


def _inside(value: Any, seen: set[int], depth: int) -> Iterator[Any]:
    if isinstance(value, Path | str):
        yield from _named(value)
    elif isinstance(value, np.memmap):  # which may be larger than memory
        yield from _named(str(value.filename))
    elif type(value) in _PLAIN or isinstance(value, Tensor | range) or _of_numbers(value):
        yield str(value) if isinstance(value, range) else value
    elif id(value) not in seen and depth:
        seen.add(id(value))
        for part in _parts(value):
            yield from _inside(part, seen, depth - 1)


def _of_numbers(value: Any) -> bool:
    return isinstance(value, np.ndarray) and not value.dtype.hasobject


def _parts(value: Any) -> Iterator[Any]:
    if isinstance(value, DataLoader):
        yield value.dataset
    elif isinstance(value, Mapping):
        for name, part in value.items():
            yield from (name, part)
    elif isinstance(value, list | tuple):
        yield from value
    elif isinstance(value, np.ndarray):
        yield from value.ravel().tolist()
    elif isinstance(value, Dataset | Split):
        for part in vars(value).values():
            if isinstance(part, Path | str) or type(part) not in _PLAIN:
                yield part


def _named(word: Path | str) -> Iterator[str]:
    """The word, and of the file that it names, if any, size and time of change."""
    yield str(word)
    try:
        about = Path(word).stat() if 0 < len(str(word)) < _LONGEST else None
    except (OSError, ValueError):
        return
    if about and S_ISREG(about.st_mode):
        yield f"{about.st_size} {about.st_mtime_ns}"
