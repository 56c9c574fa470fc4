"""The documentation's journeys, run: networks, data and files of others, from a file of a few lines to tables."""

import argparse
import importlib
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from analysis import compare, study
from models import convert
from models import train as training
from models.elsewhere import load_into
from tests.commands import ANALYSES

JOURNEYS = Path(__file__).parents[1] / "docs" / "journeys"
CHEAP = {
    "hessian": ["--images", "12", "--top", "1", "--max-products", "8", "--no-density", "--no-radius"],
    "surface": ["--images", "12", "--points", "3", "--plane-points", "3", "--draws", "1"],
    "sharpness": ["--images", "12", "--measures", "average", "worst", "--draws", "2"],
    "rise": ["--images", "12"],
    "robustness": ["--images", "12", "--draws", "2", "--weight-noise", "0.1", "--lost-spikes", "0.1"],
    "momentum": ["--batches", "3", "--batch-size", "10"],
    "timesteps": ["--images", "12"],
    "energy": ["--images", "8"],
    "history": [],
}
NO_SEVERAL = {"path", "stability"}  # of pairs, and of a training run


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A user's working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    return tmp_path


def measured(target: str, out: Path, *names: str) -> None:
    for name in names:
        module = importlib.import_module(f"analysis.{name}")
        assert module.main([target, *CHEAP[name], "--out", str(out), "--quiet"]) == 0, name


def refused(capsys, target: str, name: str = "hessian", *flags: str) -> str:
    capsys.readouterr()
    assert importlib.import_module(f"analysis.{name}").main([target, *flags, "--quiet"]) == 1
    *each, line = capsys.readouterr().err.splitlines()
    assert all(one.startswith("failed: ") for one in each)  # of several subjects
    return "\n".join([*each, line])


def own_lines(name: str) -> int:
    """Lines of the user's code: neither blank, nor imports, nor the docstring."""
    text = (JOURNEYS / name).read_text().split('"""', 2)[2]
    return sum(1 for line in text.splitlines() if line.strip() and not line.startswith(("import ", "from ")))


@pytest.mark.parametrize("path", sorted(JOURNEYS.glob("*.py")), ids=lambda path: path.stem)
def test_a_journey_takes_a_user_few_lines(path):
    assert own_lines(path.name) <= 30


@pytest.mark.slow(keep=1)
@pytest.mark.parametrize("name", ["snntorch_digits", "spikformer_block"])
def test_spiking_networks_of_other_libraries_have_every_table(name, folder):
    target = f"{JOURNEYS / name}.py:subjects?seeds=1&epochs=2"
    measured(target, folder / "tables", *CHEAP)
    tables = {path.stem for path in (folder / "tables").glob("*.csv")}
    assert {"momentum_pairs", "descent", "anytime", "energy", "robustness", "surface", "outcomes"} <= tables
    robust = pd.read_csv(folder / "tables" / "robustness.csv")
    assert {"lost_spikes", "threshold_spread"} <= set(robust["perturbation"])
    curve = pd.read_csv(folder / "tables" / "timesteps.csv")
    assert set(curve["timesteps"]) == set(range(1, 9))  # twice the T trained with


@pytest.mark.slow
def test_a_transformer_on_token_ids_has_what_does_not_take_spikes(folder):
    target = f"{JOURNEYS / 'transformer_tokens.py'}:subjects?seeds=1&epochs=1"
    measured(target, folder / "tables", "hessian", "surface", "sharpness", "rise", "timesteps", "robustness", "energy")
    robust = pd.read_csv(folder / "tables" / "robustness.csv")
    assert set(robust["perturbation"]) == {"weight_noise", "rounding"}  # ids have no noise, and nothing spikes


@pytest.mark.slow
def test_a_regression_has_no_accuracy_and_is_compared_by_its_loss(folder, capsys):
    target = f"{JOURNEYS / 'lstm_regression.py'}:subjects?seeds=2&epochs=3"
    measured(target, folder / "tables", "hessian", "surface", "sharpness", "timesteps", "robustness")
    assert "logits" in refused(capsys, target, "rise")
    curve = pd.read_csv(folder / "tables" / "timesteps.csv")
    assert curve["accuracy_cumulative"].isna().all()
    assert curve["loss_mse"].notna().all()
    rows = compare.run(compare.Config((folder,), reference="plain")).tables["compare"]
    assert {"test_loss", "gap_in_loss"} <= set(rows["measure"])
    assert "test_accuracy" not in set(rows["measure"])


@pytest.mark.slow
def test_sam_and_sgd_are_compared_by_their_names(folder):
    target = f"{JOURNEYS / 'torchvision_sam.py'}:subjects?seeds=1&epochs=1&images=20"
    measured(target, folder / "tables", "hessian", "timesteps", "sharpness")
    result = compare.run(compare.Config((folder,), reference="sgd"))
    assert set(result.tables["compare"]["method"]) == {"sam"}


@pytest.mark.slow
def test_own_data_train_this_project_s_networks(folder):
    generator = np.random.default_rng(0)
    labels = np.arange(40) % 3
    images = generator.normal(size=(40, 1, 8, 8)).astype(np.float32) + labels[:, None, None, None]
    np.savez("mine.npz", x=images, y=labels)
    flags = ["--model", "resnet19", "--data", "mine.npz", "--loss", "tet", "--timesteps", "2", "--epochs", "1"]
    assert training.main([*flags, "--batch-size", "16", "--out", "runs/tet-0", "--quiet"]) == 0
    measured("runs/tet-0/ckpt.pt", folder / "tables", "timesteps")
    assert set(pd.read_csv(folder / "tables" / "timesteps.csv")["data"]) == {"mine.npz"}


NETWORK = """
import torch
from torch import nn
from torch.utils.data import TensorDataset

x, y = torch.randn(48, 5, generator=torch.Generator().manual_seed(0)), torch.arange(48) % 3
train, test = TensorDataset(x[:24], y[:24]), TensorDataset(x[24:], y[24:])


def data():
    return train, test


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden, self.head = nn.Linear(5, 8), nn.Linear(8, 3)

    def forward(self, x):
        return self.head(self.hidden(x).tanh())
"""


@pytest.fixture
def network(folder):
    """A user's own module, beside their files."""
    (folder / "my_network.py").write_text(NETWORK)
    monkeys = sys.modules.pop("my_network", None)
    sys.path.insert(0, str(folder))
    yield importlib.import_module("my_network")
    sys.modules.pop("my_network", None)
    if monkeys:
        sys.modules["my_network"] = monkeys


@pytest.mark.slow
def test_a_folder_of_eight_files_of_two_methods_is_one_study(network, folder, monkeypatch, capsys):
    (folder / "weights").mkdir()
    for method in ("adam", "sgd"):
        for seed in range(4):
            torch.manual_seed(seed + 10 * (method == "sgd"))
            torch.save({"state_dict": {f"module.{k}": v for k, v in network.Net().state_dict().items()}},
                       folder / "weights" / f"{method}-{seed}.pth")  # fmt: skip
    Path("mine.py").write_text((JOURNEYS / "folder_of_weights.py").read_text())
    drawn: list[str] = []

    def done(module: str) -> SimpleNamespace:
        drawn.append(module)
        return SimpleNamespace(returncode=0)

    monkeypatch.setattr(study.command.subprocess, "run", lambda words, **_: done(words[2]))
    (folder / "all" / "figures").mkdir(parents=True)
    assert study.main(["--subjects", "mine.py:subjects", "--out", "all", "--images", "12", "--jobs", "1"]) == 0
    assert drawn == ["figures.paper", "figures.interactive", "figures.report"]
    rows = pd.read_csv("all/tables/compare.csv")
    assert set(rows["n"]) == {4}
    assert set(rows["reference"] + rows["method"]) == {"adamsgd"}
    assert rows[["low", "high"]].notna().any(axis=None)
    assert "adam and sgd, 4 seeds each\nWhich is flatter?" in capsys.readouterr().out


def test_files_of_trainers_go_into_a_network_from_the_command_line(network, folder, capsys):
    state = network.Net().state_dict()
    torch.save({"state_dict": {f"model.{k}": v for k, v in state.items()}, "epoch": 3}, "lightning.ckpt")
    torch.save({"model": state, "args": argparse.Namespace(lr=0.1), "max_test_acc1": 0.5}, "spikformer.pth")
    files = ["lightning.ckpt", "spikformer.pth"]
    if (safetensors := pytest.importorskip("safetensors.torch")) is not None:
        safetensors.save_file(state, "theirs.safetensors")
        files.append("theirs.safetensors")
    module = importlib.import_module("analysis.timesteps")
    flags = ["--network", "my_network.py:Net", "--data", "my_network.py:data", "--out", "tables", "--quiet"]
    assert module.main([*files, *flags]) == 0
    table = pd.read_csv("tables/timesteps.csv")
    assert set(table["checkpoint"]) == set(files)
    for _, rows in table.groupby(["split", "timesteps"]):
        assert rows["loss_ce"].nunique() == 1  # the same weights, however they lay
    assert "--data" in refused(capsys, "lightning.ckpt", "timesteps", "--network", "my_network.py:Net")
    torch.save({"weights": {"other": torch.ones(3)}}, "other.pth")
    said = refused(capsys, "other.pth", "timesteps", "--network", "my_network.py:Net", "--data", "my_network.py:data")
    assert "other.pth" in said


def test_torchvision_s_weights_become_a_checkpoint(folder):
    torchvision = pytest.importorskip("torchvision")
    theirs = torchvision.models.resnet18(num_classes=10)
    theirs.conv1 = torch.nn.Conv2d(1, 64, 7, 2, 3, bias=False)
    torch.save({"state_dict": {f"module.{k}": v for k, v in theirs.state_dict().items()}}, "theirs.pth")
    assert (
        convert.main(["theirs.pth", "--as", "resnet18", "--data", "digits", "--loss", "sdt", "--out", "a/ckpt.pt"]) == 0
    )
    measured("a/ckpt.pt", folder / "tables", "timesteps")


WRONG = {
    "no test data": ("Subject(Net(), train=train)", "robustness", "has no test data"),
    "a neuron nobody knows": ("Subject(Spiky(), train=train)", "timesteps", "spiking=Spiking(neurons=("),
    "another shape with T": ("Subject(Odd(), train=train, spiking=Spiking(timesteps='steps'))", "timesteps", "steps"),
}
ODD = """
from analysis.subject import Spiking, Subject
from my_network import Net, train, test
import torch
from torch import nn


class Mine(nn.Module):
    def forward(self, x):
        if not hasattr(self, "mem") or self.mem.shape != x.shape:
            self.mem = torch.zeros_like(x)
        self.mem = 0.5 * self.mem.detach() + x
        return (self.mem > 0.3).to(x)


class Spiky(Net):
    def __init__(self):
        super().__init__()
        self.neuron = Mine()

    def forward(self, x):
        return torch.stack([self.head(self.neuron(self.hidden(x))) for _ in range(3)])


class Odd(Net):
    steps = 3

    def forward(self, x):
        return super().forward(x).unsqueeze(0).expand(self.steps, -1, -1)[..., : 4 - (self.steps > 3) * 2]


def subjects():
    return SUBJECT
"""


@pytest.mark.parametrize("case", ["a neuron nobody knows", "another shape with T"])
def test_what_is_wrong_on_purpose_is_one_line(case, network, folder, capsys):
    made, name, said = WRONG[case]
    (folder / "odd.py").write_text(ODD.replace("SUBJECT", made))
    assert said in refused(capsys, "odd.py:subjects", name)


def test_weights_that_do_not_fit_name_what_would(network, folder):
    torch.save({"state_dict": {f"inner.{k}": v for k, v in network.Net().state_dict().items()}}, "inner.pth")
    with pytest.raises(ValueError, match="inner"):
        load_into(network.Net(), "inner.pth")


def test_every_analysis_of_several_subjects_has_a_journey():
    assert {*CHEAP, *NO_SEVERAL} == set(ANALYSES)
