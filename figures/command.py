"""What the commands share: arguments from a dataclass, files written whole, failures as one line on stderr."""

import contextlib
import fcntl
import glob
import io
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

import tyro

_NO_BOX = str.maketrans("", "", "│╭╮╰╯─")


class InFolder(Protocol):
    """A config that reads a folder's tables."""

    @property
    def directory(self) -> Path:
        """The folder that holds tables/."""
        ...


Config = TypeVar("Config", bound=InFolder)
Say = Callable[[str], None]


def main(prog: str, kind: type[Config], run: Callable[[Config, Say], list[Path]], argv: Sequence[str] | None) -> int:
    """Run a command and print the files it made; returns the exit status.

    0 when there is at least one, 1 for none or a failure, 2 for usage. ``run`` gets a place to say what it leaves out.
    """

    def say(line: str) -> None:
        print(f"{prog}: {' '.join(line.split())}", file=sys.stderr)

    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            config = tyro.cli(kind, args=argv, prog=prog)
    except SystemExit as stop:
        if stop.code:
            say(f"error: {complaint.getvalue().translate(_NO_BOX)}")
        return stop.code if isinstance(stop.code, int) else 2
    try:
        if not config.directory.is_dir():
            raise FileNotFoundError(f"{config.directory} is no folder; expected one with tables/ in it")
        files = run(config, say)
    except OSError as error:
        say(f"error: {error}")
        return 1
    for file in files:
        print(file)
    if not files:
        say(f"error: no figure made: no usable table in {config.directory / 'tables'}")
    return 0 if files else 1


@contextlib.contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """A path to write to, which becomes ``target`` if nothing fails, and nothing otherwise.

    What a killed command left of its own such path is removed; other commands that write into the folder wait.
    """
    if target.is_dir():
        raise IsADirectoryError(f"{target} is a folder, and a file is to be written there: move it")
    target.parent.mkdir(parents=True, exist_ok=True)
    with _alone(target.parent):
        for left in target.parent.glob(f".{glob.escape(target.name)}.????????"):
            left.unlink(missing_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        os.close(handle)
        partial = Path(name)
        try:
            yield partial
            partial.chmod(0o644)
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Wait until no other command is in such a block for ``folder``; a kill lets go of it too."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
