"""Digests of a user's own data, by which it is noticed that they aren't what a network was trained on any more.

Of a file it is the SHA-256 of its bytes. Of a folder of images it is the SHA-256 over the images in the order that they
are read in (train, then test or val; classes and files by name): of each its place in the folder, its size, and the
SHA-256 of its content. Where they are more than 1 GiB together only the first and the last 4 KiB of each content count,
so that a change in the middle of a file that keeps its size goes unnoticed there, and a million files take a minute.
A folder whose files have the names, sizes and times of change that they had is not read again by one process.
"""

import hashlib
import os
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

WHOLE = 2**30
END = 4096
IMAGES = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")  # as torchvision's ImageFolder


def digest(place: Path) -> str:
    """The digest, in hexadecimal, of the file or folder ``place``. Raises OSError where it can't be read."""
    if place.is_dir():
        return _of_files(place.resolve(), tuple(_files(place.resolve())))
    return hashlib.sha256(place.read_bytes()).hexdigest()


def test_part(root: Path) -> str:
    """The name of the folder in ``root`` that holds its test images."""
    return "test" if (root / "test").is_dir() else "val"


def _files(root: Path) -> Iterator[tuple[str, int, int]]:
    """Every image's place, size and time of change, as torchvision's ImageFolder finds them."""
    for part in ("train", test_part(root)):
        entries = (root / part).iterdir() if (root / part).is_dir() else ()
        for folder in sorted(entry for entry in entries if entry.is_dir()):
            for inner, _, names in sorted(os.walk(folder, followlinks=True)):
                for name in sorted(name for name in names if name.lower().endswith(IMAGES)):
                    path = Path(inner, name)
                    about = path.stat()
                    yield path.relative_to(root).as_posix(), about.st_size, about.st_mtime_ns


@lru_cache(8)
def _of_files(root: Path, files: tuple[tuple[str, int, int], ...]) -> str:
    whole = sum(size for _, size, _ in files) <= WHOLE
    found = hashlib.sha256()
    for name, size, _ in files:
        with (root / name).open("rb") as file:
            content = file.read() if whole or size <= 2 * END else file.read(END)
            if len(content) < size:
                file.seek(-END, os.SEEK_END)
                content += file.read()
        found.update(f"{name}\0{size}\0".encode(errors="surrogateescape") + hashlib.sha256(content).digest())
    return found.hexdigest()
