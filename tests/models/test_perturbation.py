"""Disturbed neurons, spikes and images: against single neurons, binomial counts, dead layers, the network itself."""

from collections.abc import Callable
from contextlib import AbstractContextManager

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from models.networks import build
from models.neurons.lif import LIF
from models.perturbation import Site, mismatched, noisy, unreliable

Context = AbstractContextManager[None]
PERTURBATIONS: dict[str, Callable[[nn.Module], Context]] = {
    "threshold": lambda net: mismatched(net, threshold=0.3, seed=1),
    "decay": lambda net: mismatched(net, decay=0.5, seed=1),
    "lost": lambda net: unreliable(net, lost=0.2, seed=1),
    "spurious": lambda net: unreliable(net, spurious=0.1, seed=1),
    "pixels": lambda net: noisy(net, scale=torch.ones(1), seed=1),
}
IMAGES = torch.rand(7, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 3


@pytest.fixture
def network() -> nn.Module:
    return build("digits-cnn", seed=0, threshold=0.3).eval()


@torch.no_grad()
def outputs(network: nn.Module, images: Tensor = IMAGES) -> Tensor:
    return network(images)


def spikes_of(network: nn.Module, images: Tensor = IMAGES) -> dict[str, Tensor]:
    """What leaves each layer of neurons; hooks run in the order in which they were registered."""
    found: dict[str, Tensor] = {}
    hooks = [
        module.register_forward_hook(lambda _m, _i, output, name=name: found.update({name: output}))
        for name, module in network.named_modules()
        if isinstance(module, LIF)
    ]
    outputs(network, images)
    for hook in hooks:
        hook.remove()
    return found


@pytest.mark.parametrize("name", PERTURBATIONS)
def test_it_changes_something_and_gives_the_network_back_as_found(network, name):
    before, settings = outputs(network), {key: vars(m).copy() for key, m in network.named_modules()}
    with PERTURBATIONS[name](network):
        assert not torch.equal(outputs(network), before)
    assert torch.equal(outputs(network), before)
    for key, module in network.named_modules():
        assert not module._forward_hooks
        assert not module._forward_pre_hooks
        if isinstance(module, LIF):
            assert (module.decay, module.threshold) == (settings[key]["decay"], settings[key]["threshold"])


@pytest.mark.parametrize("name", PERTURBATIONS)
def test_a_failure_inside_leaves_nothing_behind(network, name):
    with pytest.raises(KeyError), PERTURBATIONS[name](network):
        raise KeyError
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())


@pytest.mark.parametrize("name", PERTURBATIONS)
def test_images_meet_the_same_disturbance_however_they_are_batched(network, name):
    with PERTURBATIONS[name](network):
        whole = outputs(network)
    with PERTURBATIONS[name](network):
        parts = torch.cat([outputs(network, part) for part in IMAGES.split([2, 4, 1])], dim=1)
    torch.testing.assert_close(parts, whole)


@pytest.mark.parametrize(
    "nothing",
    [
        lambda net: mismatched(net, seed=3),
        lambda net: unreliable(net, seed=3),
        lambda net: noisy(net, scale=torch.zeros(1), seed=3),
    ],
)
def test_at_strength_zero_it_is_the_network(network, nothing):
    before = outputs(network)
    with nothing(network):
        assert torch.equal(outputs(network), before)


def test_every_neuron_is_a_lif_with_its_own_threshold_and_decay():
    """Each neuron's row of spikes is that of a plain LIF with the numbers that the formula gives it."""
    layer = LIF(decay=0.9, threshold=0.8)
    current = torch.rand(6, 5, 2, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    with mismatched(layer, threshold=0.4, decay=2.0, seed=9), torch.no_grad():
        found = layer(current)
    normal = np.random.default_rng([9, 0]).standard_normal((2, 2, 3))
    for place in np.ndindex(2, 3):
        threshold, decay = 0.8 * np.exp(0.4 * normal[0][place]), 0.9 * (1 + 2.0 * normal[1][place])
        alone = LIF(decay=float(np.clip(decay, 0, 1)), threshold=threshold)(current[(..., *place)])
        assert torch.equal(found[(..., *place)], alone)
    assert (found.std((0, 1)) > 0).any()


def test_spreads_are_what_they_say():
    """Constant currents, 20,000 neurons: one fires at the first step when its threshold lies below the current."""
    current = torch.full((1, 1, 20_000), 1.3)
    with mismatched(layer := LIF(), threshold=0.2, seed=0), torch.no_grad():
        fired = float(layer(current).mean())
    share = 0.9052  # of ln θ ~ N(0, 0.2²), P(θ < 1.3) = Φ(ln 1.3 / 0.2)
    assert fired == pytest.approx(share, abs=4 * (share * (1 - share) / 20_000) ** 0.5)


def test_layers_are_disturbed_apart_and_neurons_keep_theirs_for_all_images():
    pair = nn.Sequential(LIF(), LIF())
    current = torch.full((1, 2, 500), 1.0) + 1e-3
    with mismatched(pair, threshold=0.3, seed=2), torch.no_grad():
        first, second = pair[0](current), pair[1](current)
    assert torch.equal(first[:, 0], first[:, 1])
    assert not torch.equal(first, second)


def test_all_spikes_lost_is_a_dead_layer(network):
    with unreliable(network, lost=1.0, seed=0):
        found = outputs(network)
    torch.testing.assert_close(found, network.body.head.bias.detach().expand_as(found))


def test_all_neurons_spurious_is_a_layer_that_always_fires(network):
    with unreliable(network, spurious=1.0, seed=0):
        found = outputs(network)
    expected = network.body.head(torch.ones(network.body.head.in_features))
    torch.testing.assert_close(found, expected.detach().expand_as(found))


@pytest.mark.parametrize(("lost", "spurious"), [(0.1, 0.0), (0.0, 0.3), (0.2, 0.1)])
def test_counts_are_binomial(lost, spurious):
    layer, current = LIF(), torch.zeros(4, 50, 200)
    current[:, :, :100] = 2.0  # the first half fires at every step, the second never
    with unreliable(layer, lost=lost, spurious=spurious, seed=5), torch.no_grad():
        found = layer(current)
    n = found[:, :, :100].numel()
    for half, p in ((found[:, :, :100], 1 - lost * (1 - spurious)), (found[:, :, 100:], spurious)):
        assert float(half.sum()) == pytest.approx(n * p, abs=4 * (n * p * (1 - p)) ** 0.5)
    assert set(found.unique().tolist()) <= {0.0, 1.0}


def test_more_of_the_same_spikes_are_lost(network):
    with unreliable(network, lost=0.1, seed=0):
        few = spikes_of(network)["body.neuron1"]
    with unreliable(network, lost=0.3, seed=0):
        many = spikes_of(network)["body.neuron1"]
    assert (many <= few).all()
    assert many.sum() < few.sum()


def test_input_noise_has_its_standard_deviation_on_each_channel():
    class Keep(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x

    for shape in ((40, 2, 30, 30), (4, 10, 2, 30, 30)):
        with noisy(keep := Keep(), scale=torch.tensor([0.5, 2.0]), seed=0):
            noise = keep(torch.zeros(shape)).movedim(-3, 0).flatten(1)
        n = noise.shape[1]
        for channel, scale in zip(noise, (0.5, 2.0), strict=True):
            assert float(channel.std()) == pytest.approx(scale, rel=4 / (2 * n) ** 0.5)
            assert float(channel.mean()) == pytest.approx(0, abs=4 * scale / n**0.5)


class Looped(nn.Module):
    """A layer of neurons that is called once a step, and says what it gave."""

    def __init__(self) -> None:
        super().__init__()
        self.neuron = Always()

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([self.neuron(x)[0] for _ in range(3)])


class Always(nn.Module):
    """Fires whatever comes, and returns its state with it."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return torch.ones_like(x), x


def test_a_neuron_called_once_a_step_loses_other_spikes_at_each_and_the_same_in_other_batches():
    network, x = Looped(), torch.zeros(40, 50)
    sites = [Site(network.neuron, "neuron", axis=0, time=None, shape=(50,))]
    with unreliable(network, lost=0.3, seed=4, sites=sites):
        whole = network(x)
    with unreliable(network, lost=0.3, seed=4, sites=sites):
        parts = torch.cat([network(x[:13]), network(x[13:])], 1)
    assert torch.equal(whole, parts)
    assert len({tuple(step.flatten().tolist()) for step in whole}) == 3
    for step in whole:
        assert float(step.mean()) == pytest.approx(0.7, abs=4 * (0.21 / 2000) ** 0.5)


def test_spurious_spikes_of_neurons_whose_spikes_have_sizes_are_refused():
    network = Looped()
    sites = [Site(network.neuron, "neuron", axis=0, binary=False)]
    with (
        pytest.raises(ValueError, match=r"outputs of neuron \(Always\) are others than 0 and 1"),
        unreliable(network, spurious=0.1, seed=0, sites=sites),
    ):
        pass


def test_what_a_network_is_given_once_a_step_is_as_noisy_at_each():
    layer, x = nn.Identity(), torch.zeros(5, 4)
    with noisy(layer, scale=torch.ones(4), seed=0):
        first, second, other = layer(x), layer(x), layer(x.clone())
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda net: mismatched(net, threshold=-0.1, seed=0), "spread of the threshold must be at least 0"),
        (lambda net: mismatched(net, decay=float("inf"), seed=0), "spread of the decay"),
        (lambda net: unreliable(net, lost=1.5, seed=0), "probability of lost spikes must lie in"),
        (lambda net: unreliable(net, spurious=-0.5, seed=0), "probability of spurious spikes"),
        (lambda net: noisy(net, scale=torch.tensor([-1.0]), seed=0), "standard deviation must be at least 0"),
        (lambda net: unreliable(nn.Linear(2, 2), lost=0.5, seed=0), "no spiking neuron"),
        (lambda net: mismatched(nn.Linear(2, 2), threshold=0.5, seed=0), "no spiking neuron"),
    ],
)
def test_what_cannot_be_is_refused(network, wrong, says):
    with pytest.raises(ValueError, match=says), wrong(network):
        pass
