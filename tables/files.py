"""Files written whole or not at all: to a temporary file beside their place, which is then renamed."""

import fcntl
import glob
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside ``path`` that takes its place when the block ends well, and vanishes when it doesn't."""
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder, and a file is to be written there: move it")
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    partial = Path(name)
    try:
        yield partial
        sync(partial)
        partial.chmod(0o666 & ~_umask())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Have the file on the disk. Raises OSError where there is no room after all."""
    with path.open("rb") as written:
        os.fsync(written.fileno())


def remove_leftovers(folder: Path, *names: str) -> None:
    """Remove the temporary files that a killed :func:`replacing` left in ``folder`` for files called ``names``.

    ``*`` and ``?`` in a name stand for what they usually do. Only for files that no other process is writing.
    """
    for name in names:
        for partial in folder.glob(f".{name}.????????"):
            partial.unlink(missing_ok=True)


def check_writable(folder: Path) -> None:
    """Raise OSError now, rather than after the computation, where ``folder`` can't become or isn't a writable folder.

    Nothing is made, so that another process may do the same at the same time.
    """
    there = next(each for each in (folder, *folder.absolute().parents) if each.is_symlink() or each.exists())
    with tempfile.TemporaryFile(dir=there):
        pass


@contextmanager
def replacing_alone(path: Path) -> Iterator[Path]:
    """The same, one process at a time for a folder, and what a killed one left of ``path`` is removed."""
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder, and a file is to be written there: move it")
    with locked(path.parent):
        remove_leftovers(path.parent, glob.escape(path.name))
        with replacing(path) as partial:
            yield partial


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Wait until no other process is in such a block for ``folder``, which is made; a kill lets go of it too."""
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        held(handle, wait=True)
        yield
    finally:
        os.close(handle)


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Be the only process in such a block for ``folder``, or raise OSError; a kill lets go of it, too.

    The folder is made, and if nothing was put there removed again. Those that write briefly (:func:`locked`) may.
    """
    check_writable(folder)
    folder.mkdir(parents=True, exist_ok=True)
    path, place = folder / ".lock", folder.absolute()  # wherever the process goes meanwhile, it lets go of this one
    if path.is_symlink():
        raise OSError(f"{path} is a symbolic link, which no run makes: remove it")
    handle = os.open(path, os.O_CREAT | os.O_RDONLY | os.O_NOFOLLOW, 0o666)
    try:
        if not held(handle, wait=False):
            raise OSError(f"{folder} is being written by another run: wait for that one, or name another --out")
        try:
            yield
        finally:
            (place / ".lock").unlink(missing_ok=True)
            with suppress(OSError):  # something is there
                place.rmdir()
    finally:
        os.close(handle)


def held(handle: int, *, wait: bool) -> bool:
    """Whether the open file or folder ``handle`` is this process's alone now, until it is closed.

    On file systems without locks it always is.
    """
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    except OSError:  # the file system has no locks
        return True
    return True


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
