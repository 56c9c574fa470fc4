"""What went wrong when commands were fed odd things on purpose, each once."""

from pathlib import Path

import numpy as np
import pytest

from analysis import hessian, history, momentum, sharpness, timesteps
from analysis.subject import subjects
from models import data, train
from models.checkpoint import load, save
from tests.own_file import own_file

MINE = """
import sys
from pathlib import Path
import torch
from torch import nn
from torch.utils.data import TensorDataset
from analysis.subject import Subject


def Net():
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))


def data():
    part = TensorDataset(torch.randn(60, 4, generator=torch.Generator().manual_seed(1)), torch.arange(60) % 3)
    return part, part


class Scaled(nn.Module):
    def __init__(self, scale, frozen):
        super().__init__()
        torch.manual_seed(0)
        self.inner, self.scale = Net(), scale
        self.inner[0].requires_grad_(not frozen)

    def forward(self, x):
        return self.inner(x) * self.scale


def subjects(scale=1, frozen=False, method="a"):
    return Subject(Scaled(scale, frozen), train=data()[0], name="x", method=str(method))


def leaves():
    sys.exit(0)
"""


mine = own_file("odd_mine.py", MINE)


def test_what_a_function_was_given_tells_subjects_apart():
    words = ("", "?scale=3", "?frozen=True", "?method=b")
    found = [subjects(f"odd_mine.py:subjects{word}")[0].sha256 for word in words]
    assert len(set(found)) == len(words)
    assert subjects("odd_mine.py:subjects")[0].sha256 == found[0]


def test_code_that_ends_the_program_is_no_success(capsys):
    assert hessian.main(["odd_mine.py:leaves", "--quiet"]) == 1
    assert "in leaves: sys.exit(0)" in capsys.readouterr().err


def trained(*words):
    argv = ["--model", "odd_mine.py:Net", "--loss", "ce", "--epochs", "1", "--quiet", *words]
    return train.main(argv)


def test_every_analysis_takes_a_network_of_the_user_s_own_from_its_checkpoint():
    assert not trained("--data", "odd_mine.py:data", "--out", "run")
    for analysis in (sharpness, momentum, timesteps, history):
        assert analysis.main(["run/ckpt.pt", "--code", "odd_mine.py", "--quiet", "--out", "tables"]) == 0


def arrays(seed):
    x = np.random.default_rng(seed).normal(size=(30, 4)).astype(np.float32)
    np.savez("mine.npz", x=x, y=np.arange(30) % 3)


def test_a_run_doesn_t_go_on_with_arrays_that_changed(capsys):
    arrays(0)
    assert not trained("--data", "mine.npz", "--out", "run", "--epochs", "2")
    kept = load(Path("run/ckpt.pt"))
    kept.training["epochs_done"] = 1
    for column in kept.history.values():
        del column[1:]
    save(kept, Path("run/ckpt.pt"))
    arrays(1)
    assert trained("--data", "mine.npz", "--out", "run", "--epochs", "2") == 1
    assert "held before it changed" in capsys.readouterr().err


@pytest.mark.parametrize("spoilt", ["short", "checksum", "number"])
def test_a_damaged_file_of_arrays_is_one_line(tmp_path, spoilt):
    arrays(0)
    path = tmp_path / "mine.npz"
    content = bytearray(path.read_bytes())
    if spoilt == "number":
        np.savez(path, x=np.float32(1), y=np.int64(1))
    else:
        content[300] ^= 255
        path.write_bytes(content[:300] if spoilt == "short" else content)
    with pytest.raises(ValueError, match=r"mine\.npz can't be read as arrays"):
        data.load("mine.npz")


def test_a_device_is_no_file_of_arrays():
    with pytest.raises(FileNotFoundError, match="/dev/zero"):
        data.load("mine.npz", path="/dev/zero")
