"""Data in batches of a user's own size, and networks whose output is picked or has its batch first, measure alike."""

import pandas as pd
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from analysis import hessian, rise, robustness, sharpness, timesteps
from analysis.subject import Subject

snntorch = pytest.importorskip("snntorch")
X = torch.randn(70, 6, generator=torch.Generator().manual_seed(0))
DATA = TensorDataset(X, X[:, :3].argmax(1))


class Net(nn.Module):
    def __init__(self, picked: bool):
        super().__init__()
        torch.manual_seed(0)
        self.picked, self.first, self.last = picked, nn.Linear(6, 12), nn.Linear(12, 3)
        self.hidden, self.neuron = snntorch.Leaky(beta=0.8), snntorch.Leaky(beta=0.6, reset_mechanism="zero")

    def forward(self, x):
        hidden, neuron, spikes, membranes = self.hidden.init_leaky(), self.neuron.init_leaky(), [], []
        for _ in range(4):
            spike, hidden = self.hidden(3 * self.first(x), hidden)
            spike, neuron = self.neuron(self.last(spike), neuron)
            spikes.append(spike)
            membranes.append(neuron)
        return (torch.stack(spikes, 1), torch.stack(membranes, 1)) if self.picked else torch.stack(membranes)


def subject(picked: bool = False, train=DATA) -> Subject:
    output = (lambda returned: returned[1]) if picked else None
    return Subject(Net(picked), train=train, test=train, output=output, name="net", method="mine", seed=0)


def test_curvature_is_of_all_examples_whatever_batches_they_come_in():
    config = hessian.Config(top=1, trace=False, density=False, radius=False, chunk=50, quiet=True)
    whole = hessian.run(config, [subject()]).tables["hessian"]
    batches = hessian.run(config, [subject(train=DataLoader(DATA, batch_size=32))]).tables["hessian"]
    assert batches["images"].eq(70).all()
    assert batches["eigenvalue"].to_numpy() == pytest.approx(whole["eigenvalue"].to_numpy(), rel=1e-3)


def test_groups_of_images_go_across_batches():
    config = sharpness.Config(measures=("m",), steps=2, quiet=True)
    whole, batches = (
        sharpness.run(config, [subject(train=data)]).tables["sharpness"]
        for data in (DATA, DataLoader(DATA, batch_size=32))
    )
    pd.testing.assert_frame_equal(whole, batches)


def test_an_output_that_is_picked_and_has_its_batch_first_rises_as_one_with_time_first():
    config = rise.Config(draws=1, radii=(0.5,), quiet=True)
    first, picked = (rise.run(config, [subject(picked)]).tables["rise"] for picked in (False, True))
    pd.testing.assert_frame_equal(first, picked)


def test_each_timestep_has_a_curvature_where_the_output_is_picked():
    config = hessian.Config(top=1, density=False, radius=False, per_timestep=True, operator="gauss_newton", quiet=True)
    first, picked = (hessian.run(config, [subject(picked)]).tables["steps"] for picked in (False, True))
    assert picked["trace"].to_numpy() == pytest.approx(first["trace"].to_numpy(), rel=1e-5)


@pytest.mark.parametrize("picked", [False, True])
def test_few_neurons_have_decays_of_their_own(picked):
    table = robustness.run(robustness.Config(draws=2, quiet=True), [subject(picked)]).tables["robustness"]
    assert "decay_spread" in set(table["perturbation"])


def test_weights_of_another_librarys_neurons_are_measured_by_command_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(
        "import tests.analysis.test_given_batches as given\n"
        "def net():\n    return given.Net(False)\ndef data():\n    return given.DATA, given.DATA\n"
    )
    torch.save(Net(False).state_dict(), "weights.pth")
    asked = ["weights.pth", "--network", "mine.py:net", "--data", "mine.py:data", "--out", "tables", "--quiet"]
    assert timesteps.main(asked) == 0
    found = pd.read_csv("tables/timesteps.csv")
    expected = timesteps.run(timesteps.Config(quiet=True), [subject()]).tables["timesteps"]
    assert found["loss_tet"].to_numpy() == pytest.approx(expected["loss_tet"].to_numpy(), rel=1e-6)
