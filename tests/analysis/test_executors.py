"""Studies and sweeps by executors of the user's: the same tables, also after a worker was killed; else one line."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from analysis import study, sweep
from analysis.study import measuring

PLAN = """
data = "digits"
method = "sdt"
epochs = 3
train_images = 40
batch_size = 20
timesteps = 2
seeds = 1
images = 20
measures = ["timesteps"]

[factors]
learning_rate = [0.002, 0.004]
"""

MINE = """
import json, os, signal, threading, time
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path


def threads():
    return ThreadPoolExecutor(1)


def cluster():
    from dask.distributed import Client, LocalCluster

    workers = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, host="127.0.0.1")
    client = Client(workers)
    threading.Thread(target=kill_one_at_work, args=(client,), daemon=True).start()
    return client.get_executor(pure=False)


def kill_one_at_work(client):
    pids = client.run(os.getpid)
    while True:
        busy = [worker for worker, tasks in client.processing().items() if tasks]
        if busy:
            time.sleep(1)  # into the task
            os.kill(pids[busy[0]], signal.SIGKILL)
            Path("killed").write_text(str(pids[busy[0]]))
            return
        time.sleep(0.01)


def none():
    return 3


class SchedulerGone(Exception):
    pass


class Gone(Executor):
    def submit(self, *arguments, **named):
        future = Future()
        future.set_exception(SchedulerGone("no scheduler at tcp://10.0.0.1:8786"))
        return future


SchedulerGone.__module__ = "distributed.comm"


def gone():
    return Gone()
"""


@pytest.fixture
def mine(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(MINE)
    (tmp_path / "plan.toml").write_text(PLAN)
    return tmp_path / "plan.toml"


def tables(folder: Path) -> dict[str, pd.DataFrame]:
    """All tables that a sweep leaves, without seconds and the folders' names."""
    found = {path.stem: pd.read_csv(path, dtype=str) for path in (folder / "tables").glob("*.csv")}
    return {
        name: table.drop(columns="seconds", errors="ignore").replace(folder.as_posix(), "OUT", regex=True)
        for name, table in found.items()
    }


@pytest.mark.slow(keep=1)
@pytest.mark.parametrize("name", ["threads", "cluster"])
def test_another_executor_leaves_the_same_tables_also_where_a_worker_was_killed(name, mine):
    if name == "cluster":
        pytest.importorskip("dask.distributed")
    sweep.run(sweep.Config(mine, mine.parent / "here", jobs=1))
    asked = [str(mine), "--out", str(mine.parent / "there"), "--executor", f"mine.py:{name}"]
    made = subprocess.run(
        [sys.executable, "-m", "analysis.sweep", *asked], capture_output=True, text=True, check=False,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    assert "2 networks: 2 measured" in made.stdout
    assert Path("killed").exists() == (name == "cluster")
    here, there = tables(mine.parent / "here"), tables(mine.parent / "there")
    assert here.keys() == there.keys()
    for table in here:
        pd.testing.assert_frame_equal(here[table], there[table])


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ("mine.py:nothing", "there is no nothing in mine.py"),
        ("mine.py:none", "mine.py:none returns a int, expected a concurrent.futures.Executor: write return Process"),
        ("mine.py:gone", "workers were lost (SchedulerGone: no scheduler at tcp://10.0.0.1:8786); what is finished is"),
        ("other.py:executor", "other.py"),
        ("executor", "expected FILE.py:NAME or package.module:NAME"),
    ],
)
def test_no_executor_and_one_whose_scheduler_is_gone_are_one_line(asked, says, mine, capsys):
    assert sweep.main([str(mine), "--out", "out", "--executor", asked]) == 1
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("python -m analysis.sweep: error: ")
    assert says in line
    assert study.main(["--out", "study", "--executor", asked, "--seeds", "1", "--epochs", "1"]) == 1
    assert says in capsys.readouterr().err.splitlines()[-1]


def test_what_a_task_raises_is_told_as_it_is(mine):
    plan = PLAN.replace("train_images = 40", "train_images = 40\nimage_size = 9")
    mine.write_text(plan)
    with pytest.raises(ValueError, match="no network could be measured: failed: "):
        sweep.run(sweep.Config(mine, Path("out"), executor="mine.py:threads"))


SUBJECTS = """
import torch
from torch import nn

from analysis.subject import Subject

Y = torch.arange(24) % 3
X = torch.randn(24, 4, generator=torch.Generator().manual_seed(0)) + Y[:, None]


def subjects(seeded=True):
    for method in "ab":
        for seed in range(2):
            if seeded:
                torch.manual_seed(seed + 10 * (method == "b"))
            yield Subject(nn.Linear(4, 3), train=(X, Y), test=(X, Y), method=method, seed=seed)


def processes():
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    return ProcessPoolExecutor(2, get_context("spawn"))
"""


@pytest.fixture
def own(mine, monkeypatch) -> Callable[..., study.Config]:
    """Settings of a study of two analyses."""
    (mine.parent / "own.py").write_text(SUBJECTS)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    whole = measuring.analyses

    def few(*given):
        return {name: one for name, one in whole(*given).items() if name in ("timesteps", "rise")}

    monkeypatch.setattr("analysis.study.own.analyses", few)
    return lambda out, words="own.py:subjects", **more: study.Config(Path(out), subjects=(words,), images=20, **more)


@pytest.mark.slow(keep=1)
@pytest.mark.parametrize("executor", ["own.py:processes", "mine.py:threads"])
def test_workers_make_the_subjects_themselves_and_leave_the_same_tables(executor, own):
    study.run(own("here"))
    study.run(own("there", executor=executor))
    for name in ("a-0", "b-1"):
        for table in ("timesteps", "rise"):
            one, other = (Path(out, name, "tables", f"{table}.csv").read_bytes() for out in ("here", "there"))
            assert one == other
    assert Path("there", "report.html").exists()


@pytest.mark.slow
def test_a_subject_that_a_worker_makes_otherwise_is_refused(own):
    with pytest.raises(ValueError, match="a worker made another network of the same words: seed what it draws"):
        study.run(own("there", "own.py:subjects?seeded=False", executor="own.py:processes"))
