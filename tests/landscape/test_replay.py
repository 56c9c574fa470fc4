"""Losses as one layer's weights move: bit for bit those of the whole network, whatever the network is."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from landscape.objective import Closure, Objective, Parameters, Replay, replay
from models.losses import tet_loss
from models.networks import build


def by_example(output, target):
    return functional.cross_entropy(output, target, reduction="none")


def over_time(output, target):
    return tet_loss(output, target, reduction="none")


def numbers(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def spiking(mode):
    net = build("digits-cnn", seed=0, channels=4, timesteps=3)
    images, labels = numbers(11, 1, 8, 8), torch.arange(11) % 10
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # the moments of one batch, so that neurons fire in eval mode
    net.train()(images)
    return Objective(net, over_time, [(images[:7], labels[:7]), (images[7:], labels[7:])], mode=mode)


def flat(model):
    return Objective(model, by_example, [(numbers(6, 5), torch.arange(6) % 3), (numbers(4, 5), torch.arange(4) % 3)])


def layers(objective):
    found: dict[str, list[nn.Parameter]] = {}
    for name, weight in zip(objective.parameters.names, objective.parameters.tensors, strict=True):
        found.setdefault(name.rpartition(".")[0], []).append(weight)
    return found


def assert_replayed(objective, moving):
    """At places further and further from the weights."""
    with objective.parameters.restored(), torch.no_grad():
        kept = Replay(objective, moving)
        losses = []
        for place in range(5):
            for weight in moving:
                weight.add_(0.3 * numbers(*weight.shape, seed=place))
            expected = objective.examples()
            assert torch.equal(kept.examples(), expected)
            losses.append(expected)
    assert not torch.equal(losses[0], losses[-1])
    return kept


@pytest.mark.slow(keep=1)
@pytest.mark.parametrize("mode", ["train", "eval"])
def test_every_layer_of_a_spiking_network(mode):
    objective = spiking(mode)
    found = {name: assert_replayed(objective, moving) for name, moving in layers(objective).items()}
    used = [name for name, kept in found.items() if not kept._off]
    assert used == list(found)[1:]  # nothing comes before the first


def test_what_comes_before_is_computed_once(monkeypatch):
    objective = spiking("train")
    moving = layers(objective)["body.head"]
    kept, calls, original = Replay(objective, moving), [], functional.conv2d

    def conv2d(*given, **more):
        calls.append(len(given))
        return original(*given, **more)

    monkeypatch.setattr(functional, "conv2d", conv2d)
    counts = []
    for _ in range(4):
        calls.clear()
        kept.examples()
        counts.append(len(calls))
    assert counts == [6, 3, 0, 0]  # three convolutions, two batches; then one batch to compare


def test_without_room_all_is_computed(monkeypatch):
    monkeypatch.setattr(replay, "BUDGET", 0)
    objective = spiking("eval")
    assert assert_replayed(objective, layers(objective)["body.head"])._off


class Elsewhere(nn.Module):
    """Uses the last layer's weight before the layer runs."""

    def __init__(self):
        super().__init__()
        self.first, self.act, self.last = nn.Linear(5, 3), nn.Tanh(), nn.Linear(3, 3)

    def forward(self, x):
        return self.last(self.act(self.first(x) @ self.last.weight))


class Uncalled(Elsewhere):
    """Never calls the layer whose weight it uses."""

    def forward(self, x):
        return self.act(self.first(x) @ self.last.weight) + self.last.bias


class Tied(Elsewhere):
    def __init__(self):
        super().__init__()
        self.early = nn.Linear(3, 3, bias=False)
        self.early.weight = self.last.weight

    def forward(self, x):
        return self.last(self.early(self.first(x)))


class Writing(Elsewhere):
    def forward(self, x):
        return self.last(self.act(self.first(x)).mul_(2).add_(x[:, :3]))


class Remembering(nn.Linear):
    """Torch's layer but for what it leaves behind."""

    def forward(self, x):
        self.seen = x.mean()
        return super().forward(x)


class Reading(Elsewhere):
    def __init__(self):
        super().__init__()
        self.first = Remembering(5, 3)

    def forward(self, x):
        return self.last(self.act(self.first(x))) * (1 + vars(self.first)["seen"])


class Twice(Elsewhere):
    def forward(self, x):
        return self.last(self.act(self.last(self.act(self.first(x)))))


@pytest.mark.parametrize("kind", [Elsewhere, Uncalled, Tied, Writing, Reading, Twice])
def test_whatever_a_model_does_with_its_weights(kind):
    torch.manual_seed(0)
    model = kind()
    objective = flat(model)
    assert_replayed(objective, [model.last.weight])
    assert_replayed(objective, [model.last.weight, model.last.bias])


def test_a_loss_that_needs_gradients_and_one_that_is_a_mean():
    torch.manual_seed(0)
    last = nn.Linear(4, 1)
    model = nn.Sequential(nn.Linear(5, 4), nn.Tanh(), last)

    def slope(model, x):
        x = x.clone().requires_grad_()
        return torch.autograd.grad(model(x).sum(), x, create_graph=True)[0].square().sum(1)

    assert_replayed(Closure(model, slope, [numbers(6, 5), numbers(4, 5)]), [last.weight])
    mean = Objective(model, lambda output, target: output.mean(), [(numbers(6, 5), torch.zeros(6))])
    with pytest.raises(ValueError, match="reduction='none'"):
        Replay(mean, list(last.parameters())).examples()


def test_the_model_is_given_back():
    objective = spiking("train")
    before = {name: dict(vars(module)) for name, module in objective.model.named_modules()}
    assert_replayed(objective, layers(objective)["body.conv3"])
    assert all("forward" not in vars(module) for module in objective.model.modules())
    assert {name: set(vars(module)) for name, module in objective.model.named_modules()} == {
        name: set(found) for name, found in before.items()
    }
    assert Parameters(objective.model).names == objective.parameters.names
