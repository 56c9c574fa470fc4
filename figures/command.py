"""What the commands that draw share: a folder with tables, files made, and a line for what is left out."""

import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

from tables import later
from tables.command_line import command


class InFolder(Protocol):
    """A config that reads a folder's tables."""

    @property
    def directory(self) -> Path:
        """The folder that holds tables/."""
        ...


Config = TypeVar("Config", bound=InFolder)
Say = Callable[[str], None]


def of(package: str, kind: type[Config]) -> "partial[int]":
    """The ``main`` of a command that draws: :func:`main` of its ``kind`` and of ``run`` in its module ``command``."""
    return partial(main, kind, later.function(f"{package}.command:run"), prog=f"python -m {package}")


def main(
    kind: type[Config], run: Callable[[Config, Say], list[Path]], argv: Sequence[str] | None = None, prog: str = ""
) -> int:
    """Run a command and print the files it made; returns the exit status.

    0 when there is at least one, 1 for none or a failure, 2 for usage. ``run`` gets a place to say what it leaves out.
    """

    def say(line: str) -> None:
        print(f"{prog}: {' '.join(line.split())}", file=sys.stderr)

    def show(config: Config) -> None:
        if not config.directory.is_dir():
            raise FileNotFoundError(f"{config.directory} is no folder; expected one with tables/ in it")
        files = run(config, say)
        for file in files:
            print(file)
        if not files:
            raise FileNotFoundError(f"no figure made: no usable table in {config.directory / 'tables'}")

    return command(kind, show, argv, prog)
