"""Temporary folders that outlive a killed process only until the next one makes such a folder."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path

from tables.files import held


@contextmanager
def scratch(name: str) -> Iterator[Path]:
    """A new temporary folder, removed at the end; those of that ``name`` that killed processes left are removed first.

    A lock that ends with its process says whether a folder is in use. On file systems without locks nothing is cleared.
    """
    _clear(name)
    folder, lock = _new(name)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _clear(name: str) -> None:
    for left in Path(tempfile.gettempdir()).glob(f"{name}.????????"):
        with suppress(OSError):  # in use, gone, another user's, or a link
            lock = os.open(left, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                flock(lock, LOCK_EX | LOCK_NB)
                shutil.rmtree(left, ignore_errors=True)
            finally:
                os.close(lock)


def _new(name: str) -> tuple[Path, int]:
    """A folder and its lock. Before it is locked another process may take it for one that was left: then the next."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=f"{name}."))
        with suppress(FileNotFoundError):
            lock = os.open(folder, os.O_RDONLY)
            held(lock, wait=True)
            if folder.is_dir():
                return folder, lock
            os.close(lock)
