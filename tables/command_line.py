"""A command line from a dataclass: flags and help by tyro, failures as one line.

A command is a folder: ``flags`` holds a frozen dataclass ``Config``, ``command`` the function that carries it out,
imported when the flags are right (:mod:`tables.later`), and the package's ``main`` puts both together. Exit status: 0;
1 with one line on stderr for a foreseen failure (ValueError, OSError); 2 with one line for unusable arguments; 130 when
interrupted. Anything else is a defect of the program and shows its traceback.
"""

import contextlib
import io
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import fields, is_dataclass
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import TypeVar

import tyro

from . import helping, later

C = TypeVar("C")


def parse(config: type[C], argv: Sequence[str] | None, prog: str) -> C:
    """The ``config`` that ``argv`` (default: the process's arguments) asks for.

    Raises SystemExit: 0 after ``--help``, 2 after one line on stderr for unusable arguments.
    """
    complaint, shown = io.StringIO(), io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint), contextlib.redirect_stdout(shown):
            return tyro.cli(config, prog=prog, args=argv, config=(tyro.conf.OmitSubcommandPrefixes,))
    except SystemExit as stop:
        if not stop.code:
            print(helping.ordered(shown.getvalue(), config.__module__.rpartition(".")[0]), end="")
        if stop.code:
            print(f"{prog}: error: {_one_line(complaint.getvalue(), _flags(config))} (see --help)", file=sys.stderr)
        raise


def of(package: str, config: type[object]) -> "partial[int]":
    """The ``main`` of a command: :func:`command` of its ``config`` and of ``show`` in its module ``command``."""
    return partial(command, config, later.function(f"{package}.command:show"), prog=f"python -m {package}")


def command(config: type[C], run: Callable[[C], object], argv: Sequence[str] | None = None, prog: str = "") -> int:
    """Parse, run, and turn the foreseen failures into one line on stderr and an exit status."""
    try:
        asked = parse(config, argv, prog)
        run(asked)
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 2
    except KeyboardInterrupt:
        print(f"{prog}: interrupted", file=sys.stderr)
        return 130
    except (ValueError, OSError) as failure:
        said = _no_folder(asked, failure) or " ".join(str(failure).split())
        print(f"{prog}: error: {said}", file=sys.stderr)
        return 1
    return 0


def _no_folder(config: object, failure: Exception) -> str:
    """What is wrong where ``--out`` is to be a folder, and it or a folder above it is a file; "" for other failures."""
    out = getattr(config, "out", None)
    if isinstance(out, Path) and isinstance(failure, NotADirectoryError | FileExistsError):
        for one in (out, *out.parents):
            if one.is_file():
                return f"--out {out}: {one} is a file, and has to be a folder"
    return ""


def _flags(config: type[object]) -> list[str]:
    return [f"--{one.name.replace('_', '-')}" for one in fields(config)] if is_dataclass(config) else []


def _one_line(box: str, flags: Sequence[str] = ()) -> str:
    """What tyro's box says, whichever characters draw it: what is wrong, and the flags that may have been meant."""
    wrong, *others = _sections(box)
    unknown = [section for section in others if section[0].startswith("Unrecognized options")]
    similar = [section for section in others if section[0].startswith(("Perhaps you meant", "Arguments similar to"))]
    wrong = [_near(" ".join(map(str.strip, wrong)))]
    message = "; ".join(" ".join(map(str.strip, section)).rstrip(".") for section in (wrong, *unknown))
    meant = sorted({flag for section in similar for flag in re.findall(r"^    (--[\w-]+)", "\n".join(section), re.M)})
    if not meant:  # tyro names none where something else is wrong, too
        given = [flag for section in unknown for flag in re.findall(r"--[\w-]+", " ".join(section))]
        meant = [near for flag in given for near in get_close_matches(flag, flags, 1)]
    return f"{message}: perhaps {' or '.join(meant)}" if meant else message


def _near(said: str) -> str:
    """What tyro says of a choice that isn't one, with the choice that may have been meant."""
    invalid = re.search(r"invalid choice '([^']*)' .*one of \((.*)\)", said)
    near = get_close_matches(invalid[1], re.findall(r"'([^']*)'", invalid[2]), 1) if invalid else []
    return f"{said.rstrip('. ')}: perhaps {near[0]}" if near else said


def _sections(box: str) -> list[list[str]]:
    """The lines between one rule of the box and the next, without its edges."""
    found: list[list[str]] = [[]]
    for line in box.splitlines():
        if re.fullmatch("[─-]*.*[─-]{3,}", line.strip("│|╭╮╰╯+ ")):
            found.append([])
        else:
            found[-1].append(line[2:].rstrip("│| "))
    return [section for section in found[1:] if section] or found
