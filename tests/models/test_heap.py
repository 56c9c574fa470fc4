"""Memory that is freed and taken again: in training it is the same memory, and nothing is mapped anew."""

import platform
import resource
import subprocess
import sys

import pytest

from analysis import command
from analysis.study.stages import begin_worker
from models import heap
from tables.result import Result

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is glibc's")

_TAKE_AND_FREE = """
import resource
import torch
from models import train
from models.train import command

def faults():
    torch.set_num_threads(1)
    for _ in range(2):
        torch.ones(10, 2**20)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(5):
        torch.ones(10, 2**20)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)

def several(count, rows):
    torch.set_num_threads(1)
    for _ in range(2):
        [torch.ones(rows, 2**20) for _ in range(count)]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(5):
        [torch.ones(rows, 2**20) for _ in range(count)]
    print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)

command.run = lambda _config: faults()
"""


def _faults(do: str) -> int:
    done = subprocess.run([sys.executable, "-c", _TAKE_AND_FREE + do], capture_output=True, text=True, check=True)
    return int(done.stdout.splitlines()[-1])


@pytest.mark.slow
def test_training_keeps_the_memory_that_it_frees():
    pages = 5 * 40 * 2**20 // resource.getpagesize()
    if _faults("faults()") < pages // 4:
        pytest.skip("memory comes in huge pages here: there is nothing to keep")
    # Something small may come to lie in the gap, and then one tensor moves, once.
    assert _faults("train.main(['--out', 'nothing-is-written'])") < pages // 2
    assert _faults("train.main(['--out', 'nothing-is-written', '--keep-spikes', 'bits'])") > pages // 2


def test_measuring_keeps_some_of_the_memory_that_it_frees_and_no_more():
    small, large = "several(10, 2)", "several(10, 10)"  # 80 MiB in pieces of 8, 400 MiB in pieces of 40
    pages = 5 * 80 * 2**20 // resource.getpagesize()
    if _faults(small) < pages // 4:
        pytest.skip("memory comes in huge pages here, or is kept: there is nothing to keep")
    kept = "from models import heap; heap.keep_some(); "
    assert _faults(kept + small) < pages // 8
    assert _faults(kept + large) > 4 * pages  # of 5 times as many


def test_commands_and_workers_that_measure_keep_some_of_it(monkeypatch):
    said = []
    monkeypatch.setattr(heap, "keep_some", lambda: said.append("kept"))
    command.show(lambda config: Result({}, {}), command.Config(quiet=True))
    begin_worker()
    assert said == ["kept"] * 2
