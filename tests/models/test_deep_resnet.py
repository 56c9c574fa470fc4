"""Bottlenecks against torchvision's, with ReLUs for neurons; with spikes against their own layers in order."""

import pytest
import torch
import torchvision

from models.networks import build
from models.networks.deep_resnet import Bottleneck, SEWBottleneck, SEWResNet50, SpikingResNet18, SpikingResNet50
from models.neurons.lif import LIF, Neuron


def images(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("depth", [18, 50, 101, 152])
def test_every_depth_has_torchvisions_tensors_in_its_order(depth):
    with torch.device("meta"):
        theirs = getattr(torchvision.models, f"resnet{depth}")()
    for kind in ("spiking", "sew"):
        ours = build(f"{kind}-resnet{depth}", seed=0, device="meta")
        shapes = [[value.shape for value in network.state_dict().values()] for network in (ours, theirs)]
        assert shapes[0] == shapes[1]


@pytest.mark.parametrize("network", [SpikingResNet18, SpikingResNet50])
def test_with_relus_they_are_torchvisions(network):
    name = {SpikingResNet18: "resnet18", SpikingResNet50: "resnet50"}[network]
    reference = getattr(torchvision.models, name)(num_classes=3)
    twin = network(num_classes=3, neuron=Neuron(spiking=False))
    twin.load_state_dict(dict(zip(twin.state_dict(), reference.state_dict().values(), strict=True)))
    x = images(2, 3, 40, 40)
    torch.testing.assert_close(twin(x)[0], reference(x), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("kind", "layers"), [(Bottleneck, 3), (SEWBottleneck, 4)])
def test_a_bottleneck_adds_before_or_after_its_last_neuron(kind, layers):
    block = kind(4, 8, 2, norm="tdbn", neuron=Neuron(threshold=0.5))
    x = (images(3, 2, 4, 6, 6) > 0).float()
    inner = block.neuron2(block.norm2(block.conv2(block.neuron1(block.norm1(block.conv1(x))))))
    branch = block.norm3(block.conv3(inner))
    fire = LIF(threshold=0.5)
    expected = fire(branch) + block.shortcut(x) if kind is SEWBottleneck else fire(branch + block.shortcut(x))
    assert torch.equal(block(x), expected)
    assert inner.shape[2:] == (2, 3, 3)
    assert sum(isinstance(module, LIF) for module in block.modules()) == layers
    assert block.norm3.scale == pytest.approx(0.5 if kind is SEWBottleneck else 0.5 / 2**0.5)


def test_gradients_reach_every_weight():
    network = SEWResNet50(num_classes=3, timesteps=2)
    gradients = torch.autograd.grad(network(images(2, 3, 32, 32)).square().sum(), list(network.parameters()))
    assert all(gradient.any() for gradient in gradients)
