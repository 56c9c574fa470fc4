"""What a step lowers, by its names: TRT's term of the weights by a loop, phases, and every loss in a run."""

import math

import pytest
import torch

from models import processes
from models.losses import OBJECTIVES
from models.networks import build
from models.neurons.lif import LIF
from models.train import run
from models.training.checks import check
from models.training.objective import weight_term
from models.training.recipe import Config

SHORT = {"train_images": 60, "batch_size": 20, "timesteps": 3, "epochs": 2, "quiet": True}


def naive_term(network, timesteps, decay, delta):
    total = 0.0
    for t in range(timesteps):
        for name, weight in network.named_parameters():
            if "bias" in name:
                continue
            for value in weight.detach().flatten().tolist():
                total += value**2 * decay / (1 + (math.exp(delta * t) - 1) * (abs(value) + 1e-5))
    return total / timesteps


@pytest.mark.parametrize(("timesteps", "decay", "delta"), [(1, 1e-5, 0.25), (3, 0.1, 0.25), (4, 1.0, 2.0)])
def test_trt_s_term_of_the_weights_is_the_loop_s(timesteps, decay, delta):
    network = build("digits-cnn", seed=0, channels=2).double()
    found = weight_term(network, timesteps, decay=decay, delta=delta)
    assert found.item() == pytest.approx(naive_term(network, timesteps, decay, delta), rel=1e-12)


def test_without_delta_it_is_plain_decay_of_all_but_biases():
    network = build("digits-cnn", seed=0).double()
    term = weight_term(network, 4, decay=0.5, delta=0.0)
    weights = {name: weight for name, weight in network.named_parameters() if "bias" not in name}
    for weight, found in zip(weights.values(), torch.autograd.grad(term, list(weights.values())), strict=True):
        torch.testing.assert_close(found, weight.detach())


@pytest.mark.slow(keep=1)
@pytest.mark.parametrize("loss", ["lts", "tmc", "trt"])
@pytest.mark.parametrize("more", [{}, {"detach_state": True, "detach_reset": True, "label_smoothing": 0.1}])
def test_every_loss_trains_and_is_the_textbook_s_gradient(loss, more, tmp_path):
    found = run(Config(out=tmp_path, loss=loss, precision="float64", optimizer="sgd", momentum=0.0, **SHORT, **more))
    assert (found.training["loss"], found.training["method"], found.training["mse_weight"]) == (loss, loss, 0.0)
    assert found.history["train_loss_sdt"][-1] < found.history["train_loss_sdt"][0]
    for name, value in textbook(loss, **more).items():
        torch.testing.assert_close(found.state_dict[name], value, rtol=1e-9, atol=1e-12)


def textbook(loss, detach_state=False, detach_reset=False, label_smoothing=0.0):
    """Two epochs of plain gradient descent, by the reference neuron."""
    from models import data

    digits = data.load("digits", train_images=60)
    network = build("digits-cnn", seed=0, timesteps=3, detach_reset=detach_reset).double()
    for module in network.modules():
        if isinstance(module, LIF):
            module.detach_state, module.implementation = detach_state, "reference"
    images, labels = next(digits.train.batches(60, dtype=torch.float64))
    generator = torch.Generator().manual_seed(0)
    network.train()
    for rate in (2e-3, 1e-3):
        for chosen in torch.randperm(60, generator=generator).split(20):
            value = OBJECTIVES[loss](network(images[chosen]), labels[chosen], label_smoothing=label_smoothing)
            if loss == "trt":
                value = value + weight_term(network, 3, decay=1e-5, delta=0.25)
            weights = list(network.parameters())
            for weight, slope in zip(weights, torch.autograd.grad(value, weights), strict=True):
                weight.data -= rate * slope
    return network.state_dict()


def test_a_method_s_trained_state_changes_nothing_of_its_network(tmp_path):
    found = run(Config(out=tmp_path, loss="sdt", detach_state=True, **SHORT))
    assert found.training["detach_state"] is True
    assert "detach_state" not in found.model["arguments"]
    through = run(Config(out=tmp_path / "through", loss="sdt", **SHORT))
    assert any(not torch.equal(through.state_dict[name], value) for name, value in found.state_dict.items())


def test_phases_may_name_any_loss(tmp_path):
    found = run(Config(out=tmp_path, phases="1 loss=trt; 1 loss=tet; 1 loss=lts", **(SHORT | {"epochs": 3})))
    assert found.training["loss"] == "lts"
    assert found.training["until_loss_of"] is None
    reached = run(Config(out=tmp_path / "until", loss="lts", until_loss=100.0, **SHORT))
    assert reached.training["until_loss_of"] == "sdt"


def test_the_ratio_of_a_whole_batch_is_not_taken_by_several_processes(monkeypatch, tmp_path):
    monkeypatch.setattr(processes, "world", lambda: 2)
    settings = Config(out=tmp_path, loss="tmc", data="digits", epochs=1, batch_size=10, learning_rate=0.1)
    with pytest.raises(ValueError, match="train with one"):
        check(settings, {"tmc"}, drawn=False)
