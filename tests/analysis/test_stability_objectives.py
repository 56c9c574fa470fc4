"""The objective of training along training, whatever it was: its value and its top eigenvalue written out."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.sparse.linalg import LinearOperator, eigsh
from torch.nn.functional import cross_entropy, one_hot

from analysis import stability
from analysis.subject import Subject
from models import train
from models.checkpoint import load
from models.training import recipe
from tests.own_file import own_file

SHARED = {"train_images": 40, "batch_size": 20, "timesteps": 2, "snapshots": 1, "quiet": True}
MINE = """
from torch import nn
from torch.utils.data import TensorDataset
import torch


def Net():
    return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3))


def data():
    part = TensorDataset(torch.randn(40, 4, generator=torch.Generator().manual_seed(1)), torch.arange(40) % 3)
    return part, part


def squared(output, target):
    return (output - torch.eye(3).to(output)[target]).square().mean(1)
"""


mine = own_file("stable_mine.py", MINE)


def trt(network, output, labels):
    share, decay, delta, whole = 0.05, 1e-5, 0.25, 0.0
    for time, step in enumerate(output):
        square = (step - one_hot(labels, 10)).square().mean()
        whole = whole + (1 - share) * cross_entropy(step, labels) + share * square
        for name, weight in network.named_parameters():
            if "bias" not in name:
                large = 1 + (math.exp(delta * time) - 1) * (weight.abs() + 1e-5)
                whole = whole + decay * (weight**2 / large).sum()
    return whole / len(output)


def tmc(_network, output, labels):
    whole = 0.0
    for images in (slice(0, 20), slice(20, 40)):
        for time in range(len(output)):
            past = output[:time, images].detach().sum(0)
            share = ((past + output[time, images]) / (time + 1)).softmax(1)
            right = share[range(20), labels[images]].mean()
            ratio = (right / (1 - right)) ** ((len(output) - time) / len(output))
            whole = whole + cross_entropy(output[time, images], labels[images]) + ratio
    return whole / len(output) / 2


def lts(_network, output, labels):
    return cross_entropy(output[-1], labels)


def squared(_network, output, labels):
    return (output - one_hot(labels, 3)).square().mean()


def ce(network, output, labels):
    return cross_entropy(output, labels, label_smoothing=0.1) + 0.005 * sum(
        (weight**2).sum() for weight in network.parameters()
    )


def written_out(path, objective):
    """The objective's value at the checkpoint, and its Hessian's top eigenvalue by ARPACK."""
    checkpoint = load(path)
    network = checkpoint.network(["stable_mine.py"]).double()
    images, labels = next(checkpoint.load_data(code=["stable_mine.py"]).train.batches(40))
    weights = list(network.parameters())
    loss = objective(network, network(images.double()), labels)
    slopes = torch.autograd.grad(loss, weights, create_graph=True, allow_unused=True)
    flat = torch.cat([slope.flatten() for slope in slopes])

    def product(vector):
        found = torch.autograd.grad(flat @ torch.tensor(vector).flatten(), weights, retain_graph=True)
        return torch.cat([part.flatten() for part in found]).numpy()

    matrix = LinearOperator((len(flat), len(flat)), product, dtype=np.float64)
    return float(loss.detach()), float(eigsh(matrix, 1, which="LA", tol=1e-6)[0][0])


OWN = {"model": "stable_mine.py:Net", "data": "stable_mine.py:data", "timesteps": 4, "train_images": None}
CASES = {
    "lts": ({}, lts),
    "tmc": ({}, tmc),
    "trt": ({}, trt),
    "ce": (OWN | {"label_smoothing": 0.1, "weight_decay": 0.01}, ce),
    "stable_mine.py:squared": (OWN, squared),
}


@pytest.mark.slow(keep=1)
@pytest.mark.parametrize("loss", CASES)
def test_the_objective_of_training_is_what_its_formula_gives(loss):
    settings, objective = CASES[loss]
    train.run(recipe.Config(Path("run"), loss=loss, epochs=1, **(SHARED | settings)))
    flags = {"chunk": 20, "dtype": "float64", "trained_only": True, "quiet": True, "code": ("stable_mine.py",)}
    table = stability.run(stability.Config((Path("run/snapshots/epoch-0001.pt"),), **flags)).to_frame()
    value, eigenvalue = written_out(Path("run/ckpt.pt"), objective)
    row = table[table["matrix"] == "hessian"].iloc[0]
    assert row["loss"] == "trained"
    assert row["training_loss"] == pytest.approx(value, rel=1e-9)
    assert row["top_eigenvalue"] == pytest.approx(eigenvalue, rel=1e-3)


def test_a_loss_of_the_user_s_own_is_asked_for_by_name_and_is_the_landscape_s_too(capsys):
    train.run(recipe.Config(Path("run"), loss="stable_mine.py:squared", epochs=1, **(SHARED | OWN)))
    assert stability.main(["run", "--quiet"]) == 1
    assert "add --code stable_mine.py" in capsys.readouterr().err
    loaded = Subject.load(Path("run/ckpt.pt"), code=("stable_mine.py",))
    config = stability.Config(code=("stable_mine.py",), quiet=True)
    table = stability.run(config, [loaded]).to_frame()
    assert {"ce", "squared", "trained"} <= set(table["loss"])
    mine, trained = (
        table[table["loss"] == name]["top_eigenvalue"].reset_index(drop=True) for name in ("squared", "trained")
    )
    assert mine.equals(trained)


def test_of_phases_it_is_the_phase_s_loss_and_of_tmc_the_batch_is_the_chunk(capsys):
    train.run(recipe.Config(Path("run"), loss="tmc", phases="1 loss=lts; 1", epochs=2, **SHARED))
    first, second = (Path(f"run/snapshots/epoch-000{number}.pt") for number in (1, 2))
    table = stability.run(stability.Config((first,), trained_only=True, dtype="float64", quiet=True)).to_frame()
    assert table["training_loss"].iloc[0] == pytest.approx(written_out(first, lts)[0], rel=1e-9)
    assert stability.main([str(second), "--quiet"]) == 1
    assert "with 20 images at a time: --chunk 20" in capsys.readouterr().err
