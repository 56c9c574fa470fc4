"""Stages of a study: no worker waits where nothing has to be waited for, and the first failure ends all of them."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from analysis.study import Config, command
from analysis.study.stages import stage, stages

PATIENCE = 60


def test_no_worker_waits_for_the_end_of_a_stage():
    begun = threading.Event()
    kept: list[object] = []
    with ThreadPoolExecutor(2) as pool:
        tasks = {"one": [(begun.wait, (PATIENCE,))], "none": [], "two": [(begun.set, ())]}
        seconds = stages(pool, tasks, kept.append)
    assert kept == [True, None]  # of the first, which a task of the last one let go
    assert list(seconds) == ["one", "none", "two"]


def test_stages_seconds_add_up_to_the_whole():
    begun = time.perf_counter()
    with ThreadPoolExecutor(1) as pool:
        seconds = stages(pool, {"one": [(time.sleep, (0.2,))], "two": [(time.sleep, (0.1,))]})
        whole = time.perf_counter() - begun
    assert seconds["one"] >= 0.19
    assert seconds["two"] >= 0.05
    assert whole - 0.1 < sum(seconds.values()) <= whole


def test_the_first_failure_leaves_out_what_no_worker_has_begun():
    ran = []

    def late() -> None:
        time.sleep(0.05)
        ran.append(1)

    with ThreadPoolExecutor(1) as pool, pytest.raises(ZeroDivisionError):
        stages(pool, {"one": [(divmod, (1, 0))], "two": [(late, ())] * 40})
    assert len(ran) < 40


def test_a_stage_alone_is_one_of_one():
    kept: list[object] = []
    with ThreadPoolExecutor(1) as pool:
        assert stage(pool, "one", [(abs, (-3,))], kept.append) >= 0
    assert kept == [3]


@pytest.mark.parametrize("jobs", [1, 2])
def test_as_many_pages_are_drawn_at_a_time_as_there_are_jobs(monkeypatch, tmp_path, jobs):
    at_work, most, together = [], [], threading.Barrier(jobs)

    def run(argv, **_):
        at_work.append(argv)
        together.wait(PATIENCE)
        most.append(len(at_work))
        together.wait(PATIENCE)
        at_work.remove(argv)
        return SimpleNamespace(returncode=0)

    monkeypatch.setattr(command.subprocess, "run", run)
    command._draw(Config(out=tmp_path, jobs=jobs), ["figures.paper", "figures.report"])
    assert most == [jobs] * 2


def test_a_page_that_fails_is_told(monkeypatch, tmp_path):
    monkeypatch.setattr(command.subprocess, "run", lambda argv, **_: SimpleNamespace(returncode="report" in argv[2]))
    with pytest.raises(ValueError, match="could not be drawn"):
        command._draw(Config(out=tmp_path), ["figures.paper", "figures.report"])
