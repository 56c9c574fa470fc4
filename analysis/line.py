"""The command line of an analysis: flags first, and what they ask for imported when they are right."""

import os
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from functools import partial
from io import StringIO
from typing import Any

from tables import later
from tables.command_line import command, parse

from .flags import Config


def of(package: str, config: type[Config]) -> "partial[int]":
    """The ``main`` of an analysis: :func:`main` of its ``config`` and of ``run`` in its module ``command``."""
    return partial(main, config, later.function(f"{package}.command:run"), prog=f"python -m {package}")


def main(config: type[Config], run: Callable[[Any], Any], argv: Sequence[str] | None = None, prog: str = "") -> int:
    """Command line of an analysis: tables on stdout (of long ones the head), remarks on stderr; the exit status."""
    if not _first():  # what is wrong with the flags is said once
        try:
            with redirect_stderr(StringIO()), redirect_stdout(StringIO()):
                parse(config, argv, prog)
        except SystemExit as stop:
            return stop.code if isinstance(stop.code, int) else 2
    return command(config, partial(later.function("analysis.command:show"), run), argv, prog)


def _first() -> bool:
    """Whether this is the only process, or the first that torchrun started: :func:`models.processes.is_main`."""
    return "TORCHELASTIC_RUN_ID" not in os.environ or os.environ["RANK"] == "0"
