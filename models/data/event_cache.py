"""Frames of recordings, made once and kept on disk; batches are read from there as training goes.

What decides the frames, settings and the names, sizes and labels of the recordings, is hashed, and the hash names a
folder: another setting makes another one, and nothing is ever overwritten. (A recording whose content changes while its
name and size stay is not noticed.) A folder holds the settings as ``settings.json`` and frames in files of 256
recordings, each written under another name and renamed. A build that is killed goes on with the files that are missing;
several processes that build at once start at different places, share the work, and where two make the same file they
write the same bytes.

Frames are mapped into memory, so that a data set need not fit there. Counts are stored in the smallest unsigned
integers that hold them and interpolated frames in float32, both exactly.
"""

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor
from torch.utils.data import Dataset
from tqdm import tqdm

from tables.files import replacing

from .splits import Augment, Split, share
from .workers import read

CHUNK = 256
Item = TypeVar("Item")


@dataclass(frozen=True)
class StoredFrames(Dataset[Tensor]):
    """``count`` recordings' frames in ``folder``; indexed by a list of numbers."""

    folder: Path
    count: int
    chunk: int

    def path(self, first: int) -> Path:
        """The file that begins with recording ``first``."""
        return self.folder / f"{first:06d}-{min(first + self.chunk, self.count):06d}.npy"

    def __getitem__(self, numbers: list[int]) -> Float[Tensor, "time recording 2 height width"]:
        shape = _opened(self.path(0)).shape[1:]
        frames = np.empty((shape[0], len(numbers), *shape[1:]), dtype=np.float32)
        for place, number in enumerate(numbers):
            frames[:, place] = _opened(self.path(number - number % self.chunk))[number % self.chunk]
        return torch.from_numpy(frames)


@lru_cache(maxsize=512)
def _opened(path: Path) -> np.ndarray:
    try:
        return np.load(path, mmap_mode="r")
    except (OSError, ValueError, EOFError) as failure:
        raise OSError(f"{path} can't be read ({failure}): delete it, and it is made again") from failure


def stored(
    folder: Path,
    settings: Mapping[str, Any],
    items: Sequence[Item],
    make: Callable[[Sequence[Item]], Iterable[Float[Tensor, "time 2 height width"]]],
    *,
    chunk: int = CHUNK,
    workers: int = 0,
) -> StoredFrames:
    """The frames that ``make`` gives for ``items``, one for each and in order: found below ``folder``, or put there.

    ``settings`` are plain values and decide, with the items, all of ``make``'s results. ``workers`` processes make
    them; with 0 this one does.

    Raises OSError, saying what to do, where ``folder`` can't be written to, and whatever ``make`` raises.
    """
    described = json.dumps(dict(settings) | {"chunk": chunk}, indent=2, sort_keys=True) + "\n"
    named = hashlib.sha256((described + "\n".join(map(repr, items))).encode()).hexdigest()[:16]
    frames = StoredFrames(folder / named, len(items), chunk)
    missing = [first for first in range(0, len(items), chunk) if not frames.path(first).exists()]
    if missing:
        _save(frames.folder / "settings.json", described.encode())
        begin = os.getpid() % len(missing)
        _build(frames, missing[begin:] + missing[:begin], items, make, workers)
    return frames


def _build(
    frames: StoredFrames,
    missing: list[int],
    items: Sequence[Item],
    make: Callable[[Sequence[Item]], Iterable[Tensor]],
    workers: int,
) -> None:
    _remove_old_leftovers(frames.folder)
    job = partial(_make_chunk, make)
    jobs = [(frames.path(first), list(items[first : first + frames.chunk])) for first in missing]
    with tqdm(total=len(jobs), desc="frames", unit=f"×{frames.chunk}", delay=2, leave=False) as bar:
        if workers:
            with ProcessPoolExecutor(workers) as pool:
                for _ in pool.map(job, jobs):
                    bar.update()
        else:
            for each in jobs:
                job(each)
                bar.update()


def _make_chunk(make: Callable[[Sequence[Item]], Iterable[Tensor]], job: tuple[Path, list[Item]]) -> None:
    path, items = job
    if path.exists():  # another process has been here
        return
    frames = np.stack([frame.numpy() for frame in make(items)])
    if np.array_equal(frames, np.rint(frames)):
        frames = frames.astype(np.min_scalar_type(int(frames.max())))
    _save(path, frames)


def _save(path: Path, content: bytes | np.ndarray) -> None:
    try:
        with replacing(path) as partial, partial.open("wb") as file:
            if isinstance(content, bytes):
                file.write(content)
            else:
                np.save(file, content)
    except OSError as failure:
        raise OSError(
            f"can't keep frames in {path.parent} ({failure}): make room, or name another folder in SNN_LANDSCAPE_CACHE"
        ) from failure


def _remove_old_leftovers(folder: Path) -> None:
    """What killed processes left: temporary files that nobody has written to for an hour."""
    for leftover in folder.glob(".*.????????"):
        with contextlib.suppress(FileNotFoundError):  # it was none, and has been renamed
            if leftover.stat().st_mtime < time.time() - 3600:
                leftover.unlink()


@dataclass(frozen=True, eq=False)
class EventSplit(Split):
    """A split read from stored frames as it goes; ``numbers`` are those of its recordings in stored order.

    ``augment`` sees whole batches, [time, batch, 2, height, width], and draws from the caller's generator, whatever
    the number of ``workers`` that read.
    """

    frames: StoredFrames
    numbers: Int[Tensor, " image"]
    workers: int

    def _pixels(
        self, order: Tensor, size: int, augment: Augment | None, generator: Generator | None, part: tuple[int, int]
    ) -> Iterator[Tensor]:
        requests = self.numbers[order].split(size)
        if not augment:
            requests = tuple(share(request, part) for request in requests)
        sampler = [request.tolist() for request in requests]
        found = read(self.frames, self.workers, sampler=sampler, batch_size=None)
        if augment is None or generator is None:
            return found
        return (share(augment(pixels, generator), part, axis=1) for pixels in found)
