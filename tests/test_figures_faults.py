"""Commands of figures that are killed, or write into one folder at once: files are whole, and nothing else stays."""

import itertools
import multiprocessing
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from multiprocessing.process import BaseProcess
from pathlib import Path

import pandas as pd
import pytest

from figures import interactive, paper, report
from figures.command import replacing
from tests.figure_rows import coarse
from tests.figure_tables import made_up, write

COMMANDS = {"paper": paper.main, "report": report.main, "interactive": interactive.main}
PICTURES = tuple(one for one in paper.PICTURES if one.name in ("energy", "surface-lines"))  # others take long


def started(name: str, folder: Path) -> int:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(paper, "PICTURES", PICTURES)
        return COMMANDS[name]([str(folder)])


def die_at(number: int, before: bool, name: str, folder: Path) -> int:
    """Run, and be killed just before or after the ``number``-th file takes its place."""
    count, original = itertools.count(1), Path.replace

    def replace(partial: Path, path: Path) -> Path:
        turn = next(count) == number
        if not (turn and before):
            original(partial, path)
        if turn:
            os.kill(os.getpid(), signal.SIGKILL)
        return path

    pytest.MonkeyPatch().setattr(Path, "replace", replace)
    return started(name, folder)


def fill(target: Path, begun: Path | None = None) -> int:
    with replacing(target) as partial:
        if begun:
            begun.touch()
            time.sleep(60)
        partial.write_text("whole")
    return 0


def silent(function: Callable[..., int], *arguments: object) -> None:
    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
        sys.exit(function(*arguments))


@pytest.fixture(scope="module")
def forked():
    """Start a function in a process that begins with everything imported, forked from one that has a single thread."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.test_figures_faults"])

    def start(function: Callable[..., int], *arguments: object) -> BaseProcess:
        process = context.Process(target=silent, args=(function, *arguments))
        process.start()
        return process

    return start


@pytest.fixture
def folder(tmp_path):
    frames = made_up(seeds=1)
    lines = frames["surface"][frames["surface"]["kind"] == "line"]
    return write(tmp_path, {"energy": frames["energy"], "surface": pd.concat([coarse(frames["surface"]), lines])})


def content(folder: Path) -> dict[Path, bytes]:
    """Every file but the tables and what is hidden."""
    files = (path for path in folder.rglob("*") if path.is_file() and "tables" not in path.parts)
    return {path: path.read_bytes() for path in files if not path.name.startswith(".")}


def hidden(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob(".*"))


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_killed_at_any_moment_and_started_again_ends_with_the_same_files(name, folder, forked):
    draw, begun = random.Random(name), time.perf_counter()
    assert started(name, folder) == 0
    seconds, expected = time.perf_counter() - begun, content(folder)
    children = [(started, name, folder)]
    children += [(die_at, at, before, name, folder) for at in range(1, len(expected) + 1) for before in (True, False)]
    for path in expected:
        path.unlink()
    for function, *arguments in children:
        child = forked(function, *arguments)
        if function is started:
            child.join(draw.uniform(0, seconds))
            child.kill()
        child.join()
        assert content(folder).items() <= expected.items()
        if function is die_at:
            assert child.exitcode == -signal.SIGKILL
            assert len(hidden(folder)) == arguments[1]  # what took no place lies there
    (folder / "figures").mkdir(exist_ok=True)
    beside = folder / "figures" / ".energy.pdf.old"
    beside.write_text("someone else's")
    assert started(name, folder) == 0
    assert content(folder) == expected
    assert hidden(folder) == [beside.name]


def test_two_at_once_end_with_the_same_files(folder, forked):
    for name in COMMANDS:
        assert started(name, folder) == 0
    expected = content(folder)
    children = [forked(started, name, folder) for name in (*COMMANDS, "paper")]
    for child in children:
        child.join()
        assert child.exitcode == 0
    assert content(folder) == expected
    assert hidden(folder) == []


def test_a_command_waits_for_one_that_writes_and_a_kill_lets_it_in(forked, tmp_path):
    target, begun = tmp_path / "report.html", tmp_path / "begun"
    first = forked(fill, target, begun)
    while not begun.exists():
        time.sleep(0.005)
    second = forked(fill, target)
    second.join(0.3)
    assert second.is_alive()
    assert len(hidden(tmp_path)) == 1  # the first one's, not taken for a leftover
    first.kill()
    second.join()
    assert second.exitcode == 0
    assert target.read_text() == "whole"
    assert hidden(tmp_path) == []
