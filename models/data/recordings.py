"""Which recordings an event data set has, as its authors distribute it: files, labels and parts, nothing read yet.

**CIFAR10-DVS** (Li, Liu, Ji, Li, Shi 2017): ten folders, ``airplane`` … ``truck``, of ``cifar10_airplane_0.aedat`` …,
one thousand each. The authors give no split.

**DVS128 Gesture** (Amir et al. 2017): ``user01_natural.aedat`` … of many gestures each, and beside each
``user01_natural_labels.csv``, a line for each gesture with its class, 1 to 11, and the times [start, end) in
microseconds. ``trials_to_train.txt`` and ``trials_to_test.txt`` name the files of either part: 23 and 6 people.

**N-MNIST** (Orchard, Jayawant, Cohen, Thakor 2015): ``Train`` and ``Test``, of folders ``0`` … ``9`` of ``.bin`` files.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

CIFAR_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_LABELS = "class,startTime_usec,endTime_usec"


@dataclass(frozen=True)
class Recording:
    """One stream: a file below the data set's folder, and its label.

    ``size`` is the file's in bytes; ``part`` the authors' "train" or "test", if they say; ``start`` and ``end`` bound
    the times of the events that belong to it, if the file holds others too.
    """

    file: str
    size: int
    label: int
    part: str = ""
    start: int | None = None
    end: int | None = None


def cifar10_dvs(root: Path) -> list[Recording]:
    """CIFAR10-DVS below ``root``, class by class, in order of the files' numbers.

    Raises FileNotFoundError for a missing folder, ValueError for a file without a number.
    """
    found = []
    for label, name in enumerate(CIFAR_CLASSES):
        files = sorted(_files(root, name, "*.aedat", "CIFAR10-DVS"), key=_number)
        found += [_recording(root, file, label) for file in files]
    return found


def n_mnist(root: Path) -> list[Recording]:
    """N-MNIST below ``root``. Raises FileNotFoundError for a missing folder, ValueError for a file without a number."""
    found = []
    for part in ("Train", "Test"):
        for label in range(10):
            files = sorted(_files(root, f"{part}/{label}", "*.bin", "N-MNIST"), key=_number)
            found += [_recording(root, file, label, part.lower()) for file in files]
    return found


def dvs128_gesture(root: Path) -> list[Recording]:
    """DVS128 Gesture below ``root``, labels counted from 0.

    Raises FileNotFoundError for a missing file, ValueError for lists or labels that can't be read.
    """
    found = []
    for part in ("train", "test"):
        listed = root / f"trials_to_{part}.txt"
        if not listed.is_file():
            raise FileNotFoundError(f"no DVS128 Gesture in {root.resolve()}: expected its file {listed.name}")
        for name in listed.read_text(errors="replace").split():
            if not re.fullmatch(r"\w+\.aedat", name):
                raise ValueError(f"{listed} names {name[:60]!r}, expected files like user01_led.aedat")
            whole = _recording(root, root / name, 0, part)
            for label, start, end in gesture_labels(root / name.replace(".aedat", "_labels.csv")):
                found.append(replace(whole, label=label - 1, start=start, end=end))
    return found


def gesture_labels(path: Path) -> list[tuple[int, int, int]]:
    """Class (1 to 11), start and end in microseconds of each gesture that a label file of DVS128 Gesture lists.

    Raises OSError where it can't be read and ValueError, with the line's number, for what is no such file.
    """
    lines = path.read_text(errors="replace").splitlines()
    if not lines or lines[0].strip() != _LABELS:
        raise ValueError(f"{path} does not begin with the line {_LABELS!r}")
    return [_gesture(path, number, line) for number, line in enumerate(lines[1:], 2) if line.strip()]


def _gesture(path: Path, number: int, line: str) -> tuple[int, int, int]:
    numbers = re.fullmatch(r"\s*(\d{1,2})\s*,\s*(\d{1,18})\s*,\s*(\d{1,18})\s*", line, re.ASCII)
    label, start, end = map(int, numbers.groups()) if numbers else (0, 0, 0)
    if not (1 <= label <= 11 and start < end):
        raise ValueError(f"{path}, line {number}: {line[:60]!r}, expected a class of 1 to 11, a start and a later end")
    return label, start, end


def digest(recordings: Iterable[Recording]) -> str:
    """Twelve digits that tell one list of recordings from another."""
    return hashlib.sha256("\n".join(map(repr, recordings)).encode()).hexdigest()[:12]


def _files(root: Path, folder: str, pattern: str, name: str) -> Iterator[Path]:
    files = list((root / folder).glob(pattern))
    if not files:
        raise FileNotFoundError(f"no {name} in {root.resolve()}: expected {pattern} files in its folder {folder}")
    return iter(files)


def _number(file: Path) -> int:
    found = re.search(r"(\d{1,18})$", file.stem, re.ASCII)
    if not found:
        raise ValueError(f"{file} has no number at the end of its name, which would place it")
    return int(found.group())


def _recording(root: Path, file: Path, label: int, part: str = "") -> Recording:
    return Recording(file.relative_to(root).as_posix(), file.stat().st_size, label, part)
