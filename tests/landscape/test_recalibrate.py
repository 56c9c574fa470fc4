"""BatchNorm's statistics taken anew: against torch's own update, moments of the whole set, and dropped promises."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from landscape.evaluation import preserved, recalibrate
from models.networks import build


def pairs(x: Tensor, sizes: list[int]) -> list[tuple[Tensor, Tensor]]:
    return [(part, torch.zeros(len(part))) for part in x.split(sizes)]


def convolutional() -> Any:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Conv2d(3, 4, 2), nn.BatchNorm2d(4), nn.Flatten(),
        nn.Linear(16, 2),
    ).double()  # fmt: skip


def images(count: int = 30) -> Tensor:
    return torch.randn(count, 2, 5, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) + 3


def test_one_batch_gives_torch_s_own_cumulative_update():
    ours, theirs = convolutional(), convolutional()
    assert recalibrate(ours, pairs(images(), [30])) == 2
    for layer in (theirs[1], theirs[4]):
        layer.momentum = None
    theirs.train()(images())
    for name, buffer in theirs.named_buffers():
        if "running" in name:
            torch.testing.assert_close(ours.get_buffer(name), buffer, rtol=1e-12, atol=1e-12)


def test_ragged_batches_give_the_moments_of_everything_that_a_layer_saw():
    model, sizes = convolutional(), [13, 13, 4]
    recalibrate(model, pairs(images(), sizes))
    twin, seen = convolutional().train(), []
    for batch in images().split(sizes):
        first = twin[0](batch)
        seen.append((first, twin[3](torch.relu(twin[1](first)))))
    for layer, inputs in zip((model[1], model[4]), zip(*seen, strict=True), strict=True):
        values = torch.cat(inputs).transpose(0, 1).flatten(1)
        torch.testing.assert_close(layer.running_mean, values.mean(1), rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(layer.running_var, values.var(1), rtol=1e-12, atol=1e-12)


def test_the_variance_between_batches_counts():
    model: Any = nn.Sequential(nn.BatchNorm1d(1)).double()
    x = torch.tensor([[0.0], [2.0], [10.0], [12.0], [5.0], [7.0]], dtype=torch.float64)
    recalibrate(model, pairs(x, [2, 2, 2]))
    assert model[0].running_mean.item() == pytest.approx(x.mean().item())
    assert model[0].running_var.item() == pytest.approx(x.var().item())  # momentum=None would say 2


def test_a_spiking_network_s_statistics_are_over_time_and_batch():
    network = build("digits-cnn", seed=0, timesteps=3).double()
    x = torch.rand(6, 1, 8, 8, dtype=torch.float64)
    twin = copy.deepcopy(network)
    assert recalibrate(network, pairs(x, [6])) == 3
    norms = [module for module in twin.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
    twin.train()(x)
    ours = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    for one, other in zip(ours, norms, strict=True):
        torch.testing.assert_close(one.running_mean, other.running_mean)
        torch.testing.assert_close(one.running_var, other.running_var)


def test_only_the_statistics_change():
    model = convolutional().train()
    model[4].eval()
    model[1].momentum = None
    model[1].num_batches_tracked += 7
    model.append(nn.Dropout(0.5))
    before = copy.deepcopy(model.state_dict())
    recalibrate(model, pairs(images(), [20, 10]))
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {"1.running_mean", "1.running_var", "4.running_mean", "4.running_var"}
    assert (model[1].momentum, model[4].momentum) == (None, 0.1)
    assert (model.training, model[1].training, model[4].training) == (True, True, False)
    assert not model[1]._forward_hooks


def test_dropout_has_no_part_in_it():
    model: Any = nn.Sequential(nn.Dropout(0.5), nn.BatchNorm1d(3)).train()
    x = torch.randn(10, 3)
    recalibrate(model, pairs(x, [10]))
    torch.testing.assert_close(model[1].running_mean, x.mean(0))


def test_statistics_that_are_not_finite_leave_no_trace():
    model = convolutional()
    model[1].running_var.fill_(float("inf"))
    model[1].running_mean.fill_(float("nan"))
    recalibrate(model, pairs(images(), [30]))
    assert model[1].running_var.isfinite().all()
    assert model[1].running_mean.isfinite().all()


def test_inside_preserved_the_change_is_undone():
    model = convolutional()
    before = model[1].running_mean.clone()
    with preserved(model):
        recalibrate(model, pairs(images(), [30]))
        assert not torch.equal(model[1].running_mean, before)
    assert torch.equal(model[1].running_mean, before)


def test_a_model_without_running_statistics_is_left_alone():
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2, track_running_stats=False))
    assert recalibrate(model, []) == 0


def test_what_the_pass_does_not_reach_stays():
    class Half(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.idle = nn.BatchNorm1d(2), nn.BatchNorm1d(2)
            self.idle.get_buffer("running_mean").fill_(5.0)

        def forward(self, x: Tensor) -> Tensor:
            return self.used(x)

    model = Half()
    assert recalibrate(model, pairs(torch.randn(4, 2), [4])) == 1
    assert model.idle.get_buffer("running_mean").tolist() == [5.0, 5.0]


def test_batches_without_an_example_are_refused_and_the_model_given_back():
    model = convolutional()
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(ValueError, match="no example"):
        recalibrate(model, [(images(0), torch.zeros(0))])
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert model[1].momentum == 0.1
