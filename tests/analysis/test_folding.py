"""Equation 6: convolution and BatchNorm are one convolution."""

import pytest
import torch
from torch import nn

from analysis.energy.folding import folded
from models.networks import build
from models.networks.layers import BatchNorm2d
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
    copy = folded(network)
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
    one = folded(network).get_submodule("stem.conv1")
    assert torch.allclose(one.get_parameter("weight"), 1.5 * conv.weight)
    assert one.get_parameter("bias").tolist() == pytest.approx([0.25 - 2 * 1.5])


def test_the_network_itself_stays_as_it_was():
    network = trained("vggsnn", image_size=16).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    assert not folded(network).training
    assert network.training
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())


def test_a_batchnorm_without_its_convolution_is_refused():
    module = nn.Module()
    module.norm = BatchNorm2d(3)
    with pytest.raises(ValueError, match="norm has no convolution conv beside it to fold into"):
        folded(module)
