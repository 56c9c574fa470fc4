"""Checkpoints of networks of the user's own: every analysis measures them, with their code, as it does our own."""

import copy
import importlib
from pathlib import Path

import pytest
import torch

from analysis import path, study, timesteps
from analysis.study import own
from analysis.subject import Subject
from models.code import CodeError
from models.train import main

MINE = """
import torch
from torch import nn
from torch.utils.data import TensorDataset

def net(width=6):
    return nn.Sequential(nn.Linear(5, width), nn.ReLU(), nn.Linear(width, 3))

def data():
    x = torch.randn(90, 5, generator=torch.Generator().manual_seed(0))
    y = x[:, :3].argmax(1)
    return TensorDataset(x[:60], y[:60]), TensorDataset(x[60:], y[60:])
"""
EVERY = ("hessian", "surface", "sharpness", "rise", "robustness", "timesteps", "momentum", "energy", "history", "path")
CODE = {"code": ("mine.py",), "quiet": True, "images": 40}


@pytest.fixture(scope="module", autouse=True)
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("own")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        Path("mine.py").write_text(MINE)
        for seed in ("0", "1"):
            own = ("--model", "mine.py:net", "--data", "mine.py:data", "--loss", "ce", "--epochs", "2")
            assert main([*own, "--seed", seed, "--quiet", "--out", f"run-{seed}"]) == 0
        yield


@pytest.mark.slow(keep=1)
@pytest.mark.parametrize("name", EVERY)
def test_every_analysis_measures_a_checkpoint_with_the_user_s_code(name):
    analysis = importlib.import_module(f"analysis.{name}")
    more = {"kind": "line"} if name == "path" else {}
    found = analysis.run(analysis.Config((Path("run-0/ckpt.pt"), Path("run-1/ckpt.pt")), **CODE, **more))
    assert len(next(iter(found.tables.values())))


def test_a_path_leads_from_subject_to_subject_in_python():
    x, network = torch.randn(40, 5), torch.nn.Linear(5, 3)
    other = copy.deepcopy(network)
    other.weight.data += 0.1
    ends = [Subject(one, train=[(x, torch.arange(40) % 3)], name=name) for one, name in ((network, "a"), (other, "b"))]
    found = path.run(path.Config(kind="line", quiet=True), ends).tables["barrier"]
    assert (found["checkpoint"][0], found["other"][0]) == ("a", "b")


@pytest.mark.slow
def test_the_study_takes_checkpoints_with_their_code():
    found = own.measure(study.Config(Path("study"), subjects=("run-0/ckpt.pt",), code=("mine.py",), images=40, jobs=1))
    assert not found.failed
    assert not any(found.stale.values())
    assert Path("study/run-0/tables/sharpness.csv").is_file()


LOSS = """
import torch.nn.functional as F

def doubled(output, target):
    return 2 * F.cross_entropy(output, target, reduction="none")
"""


def test_the_loss_trained_with_stands_beside_the_usual_one_where_its_file_is_named_and_is_as_it_was():
    Path("losses.py").write_text(LOSS)
    words = ["--model", "mine.py:net", "--data", "mine.py:data", "--loss", "losses.py:doubled", "--epochs", "1"]
    assert main([*words, "--quiet", "--out", "doubled-0"]) == 0
    checkpoint = Path("doubled-0/ckpt.pt")

    def measured(*code):
        return timesteps.run(timesteps.Config((checkpoint,), code=code, quiet=True)).tables["timesteps"]

    assert "loss_doubled" not in measured("mine.py")
    table = measured("mine.py", "losses.py")
    assert table["loss_doubled"].to_numpy() == pytest.approx(2 * table["loss_ce"].to_numpy(), rel=1e-6)
    Path("losses.py").write_text(LOSS.replace("2 *", "3 *"))
    with pytest.raises(CodeError, match=r"losses\.py is not the file that the checkpoint was made with"):
        measured("mine.py", "losses.py")
    changed = measured("mine.py", "losses.py@any")
    assert changed["loss_doubled"].to_numpy() == pytest.approx(3 * table["loss_ce"].to_numpy(), rel=1e-6)
