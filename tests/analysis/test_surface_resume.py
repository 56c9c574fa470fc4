"""Kills, full disks, other settings, two processes: the table is the same to the bit, or the reason is one line."""

import json
import multiprocessing
import os
import random
import resource
import subprocess
import sys
import time
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pandas as pd
import pytest

from analysis import surface
from analysis.surface.journal import Journal

FLAGS = ["--images", "40", "--draws", "1", "--points", "5", "--plane-points", "9", "--chunk", "16", "--split", "both"]
SMALL = ["--images", "20", "--draws", "1", "--points", "3", "--plane-draws", "0"]


def started(*flags):
    """The command in a process of its own, forked so that it need not import everything anew."""

    def silent():
        with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
            surface.main(list(map(str, flags)))

    process = multiprocessing.get_context("fork").Process(target=silent)
    process.start()
    return process


@pytest.fixture(scope="module")
def tiny(digits_checkpoint):
    return digits_checkpoint("tet")


@pytest.fixture(scope="module")
def undisturbed(tiny, tmp_path_factory):
    out = tmp_path_factory.mktemp("undisturbed")
    assert surface.main([str(tiny), *FLAGS, "--out", str(out), "--quiet"]) == 0
    names = ("minima", "shapes", "surface", "surface_axes")
    assert sorted(path.name for path in out.iterdir()) == [
        f"{name}.{kind}" for name in names for kind in ("csv", "json")
    ]
    assert pd.read_csv(out / "surface.csv")["value"].nunique() > 100  # or equality would say nothing
    return (out / "surface.csv").read_bytes()


def lines(out):
    return sum(path.read_bytes().count(b"\n") for path in out.glob("surface.journal.*"))


@pytest.mark.slow
def test_killed_again_and_again_it_ends_with_the_same_table(tiny, undisturbed, tmp_path):
    moments, kills, before = random.Random(0), 0, 0
    while kills < 4:
        run = started(tiny, *FLAGS, "--out", tmp_path)
        while lines(tmp_path) <= before and run.is_alive():
            time.sleep(0.002)
        time.sleep(moments.uniform(0, 0.1))
        run.kill()
        run.join()
        assert not (tmp_path / "surface.csv").exists()
        assert lines(tmp_path) > before  # what was found is kept, and more is found each time
        before, kills = lines(tmp_path), kills + 1
    assert surface.main([str(tiny), *FLAGS, "--out", str(tmp_path), "--quiet"]) == 0
    assert (tmp_path / "surface.csv").read_bytes() == undisturbed
    assert lines(tmp_path) == 0


def test_a_line_cut_anywhere_is_dropped(tmp_path):
    journal = Journal(tmp_path, "surface", {"points": 3})
    for number in range(3):
        journal.add(f"key {number}", [number / 3, float("inf")])
    journal.close()
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    for cut in range(len(whole) + 1):
        path.write_bytes(whole[:cut])
        again = Journal(tmp_path, "surface", {"points": 3})
        assert len(again.found) == max(0, whole[:cut].count(b"\n") - 1)
        for key, finding in journal.found.items():
            if key not in again.found:
                again.add(key, finding)
        again.close()
        if len(again.found) > whole[:cut].count(b"\n") - 1:
            assert path.read_bytes() == whole


def test_what_is_known_is_not_computed_again(tmp_path):
    journal = Journal(tmp_path, "surface", {"points": 3})
    journal.add("a", {"loss": [[3, 0.1, float("inf")], [3, 1 / 3, float("nan")]]})
    again = Journal(tmp_path, "surface", {"points": 3})
    assert repr(again.found) == repr(journal.found)
    again.remove()
    assert not list(tmp_path.iterdir())


def test_other_settings_are_refused_and_named(tiny, tmp_path, monkeypatch, capsys):
    with monkeypatch.context() as patch:
        patch.setattr(Journal, "remove", lambda self: None)
        surface.main([str(tiny), *SMALL, "--out", str(tmp_path), "--quiet"])
    kept = lines(tmp_path)
    capsys.readouterr()
    assert surface.main([str(tiny), *SMALL, "--out", str(tmp_path), "--points", "7", "--seed", "3", "--quiet"]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "points 3 there and 7 now" in error
    assert "seed 0 there and 3 now" in error
    assert "chunk" not in error
    assert lines(tmp_path) == kept


def test_another_checkpoint_at_the_same_place_is_refused(tiny, tmp_path, capsys):
    path = tmp_path / "surface.journal.0"
    Journal(tmp_path, "surface", {"ckpt.pt": "aaaa"}).add("key", 1)
    with pytest.raises(ValueError, match=r"ckpt\.pt aaaa there and bbbb now"):
        Journal(tmp_path, "surface", {"ckpt.pt": "bbbb"})
    assert json.loads(path.read_text().splitlines()[1].partition(" ")[2]) == ["key", 1]


@pytest.mark.slow
def test_a_disk_that_fills_up_loses_nothing(tiny, undisturbed, tmp_path, capsys):
    """A limit on the size of files stands for the disk: the write fails in the middle of a line."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, hard))
    try:
        status = surface.main([str(tiny), *FLAGS, "--out", str(tmp_path), "--quiet"])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    error = capsys.readouterr().err
    assert status == 1
    assert error.count("\n") == 1
    assert "can't be written" in error
    assert "goes on from it" in error
    assert lines(tmp_path) > 3
    assert surface.main([str(tiny), *FLAGS, "--out", str(tmp_path), "--quiet"]) == 0
    assert (tmp_path / "surface.csv").read_bytes() == undisturbed


@pytest.mark.slow
def test_two_processes_write_the_table_of_one(tiny, undisturbed, tmp_path):
    torchrun = [
        sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--rdzv-backend", "c10d",
        "--rdzv-endpoint", "localhost:0", "-m", "analysis.surface",
    ]  # fmt: skip
    run = subprocess.run(
        [*torchrun, str(tiny), *FLAGS, "--out", str(tmp_path), "--quiet"],
        capture_output=True, text=True, check=False, env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert (tmp_path / "surface.csv").read_bytes() == undisturbed
    assert not lines(tmp_path)
    assert Path(tmp_path / "surface.json").exists()


FEW = [
    "--images",
    "100",
    "--draws",
    "1",
    "--points",
    "41",
    "--plane-draws",
    "0",
    "--chunk",
    "25",
    "--tolerance",
    "0.05",
]


@pytest.fixture(scope="module")
def few(tiny, tmp_path_factory):
    out = tmp_path_factory.mktemp("few")
    assert surface.main([str(tiny), *FEW, "--out", str(out), "--quiet"]) == 0
    table = pd.read_csv(out / "surface.csv")
    assert table["interpolated"].any()
    assert (table["interpolated"] == (table["images"] == 0)).all()
    assert list(pd.read_csv(out / "surface_errors.csv")["points"]) == [41, 41]
    return {name: (out / f"{name}.csv").read_bytes() for name in ("surface", "surface_errors", "shapes")}


@pytest.mark.slow(keep=1)
@pytest.mark.parametrize("kept", [0.2, 0.6, 0.95])
def test_with_a_tolerance_what_a_kill_left_is_taken_up_to_the_bit(kept, tiny, few, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(Journal, "remove", lambda self: None)
        assert surface.main([str(tiny), *FEW, "--out", str(tmp_path), "--quiet"]) == 0
    for table in tmp_path.glob("*.csv"):
        table.unlink()
    (path,) = tmp_path.glob("surface.journal.*")
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole))])
    assert surface.main([str(tiny), *FEW, "--out", str(tmp_path), "--quiet"]) == 0
    assert {name: (tmp_path / f"{name}.csv").read_bytes() for name in few} == few


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--seconds", "5"], "--seconds goes with --tolerance"),
        (["--seconds", "-1", "--tolerance", "0.1"], "--seconds must be positive, got -1.0"),
        (["--seconds", "nan", "--tolerance", "0.1"], "--seconds must be positive, got nan"),
    ],
)
def test_time_that_can_t_be_given_is_one_line(flags, says, tiny, tmp_path, capsys):
    assert surface.main([str(tiny), *flags, "--out", str(tmp_path / "out"), "--quiet"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert says in line
    assert not list((tmp_path / "out").glob("*"))


def test_when_the_time_is_up_the_table_says_how_far_it_got(tiny, few, tmp_path):
    asked = ["--images", "100", "--draws", "1", "--points", "41", "--plane-draws", "0", "--chunk", "25"]
    assert surface.main(
        [str(tiny), *asked, "--tolerance", "1e-4", "--seconds", "0.02", "--out", str(tmp_path), "--quiet"]
    ) == 0  # fmt: skip
    errors = pd.read_csv(tmp_path / "surface_errors.csv")
    assert not errors["converged"].any()
    assert (errors["evaluated"] < errors["points"]).all()
    assert (errors["error"] > errors["tolerance"] * errors["range"]).all()
