"""Two processes give the answer of one, and end as one."""

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch

from analysis import hessian, timesteps
from analysis.subject import Subject
from models import processes
from tests import in_turns, together


@pytest.fixture(scope="module")
def path(digits_checkpoint) -> Path:
    return digits_checkpoint("tet", timesteps=2, train_images=40)


def launched(module: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """A module started by torchrun in two processes."""
    root = Path(__file__).parents[1]
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", module]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(root)}
    return subprocess.run(
        [*launch, *arguments], capture_output=True, text=True, timeout=300, check=False, env=environment, cwd=root
    )


@pytest.fixture(scope="module")
def job(path, tmp_path_factory) -> tuple[subprocess.CompletedProcess[str], Path]:
    out = tmp_path_factory.mktemp("two")
    done = launched("tests.together", str(path), "--out", str(out))
    return done, out


@pytest.mark.slow
def test_a_failure_in_one_process_ends_the_job_with_one_line(job):
    done, _ = job
    assert done.returncode == 1
    said = [line for line in done.stderr.splitlines() if line.startswith("together")]
    assert said == ["together: error: the last process found something wrong"]
    assert done.stdout == ""


def test_sums_over_two_processes_are_those_of_one(job):
    found, order = torch.load(job[1] / "answers.pt")
    assert order == [(0, 0), (0, 1), (1, 2), (1, 3), (1, 4)]
    expected = list(together.answers())
    assert len(found) == len(expected) == 2 * 7
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-14)


@pytest.mark.slow
def test_two_processes_write_the_tables_of_one(job, path, tmp_path):
    alone = hessian.run(together.settings(path, tmp_path)).tables
    assert set(alone) == {"hessian", "trace", "density", "radius", "smoothed", "steps"}
    for name in alone:
        one, other = (pd.read_csv(folder / f"{name}.csv") for folder in (tmp_path, job[1]))
        pd.testing.assert_frame_equal(one, other, rtol=1e-9, atol=1e-11)
    assert len(list((job[1] / "vectors").iterdir())) == len(list((tmp_path / "vectors").iterdir())) == 2


@pytest.mark.parametrize(("count", "world"), [(7, 3), (2, 4), (6, 2), (5, 1)])
def test_shares_in_order_are_the_whole_and_differ_by_one(count, world, monkeypatch):
    monkeypatch.setattr(processes, "world", lambda: world)
    parts = []
    for rank in range(world):
        monkeypatch.setattr(processes, "rank", lambda rank=rank: rank)
        parts.append(list(processes.share(range(count))))
    assert [item for part in parts for item in part] == list(range(count))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@pytest.mark.parametrize(("images", "chunk", "world"), [(37, 10, 2), (3, 10, 4), (40, 7, 3), (40, 7, 1)])
def test_images_are_shared_without_loss_and_no_chunk_is_larger_than_asked(images, chunk, world, path, monkeypatch):
    subject = Subject.load(path)
    monkeypatch.setattr(processes, "world", lambda: world)
    labels, sizes = [], []
    for rank in range(world):
        monkeypatch.setattr(processes, "rank", lambda rank=rank: rank)
        batches = subject.share("train", images, chunk)
        assert all(len(y) <= chunk for _, y in batches)
        labels += [y for _, y in batches]
        sizes.append(sum(len(y) for _, y in batches))
    assert torch.equal(torch.cat(labels), subject.batch("train", images)[1])
    rounds = -(-images // (chunk * world))
    assert world == 1 or max(sizes) <= rounds * -(-images // (rounds * world))


def test_only_the_first_process_says_what_is_wrong_with_the_flags(monkeypatch, capsys):
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "1")
    assert hessian.main(["--seed", "mse"]) == 2
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("flags", [["--backend", "pyhessian"]])
def test_what_does_not_split_is_refused(flags, path, monkeypatch, capsys):
    monkeypatch.setattr(processes, "world", lambda: 2)
    assert hessian.main([str(path), *flags, "--quiet"]) == 1
    assert "without torchrun" in capsys.readouterr().err


def test_the_others_neither_print_nor_write(path, monkeypatch, capsys, tmp_path):
    argv = [str(path), "--images", "5", "--loss", "sdt", "--operator", "gauss_newton", "--no-trace", "--no-density"]
    argv += ["--no-radius", "--top", "1", "--bottom", "0", "--out", str(tmp_path / "out"), "--save-vectors"]
    monkeypatch.setattr(processes, "is_main", lambda: False)
    assert hessian.main(argv) == 0
    assert capsys.readouterr() == ("", "")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_of_whole_networks_each_process_takes_its_turn_and_the_tables_are_one_s(digits_checkpoint, path, tmp_path):
    others = [digits_checkpoint("sdt", timesteps=2, train_images=40, seed=seed) for seed in (0, 1)]
    several = (path, *others, path.parent / "again.pt")
    several[-1].write_bytes(path.read_bytes())
    done = launched("tests.in_turns", *map(str, several), "--out", str(tmp_path / "two"), "--quiet")
    assert done.returncode == 0, done.stderr
    for name, _ in in_turns.results(several, tmp_path / "one"):
        written = sorted((tmp_path / "one" / name).glob("*.csv"))
        assert written, name
        for file in written:
            assert file.read_bytes() == (tmp_path / "two" / name / file.name).read_bytes(), file.name
    left = pd.read_csv(tmp_path / "two" / "broken" / "timesteps.csv")["checkpoint"].unique()
    assert list(left) == [str(several[0]), str(several[-1])]


def test_fewer_networks_than_processes_are_refused_in_a_line(path, monkeypatch, capsys):
    monkeypatch.setattr(processes, "world", lambda: 2)
    assert timesteps.main([str(path), "--quiet"]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "2 processes have too few in 1: start it without torchrun, or name more" in said
