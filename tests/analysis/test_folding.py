"""Equation 6: convolution and BatchNorm are one convolution."""

import pytest
import torch
from torch import nn

from analysis.energy.folding import folded
from analysis.subject import Spiking, Subject
from models.networks import build
from models.networks.layers import BatchNorm2d, Network
from models.neurons.lif import LIF

IMAGES = torch.rand(2, 3, 16, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def trained(name: str, **arguments: str | int) -> nn.Module:
    """A network with statistics and affine parameters as if from training."""
    network = build(name, seed=0, in_channels=3, **arguments).double().eval()
    generator = torch.Generator().manual_seed(1)
    for module in network.modules():
        if isinstance(module, BatchNorm2d):
            for value, low, high in (
                (module.weight, 0.5, 2.0),
                (module.bias, -0.5, 1.0),
                (module.running_mean, -1.0, 1.0),
                (module.running_var, 0.2, 3.0),
            ):
                nn.init.uniform_(value, low, high, generator=generator)
    return network


def folded_network(network: nn.Module, images: torch.Tensor = IMAGES) -> tuple[nn.Module, list[str]]:
    """The copy with BatchNorms folded, and the names of those that aren't."""
    labels = torch.zeros(len(images), dtype=torch.long)
    spiking = Spiking((LIF,), 0, None, "timesteps") if isinstance(network, Network) else None
    subject = Subject(network, test=[(images, labels)], spiking=spiking, dtype=images.dtype)
    found, unfolded = folded(subject, (images, labels))
    return found.network, unfolded


def currents(network: nn.Module) -> list[torch.Tensor]:
    """What every layer of neurons is given, in turn."""
    found: list[torch.Tensor] = []
    handles = [
        module.register_forward_pre_hook(lambda _module, inputs: found.append(inputs[0]))
        for module in network.modules()
        if isinstance(module, LIF)
    ]
    with torch.no_grad():
        found.append(network(IMAGES, timesteps=2))
    for handle in handles:
        handle.remove()
    return found


@pytest.mark.slow(keep=1)
@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("vggsnn", {"image_size": 16}),  # its convolutions have biases
        ("resnet19", {"norm": "tdbn"}),  # its BatchNorms have scales, and shortcuts have one of their own
        ("sew-resnet34", {}),
    ],
)
def test_folded_networks_give_the_same_currents(name, arguments):
    network = trained(name, **arguments)
    copy, unfolded = folded_network(network)
    assert unfolded == []
    for module in copy.modules():
        if isinstance(module, BatchNorm2d):
            nn.init.constant_(module.get_buffer("running_mean"), torch.nan)  # nothing of it is used any more
    before, after = currents(network), currents(copy)
    assert len(before) == len(after) > 5
    for one, other in zip(before, after, strict=True):
        assert (one - other).abs().max() <= 1e-12 * one.abs().max()
    assert float(before[-2].abs().max()) > 0


def test_equation_6_by_hand():
    network = build("digits-cnn", seed=0, channels=1).eval()
    conv, norm = (network.get_submodule(name) for name in ("stem.conv1", "stem.norm1"))
    assert isinstance(conv, nn.Conv2d)
    assert isinstance(norm, BatchNorm2d)
    mean, variance = norm.get_buffer("running_mean"), norm.get_buffer("running_var")
    for value, number in ((norm.weight, 3.0), (norm.bias, 0.25), (mean, 2.0)):
        nn.init.constant_(value, number)
    nn.init.constant_(variance, 4.0 - norm.eps)
    one = folded_network(network, torch.rand(2, 1, 8, 8))[0].get_submodule("stem.conv1")
    assert torch.allclose(one.get_parameter("weight"), 1.5 * conv.weight)
    assert one.get_parameter("bias").tolist() == pytest.approx([0.25 - 2 * 1.5])


def test_the_network_itself_stays_as_it_was():
    network = trained("vggsnn", image_size=16).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    assert not folded_network(network)[0].training
    assert network.training
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())


def test_other_peoples_pairs_are_found_by_what_feeds_what():
    class Net(nn.Module):
        """Names that say nothing, tokens transposed before their BatchNorm, and two BatchNorms that can't be folded."""

        def __init__(self):
            super().__init__()
            self.a, self.one = nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4)
            self.b, self.two = nn.Linear(4, 5), nn.BatchNorm1d(5)
            self.before, self.c = nn.BatchNorm1d(5), nn.Linear(5, 5)
            self.d, self.beside, self.head = nn.Linear(5, 5), nn.BatchNorm1d(5), nn.Linear(5, 2)

        def forward(self, x):
            x = self.one(self.a(x)).relu().flatten(2).transpose(1, 2)
            x = self.two(self.b(x).transpose(1, 2).contiguous()).relu().mean(2)
            x = self.d(self.c(self.before(x)))
            return self.head(self.beside(x) + x)

    network = Net().double().eval()
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            for value in (module.weight, module.bias, module.running_mean, module.running_var):
                nn.init.uniform_(value, 0.5, 2.0, generator=torch.Generator().manual_seed(2))
    copy, unfolded = folded_network(network)
    assert unfolded == ["before", "beside"]
    assert torch.allclose(copy(IMAGES), network(IMAGES), rtol=1e-12)
    nn.init.constant_(copy.get_submodule("one").running_mean, torch.nan)
    nn.init.constant_(copy.get_submodule("two").running_mean, torch.nan)
    assert copy(IMAGES).isfinite().all()


def test_a_batchnorm_that_takes_the_batchs_own_statistics_stays():
    network = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4, track_running_stats=False), nn.Linear(4, 2))
    copy, unfolded = folded_network(network, torch.rand(5, 3))
    assert unfolded == ["1"]
    assert torch.equal(copy.get_parameter("0.weight"), network.get_parameter("0.weight"))


def test_a_layer_with_two_batchnorms_keeps_both():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.shared, self.norms = nn.Linear(3, 3), nn.ModuleList(nn.BatchNorm1d(3) for _ in range(2))

        def forward(self, x):
            for norm in self.norms:
                x = norm(self.shared(x)) + 1
            return x

    assert folded_network(Net(), torch.rand(5, 3))[1] == ["norms.0", "norms.1"]
