"""Commands of figures that are killed, or write into one folder at once: files are whole, and nothing else stays."""

import fcntl
import random
import signal
import time
from itertools import product
from pathlib import Path

import pytest

from figures import interactive, paper, report
from figures.pictures import catalogue
from tables.files import replacing_alone
from tests.figure_rows import coarse
from tests.figure_tables import made_up, write
from tests.killed import shoot_at, starter

COMMANDS = {"paper": paper.main, "report": report.main, "interactive": interactive.main}
PICTURES = tuple(one for one in catalogue.PICTURES if one.name == "energy")  # all take long


def started(name: str, folder: Path) -> int:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(catalogue, "PICTURES", PICTURES)
        return COMMANDS[name]([str(folder)])


def die_at(number: int, before: bool, name: str, folder: Path) -> int:
    """Run, and be killed just before or after the ``number``-th file takes its place."""
    shoot_at(number, before=before)
    return started(name, folder)


def fill(target: Path, begun: Path) -> int:
    """Begin to write a file and never end."""
    with replacing_alone(target):
        begun.touch()
        signal.pause()
    return 1


def wait_and_fill(target: Path, waiting: Path) -> int:
    """Write a file, and say so where another command has to be waited for."""
    original = fcntl.flock

    def flock(handle: int, how: int) -> None:
        try:
            original(handle, how | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting.touch()
            original(handle, how)

    pytest.MonkeyPatch().setattr(fcntl, "flock", flock)
    with replacing_alone(target) as partial:
        partial.write_text("whole")
    return 0


@pytest.fixture(scope="module")
def forked():
    return starter("tests.figures.test_faults")


@pytest.fixture
def folder(tmp_path):
    frames = made_up(seeds=1)
    return write(tmp_path, {"energy": frames["energy"], "surface": coarse(frames["surface"])})


def content(folder: Path) -> dict[Path, bytes]:
    """Every file but the tables and what is hidden."""
    files = (path for path in folder.rglob("*") if path.is_file() and "tables" not in path.parts)
    return {path: path.read_bytes() for path in files if not path.name.startswith(".")}


def hidden(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob(".*"))


@pytest.mark.slow(keep=1)
@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_killed_at_any_moment_and_started_again_ends_with_the_same_files(name, folder, forked):
    draw, begun = random.Random(name), time.perf_counter()
    assert started(name, folder) == 0
    seconds, expected = time.perf_counter() - begun, content(folder)
    for path in expected:
        path.unlink()
    child = forked(started, name, folder)
    child.join(draw.uniform(0, seconds))
    child.kill()
    child.join()
    assert content(folder).items() <= expected.items()
    for number, before in product(range(1, len(expected) + 1), (True, False)):
        child = forked(die_at, number, before, name, folder)
        child.join()
        assert child.exitcode == -signal.SIGKILL
        assert content(folder).items() <= expected.items()
        assert hidden(folder) or not before  # it lies where it was written
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
    target, begun, waiting = tmp_path / "report.html", tmp_path / "begun", tmp_path / "waiting"
    first = forked(fill, target, begun)
    while not begun.exists() and first.is_alive():
        time.sleep(0.005)
    try:
        second = forked(wait_and_fill, target, waiting)
        while not waiting.exists() and second.is_alive():
            time.sleep(0.005)
        assert second.is_alive()
        assert not target.exists()
        assert len(hidden(tmp_path)) == 1  # the first one's, not taken for a leftover
    finally:
        first.kill()
    second.join()
    assert second.exitcode == 0
    assert target.read_text() == "whole"
    assert hidden(tmp_path) == []
