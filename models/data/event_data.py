"""Real event data sets in two parts: :mod:`models.data.recordings` as frames (:mod:`models.data.event_frames`).

Parts are explicit, and so in every checkpoint. ``split`` is

============  ====================================================================================================
number        of each class, the first nine tenths of the files in order of their numbers train, the rest tests: 0–899
              and 900–999 of CIFAR10-DVS, as in the official code of Deng et al. 2022 since 2024 (before: 0–699)
number-first  the first tenth tests, as others have it
authors       as the authors of the data have it (DVS128 Gesture: other people; N-MNIST: MNIST's)
random        nine tenths of all train, drawn by ``split_seed`` with every class in proportion
============  ====================================================================================================

``files``, filled in when the data are first loaded, tells one list of recordings (names, sizes, labels) from another,
on which the same words would mean other parts.

Training sees CIFAR10-DVS mirrored and rolled; DVS128 Gesture only rolled, since classes of it differ by left and right
alone; N-MNIST as it is. CIFAR10-DVS is given a quarter turn, after which rows are the sensor's x and columns its y as
in the official code, so that mirrored is mirrored the same way.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from . import recordings
from .aedat import read_aedat
from .augment import Augment, roll_and_flip
from .dataset import Data, check_count
from .event_cache import EventSplit, stored
from .event_frames import frames, resized
from .nmnist import read_bin
from .recordings import Recording
from .splits import stratified_order

_VERSION = 1  # of the frames that the same recordings and settings give


@dataclass(frozen=True)
class _Source:
    """A data set's name, list of recordings below a folder, reader of one file, sensor (square), classes, views."""

    name: str
    list: Callable[[Path], list[Recording]]
    read: Callable[[Path], np.ndarray]
    sensor: int
    classes: int
    augment: Augment | None = None


@dataclass(frozen=True)
class _Frames:
    timesteps: int
    by: str
    binary: bool
    image_size: int


@dataclass(frozen=True)
class _Parts:
    split: str
    split_seed: int
    train_images: int | None
    files: str | None


def cifar10_dvs(
    *,
    root: Path,
    timesteps: int = 10,
    by: Literal["count", "time"] = "count",
    binary: bool = False,
    image_size: int = 48,
    split: Literal["number", "number-first", "random"] = "number",
    split_seed: int = 0,
    train_images: int | None = None,
    files: str | None = None,
    workers: int = 0,
) -> Data:
    """CIFAR10-DVS, 10,000 recordings of 1.3 s and 128×128 pixels."""
    source = _Source("cifar10-dvs", recordings.cifar10_dvs, _quarter_turned, 128, 10, roll_and_flip)
    parts = _Parts(split, split_seed, train_images, files)
    return _data(source, root, _Frames(timesteps, by, binary, image_size), parts, workers)


def dvs128_gesture(
    *,
    root: Path,
    timesteps: int = 10,
    by: Literal["count", "time"] = "count",
    binary: bool = False,
    image_size: int = 48,
    split: Literal["authors", "random"] = "authors",
    split_seed: int = 0,
    train_images: int | None = None,
    keep_invalid: bool = False,
    files: str | None = None,
    workers: int = 0,
) -> Data:
    """DVS128 Gesture, 11 classes of some 6 s and 128×128 pixels; ``keep_invalid`` as in :mod:`models.data.aedat`."""
    read = partial(read_aedat, keep_invalid=keep_invalid)
    roll = partial(roll_and_flip, flip=False)
    source = _Source("dvs128-gesture", recordings.dvs128_gesture, read, 128, 11, roll)
    parts = _Parts(split, split_seed, train_images, files)
    data = _data(
        source, root, _Frames(timesteps, by, binary, image_size), parts, workers, reading=f"keep_invalid={keep_invalid}"
    )
    return replace(data, arguments=data.arguments | {"keep_invalid": keep_invalid})


def n_mnist(
    *,
    root: Path,
    timesteps: int = 10,
    by: Literal["count", "time"] = "count",
    binary: bool = False,
    image_size: int = 32,
    split: Literal["authors", "random"] = "authors",
    split_seed: int = 0,
    train_images: int | None = None,
    files: str | None = None,
    workers: int = 0,
) -> Data:
    """N-MNIST, 70,000 recordings of 0.3 s and 34×34 pixels (32×32 by default, which networks can halve)."""
    source = _Source("n-mnist", recordings.n_mnist, read_bin, 34, 10)
    parts = _Parts(split, split_seed, train_images, files)
    return _data(source, root, _Frames(timesteps, by, binary, image_size), parts, workers)


def _quarter_turned(path: Path) -> np.ndarray:
    """Events of one DVS128 turned clockwise."""
    events = read_aedat(path)
    events["x"], events["y"] = 127 - events["y"], events["x"].copy()
    return events


def _data(source: _Source, root: Path, cut: _Frames, parts: _Parts, workers: int, reading: str = "") -> Data:
    if min(cut.timesteps, cut.image_size) < 1 or workers < 0:
        raise ValueError(
            f"timesteps and image_size must be positive and workers not negative, got {cut.timesteps},"
            f" {cut.image_size} and {workers}"
        )
    folder = root / source.name if (root / source.name).is_dir() else root
    listed = source.list(folder)
    parts = replace(parts, files=_same_files(recordings.digest(listed), parts.files, folder))
    kept = stored(
        Path(os.environ.get("SNN_LANDSCAPE_CACHE", folder / "frames")),
        {"data": source.name, "reading": reading, "version": _VERSION} | asdict(cut),
        listed,
        partial(cut_frames, folder, source.read, source.sensor, cut),
        workers=workers,
    )
    labels = torch.tensor([recording.label for recording in listed])
    tests = _for_testing(listed, labels, parts)
    train, test = (_ordered(labels, part, parts.split_seed) for part in (~tests, tests))
    if parts.train_images is not None:
        check_count(parts.train_images, len(labels[train].unique()), len(train), "one of each class, and all there are")
        train = train[: parts.train_images]
    as_is = (0.0, 0.0), (1.0, 1.0)
    return Data(
        name=source.name,
        arguments=asdict(cut) | asdict(parts),
        train=EventSplit(labels[train], *as_is, kept, train, workers),
        test=EventSplit(labels[test], *as_is, kept, test, workers),
        num_classes=source.classes,
        in_channels=2,
        image_size=cut.image_size,
        steps=cut.timesteps,
        augment=source.augment,
    )


def _same_files(found: str, expected: str | None, folder: Path) -> str:
    if expected not in (None, found):
        raise ValueError(
            f"the recordings in {folder.resolve()} are not those that were asked for (files {found}, expected"
            f" {expected}): some are missing, or differ in name, size or label"
        )
    return found


def _for_testing(listed: list[Recording], labels: Tensor, parts: _Parts) -> Bool[Tensor, " recording"]:
    if parts.split == "authors":
        tests = torch.tensor([recording.part == "test" for recording in listed])
    elif parts.split == "random":
        tests = torch.zeros(len(labels), dtype=torch.bool)
        tests[stratified_order(labels, seed=parts.split_seed)[-(-9 * len(labels) // 10) :]] = True
    else:
        tests = torch.zeros(len(labels), dtype=torch.bool)
        for label in labels.unique():
            files = (labels == label).nonzero().flatten()
            tenth = -(-len(files) // 10)
            tests[files[-tenth:] if parts.split == "number" else files[:tenth]] = True
    if tests.all() or not tests.any():
        raise ValueError(f"{len(tests)} recordings can't be split in two by {parts.split!r}: one part would be empty")
    return tests


def _ordered(labels: Tensor, part: Tensor, seed: int) -> Tensor:
    numbers = part.nonzero().flatten()
    return numbers[stratified_order(labels[numbers], seed=seed)]


def cut_frames(
    folder: Path, read: Callable[[Path], np.ndarray], sensor: int, cut: _Frames, listed: Sequence[Recording]
) -> Iterator[Float[Tensor, "time 2 size size"]]:
    """Frames of each of the recordings listed, in that order; a file that holds several is read once.

    Raises whatever ``read`` raises, and ValueError, naming the file, for a recording without events or with some that
    are off the sensor.
    """
    for file, together in groupby(listed, lambda recording: recording.file):
        whole = read(folder / file)
        for recording in together:
            events = whole
            if recording.start is not None and recording.end is not None:
                events = whole[(whole["t"] >= recording.start) & (whole["t"] < recording.end)]
            if not len(events):
                between = "" if recording.start is None else f" from {recording.start} to {recording.end} µs"
                raise ValueError(f"{folder / file} holds no events{between}")
            try:
                counts = frames(events, cut.timesteps, by=cut.by, binary=cut.binary, size=(sensor, sensor))
            except ValueError as failure:
                raise ValueError(f"{folder / file}: {failure}") from failure
            yield resized(counts, cut.image_size)
