"""A command line from a dataclass: flags and help by tyro, failures as one line.

A command is a frozen dataclass ``Config`` and a function ``run(Config)``. Exit status: 0; 1 with one line on stderr
for a foreseen failure (ValueError, OSError); 2 with one line for unusable arguments; 130 when interrupted. Anything
else is a defect of the program and shows its traceback.
"""

import contextlib
import io
import re
import sys
from collections.abc import Callable, Sequence
from typing import TypeVar

import tyro

C = TypeVar("C")


def parse(config: type[C], argv: Sequence[str] | None, prog: str) -> C:
    """The ``config`` that ``argv`` (default: the process's arguments) asks for.

    Raises SystemExit: 0 after ``--help``, 2 after one line on stderr for unusable arguments.
    """
    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            return tyro.cli(config, prog=prog, args=argv, config=(tyro.conf.OmitSubcommandPrefixes,))
    except SystemExit as stop:
        if stop.code:
            print(f"{prog}: error: {_one_line(complaint.getvalue())} (see --help)", file=sys.stderr)
        raise


def command(config: type[C], run: Callable[[C], object], argv: Sequence[str] | None, prog: str) -> int:
    """Parse, run, and turn the foreseen failures into one line on stderr and an exit status."""
    try:
        run(parse(config, argv, prog))
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 2
    except KeyboardInterrupt:
        print(f"{prog}: interrupted", file=sys.stderr)
        return 130
    except (ValueError, OSError) as failure:
        print(f"{prog}: error: {' '.join(str(failure).split())}", file=sys.stderr)
        return 1
    return 0


def _one_line(box: str) -> str:
    """The message of tyro's box, whichever characters draw it: the lines between its first two rules, joined."""
    lines = [line.strip("│|╭╮╰╯+ \n") for line in box.splitlines()]
    rules = [place for place, line in enumerate(lines) if re.fullmatch("[─-]*.*[─-]{3,}", line)] or [-1]
    message = lines[rules[0] + 1 : rules[1] if len(rules) > 1 else None]
    return " ".join(message).strip().rstrip(".")
