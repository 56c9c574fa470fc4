"""Commands that are killed, fail while they write, or write into one folder at once: tables are whole, or not there.

Children are killed by SIGKILL: at a random moment, and at a random file that takes its place. What would cost many
processes to show, a failure between any two steps of writing, is raised in this process instead.
"""

import importlib
import itertools
import json
import os
import random
import shutil
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pandas as pd
import pytest
import torch

from analysis import command, controls, energy, study, surface, sweep
from analysis.command import analyse
from analysis.subject import Subject
from analysis.surface.journal import Journal
from models.checkpoint import load
from tables.files import alone, check_writable, held, locked
from tables.record import origin, sha256
from tables.result import Result
from tests.figure_tables import write
from tests.killed import shoot_at, starter
from tests.test_bad_tables import TABLES

SMALL = {"timesteps": 2, "train_images": 40, "batch_size": 20}
FLAGS = {
    "energy": "--images 20",
    "timesteps": "--images 20",
    "history": "",
    "sharpness": "--images 10 --loss tet --draws 2 --measures average norms",
    "robustness": "--images 10 --loss tet --draws 2",
    "rise": "--images 10 --loss tet --draws 1 --radii 0.5 1 --angles 4",
    "hessian": "--images 10 --loss tet --operator gauss_newton --top 1 --bottom 0 --max-products 8 --radii 2 --steps 3",
    "momentum": "--images 40 --loss tet --batches 2",
    "stability": "--images 10 --loss tet --max-products 8",
    "surface": "--images 10 --loss tet --draws 1 --points 3 --plane-points 5",
    "path": "--images 20 --points 3 --steps 2 --batch-size 20",
    "compare": "--resamples 10",
}


def started(name: str, argv: Sequence[str]) -> int:
    """The command ``name``; its exit status."""
    torch.set_num_threads(1)
    return int(importlib.import_module(f"analysis.{name}").main(argv))


def die_at(number: int, before: bool, name: str, argv: Sequence[str]) -> int:
    """Run, and be killed just before or after the ``number``-th file takes its place."""
    shoot_at(number, before=before)
    return started(name, argv)


@pytest.fixture(scope="module")
def forked():
    return starter("tests.test_faults")


@pytest.fixture(scope="module")
def ends(digits_checkpoint) -> list[str]:
    return [str(digits_checkpoint(loss, **SMALL)) for loss in ("sdt", "tet")]


def command_line(name: str, ends: list[str], measured: Path, out: Path) -> list[str]:
    """The arguments of command ``name`` that make it write to ``out``; ``measured`` is its place for all else."""
    if name == "compare":
        write(measured, {each: TABLES[each] for each in ("timesteps", "energy")})
    several = name in ("energy", "path")  # checkpoints: one does where the loop over them is the same
    inputs = [str(measured)] if name == "compare" else [*ends[: 1 + several], "--quiet"]
    record = ["--record", str(measured / "record")] if name == "hessian" else []
    return [*inputs, *FLAGS[name].split(), *record, "--out", str(out)]


def content(out: Path) -> dict[str, bytes]:
    """What lies in ``out`` but for tables to draw, temporary files and journals; without times."""
    files = [path for path in out.rglob("*") if path.is_file() and not path.name.startswith(".")]
    files = [path for path in files if "tables" not in path.parts and "journal" not in path.name]
    found = {str(path.relative_to(out)): path.read_bytes().replace(str(out).encode(), b"OUT") for path in files}
    records = {name: json.loads(text) for name, text in found.items() if name.endswith(".json")}
    return found | {name: json.dumps(record | {"seconds": 0}).encode() for name, record in records.items()}


def assert_whole(out: Path, expected: dict[str, bytes]) -> None:
    """Tables are those expected or their first checkpoints', records their own, and all else as expected."""
    for name, found in content(out).items():
        if name.endswith(".csv"):
            assert expected[name].startswith(found)
        elif name.endswith(".json"):
            assert json.loads(found)["tables"][Path(name).stem] == sha256((out / name).with_suffix(".csv"))
        else:
            assert found == expected[name]


@pytest.mark.slow(keep=4)
@pytest.mark.parametrize("name", FLAGS)
def test_a_command_killed_at_any_moment_and_started_again_ends_with_the_same_files(name, ends, forked, tmp_path):
    draw, placed = random.Random(name), Mock(side_effect=Path.replace)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "replace", lambda partial, path: placed(partial, path))
        begun = time.perf_counter()
        assert started(name, command_line(name, ends, tmp_path / "measured", tmp_path / "undisturbed")) == 0
    seconds, expected = time.perf_counter() - begun, content(tmp_path / "undisturbed")
    assert placed.call_count
    out = tmp_path / "killed"
    argv = command_line(name, ends, tmp_path / "measured", out)
    child = forked(started, name, argv)
    child.join(draw.uniform(0, seconds))
    child.kill()
    child.join()
    assert_whole(out, expected)
    child = forked(die_at, draw.randint(1, placed.call_count), draw.random() < 0.5, name, argv)
    child.join()
    assert child.exitcode in (-signal.SIGKILL, 0)
    assert_whole(out, expected)
    assert started(name, argv) == 0
    assert content(out) == expected
    assert not [path for path in out.rglob(".*") if ".csv" in path.name or ".json" in path.name]


# failures between any two steps of writing


OLD, NEW = ({name: pd.DataFrame({"value": [value]}) for name in ("main", "other")} for value in (1, 2))
STEPS = ["to_csv", "write_text", "fsync", "chmod", "unlink", "replace"]


def failing(patch: pytest.MonkeyPatch, step: str, number: int, failure: BaseException) -> None:
    """Raise ``failure`` in place of the ``number``-th call of ``step``."""
    owner = {"to_csv": pd.DataFrame, "fsync": os}.get(step, Path)
    count, original = itertools.count(1), getattr(owner, step)

    def fail(*arguments: Any, **named: Any) -> Any:
        if next(count) == number:
            raise failure
        return original(*arguments, **named)

    patch.setattr(owner, step, fail)


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("failure", [OSError(28, "No space left on device"), KeyboardInterrupt(), SystemExit(143)])
def test_whichever_step_of_writing_fails_tables_are_old_or_new_and_records_their_own(step, failure, tmp_path):
    for number in range(1, 5 if step in ("fsync", "chmod", "replace") else 3):
        out = tmp_path / f"{number}"
        Result(OLD, {"settings": {"value": 1}, "checkpoints": {}, "seconds": 0}).save(out)
        new = Result(NEW, {"settings": {"value": 2}, "checkpoints": {}, "seconds": 0})
        with pytest.MonkeyPatch.context() as patch:
            failing(patch, step, number, failure)
            with pytest.raises(type(failure)):
                new.save(out)
        assert {path.name for path in out.iterdir()} <= {"main.csv", "main.json", "other.csv", "other.json"}
        values = {name: int(pd.read_csv(out / f"{name}.csv")["value"].iloc[0]) for name in OLD}
        if step in ("to_csv", "write_text", "fsync"):  # before anything takes its place
            assert set(values.values()) == {1}
            assert len(list(out.iterdir())) == 4
        for record in out.glob("*.json"):
            assert json.loads(record.read_text())["settings"]["value"] == values[record.stem]
        if (out / "main.json").exists():
            origin(out / "main.csv")
        new.save(out)
        assert origin(out / "main.csv")["settings"]["value"] == 2


def test_a_disk_that_is_full_is_one_line_and_leaves_what_was_there(ends, tmp_path, capsys, monkeypatch):
    argv = [ends[0], "--images", "10", "--quiet", "--out", str(tmp_path)]
    assert energy.main(argv) == 0
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    capsys.readouterr()
    failing(monkeypatch, "fsync", 1, OSError(28, "No space left on device"))
    assert energy.main([*argv, "--images", "20"]) == 1
    assert capsys.readouterr().err == "python -m analysis.energy: error: [Errno 28] No space left on device\n"
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_what_a_kill_left_behind_is_removed_at_the_next_start_and_other_files_are_not(ends, tmp_path):
    for name in (".energy.csv.abcd1234", ".energy.json.abcd1234", ".other.csv.abcd1234", ".energy.csv.old"):
        (tmp_path / name).write_text("half")
    assert energy.main([ends[0], "--images", "10", "--quiet", "--out", str(tmp_path)]) == 0
    assert sorted(path.name for path in tmp_path.glob(".*")) == [".energy.csv.old", ".other.csv.abcd1234"]


# two at once


def saves(out: Path, value: int) -> int:
    """Write many times two tables and a record that hold ``value`` alone."""
    tables = {name: pd.DataFrame({"value": [value] * 50}) for name in ("main", "other")}
    for _ in range(25):
        check_writable(out)
        Result(tables, {"settings": {"value": value}, "checkpoints": {}, "seconds": 0}).save(out)
    return 0


@pytest.mark.slow
def test_processes_that_write_the_same_tables_at_once_leave_them_whole_with_their_own_record(forked, tmp_path):
    out = tmp_path / "not" / "there"
    children = [forked(saves, out, value) for value in range(3)]
    for child in children:
        child.join()
        assert child.exitcode == 0
    (value,) = {int(v) for name in ("main", "other") for v in pd.read_csv(out / f"{name}.csv")["value"]}
    for name in ("main", "other"):
        assert origin(out / f"{name}.csv")["settings"]["value"] == value
    assert len(list(out.iterdir())) == 4


@pytest.mark.slow
def test_two_commands_and_the_same_one_twice_write_into_one_folder(ends, forked, tmp_path):
    out = tmp_path / "tables"
    plans = [("energy", 20), ("timesteps", 20), ("energy", 10)]
    children = [forked(started, name, [*ends, "--images", str(n), "--quiet", "--out", str(out)]) for name, n in plans]
    for child in children:
        child.join()
        assert child.exitcode == 0
    assert {path.name for path in out.iterdir()} == {
        f"{name}.{kind}" for name in ("energy", "timesteps", "anytime", "outcomes") for kind in ("csv", "json")
    }
    for name in ("energy", "timesteps", "anytime"):
        table, record = pd.read_csv(out / f"{name}.csv"), origin(out / f"{name}.csv")
        assert set(table["images"]) == {record["settings"]["images"]}
        assert set(table["checkpoint"]) == set(record["checkpoints"]) == set(ends)


def test_a_second_surface_of_the_same_folder_is_refused_and_the_first_goes_on(ends, tmp_path, capsys):
    argv = [ends[0], *FLAGS["surface"].split(), "--quiet", "--out"]
    assert surface.main([*argv, str(tmp_path / "alone")]) == 0
    both: list[int] = []
    original = Journal.add

    def again(journal: Journal, key: str, finding: Any) -> None:
        original(journal, key, finding)
        if journal.found.keys() == {key}:
            patch.setattr(Journal, "add", original)
            both.append(surface.main([*argv, str(tmp_path / "both")]))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Journal, "add", again)
        capsys.readouterr()
        assert surface.main([*argv, str(tmp_path / "both")]) == 0
    assert both == [1]
    (line,) = capsys.readouterr().err.splitlines()
    assert "surface.journal.0 is being written by another run: wait for that one, or name another --out" in line
    assert content(tmp_path / "both") == content(tmp_path / "alone")


def test_a_checkpoint_that_training_replaces_is_recorded_as_the_one_that_was_measured(ends, tmp_path, monkeypatch):
    path = tmp_path / "ckpt.pt"
    shutil.copy(ends[0], path)
    digest = sha256(path)

    def replaced(subject: Subject, _config: command.Config) -> dict[str, pd.DataFrame]:
        shutil.copy(ends[1], path)
        return {"answer": pd.DataFrame({"value": [1.0]})}

    found = analyse(command.Config((path,), quiet=True), replaced)
    assert found.provenance["checkpoints"] == {path.as_posix(): digest}
    monkeypatch.setattr("analysis.subject.checkpoints.read", lambda path: (load(path), shutil.copy(ends[0], path))[0])
    with pytest.raises(ValueError, match=r"ckpt\.pt was replaced while it was read"):
        Subject.load(path)


def test_other_processes_wait_at_a_folder_and_a_kill_lets_them_in(forked, tmp_path):
    child = forked(holds, tmp_path)
    while not (tmp_path / "held").exists():
        time.sleep(0.005)
    handle = os.open(tmp_path, os.O_RDONLY)
    assert not held(handle, wait=False)
    child.kill()
    child.join()
    assert held(handle, wait=False)
    os.close(handle)


def holds(folder: Path) -> int:
    with locked(folder):
        (folder / "held").touch()
        time.sleep(60)
    return 1


def test_a_lock_that_is_a_link_is_refused_and_its_target_never_made(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run/.lock").symlink_to(tmp_path / "target")
    with (
        pytest.raises(OSError, match=r"\.lock is a symbolic link, which no run makes: remove it$"),
        alone(tmp_path / "run"),
    ):
        pass
    assert [path.name for path in tmp_path.rglob("*")] == ["run", ".lock"]
    (tmp_path / "run/.lock").unlink()
    with alone(tmp_path / "run"):
        assert (tmp_path / "run/.lock").is_file()
    assert not (tmp_path / "run").exists()


def test_without_locks_in_the_file_system_everything_is_written_all_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr("fcntl.flock", lambda *_: (_ for _ in ()).throw(OSError(38, "Function not implemented")))
    Result(OLD, {"settings": {}, "checkpoints": {}, "seconds": 0}).save(tmp_path)
    assert origin(tmp_path / "main.csv")["settings"] == {}
    journal = Journal(tmp_path, "surface", {})
    journal.add("key", 1)
    journal.remove()


def test_a_folder_is_let_go_of_wherever_the_process_has_gone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("other/runs").mkdir(parents=True)
    with alone(Path("runs")):
        Path("runs/table").touch()
        monkeypatch.chdir("other")
    assert [file.name for file in (tmp_path / "runs").iterdir()] == ["table"]
    assert Path("runs").is_dir()  # another of that name, which is none of its business


@pytest.mark.parametrize(
    ("command", "argv"),
    [
        (study, []),
        (controls, ["--only", "sam"]),
        (sweep, ["plan.toml"]),
    ],
    ids=["study", "controls", "sweep"],
)
def test_a_second_one_in_the_same_folder_is_refused_before_it_trains(command, argv, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("plan.toml").write_text("seeds = 2\n[factors]\nlearning_rate = [0.1, 0.2]\n")
    with alone(tmp_path / "runs"):
        assert command.main([*argv, "--out", "runs"]) == 1
        line = "runs is being written by another run: wait for that one, or name another --out"
        assert line in capsys.readouterr().err
        assert [file.name for file in Path("runs").iterdir()] == [".lock"]
