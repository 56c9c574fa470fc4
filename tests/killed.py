"""Processes to be killed: started with everything imported, shot at any moment or at a file that takes its place."""

import itertools
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest


def starter(module: str) -> Callable[..., BaseProcess]:
    """Start a function in a process that begins with ``module`` imported, forked from one that has a single thread."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([module])

    def start(function: Callable[..., int], *arguments: object) -> BaseProcess:
        process = context.Process(target=_silent, args=(function, *arguments))
        process.start()
        return process

    return start


def _silent(function: Callable[..., int], *arguments: object) -> None:
    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
        sys.exit(function(*arguments))


def shoot_at(number: int, *, before: bool) -> None:
    """Have this process killed just before or after the ``number``-th file takes its place."""
    count, original = itertools.count(1), Path.replace

    def replace(partial: Path, path: Path) -> Path:
        turn = next(count) == number
        if not (turn and before):
            original(partial, path)
        if turn:
            os.kill(os.getpid(), signal.SIGKILL)
        return path

    pytest.MonkeyPatch().setattr(Path, "replace", replace)
