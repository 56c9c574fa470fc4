"""Residual networks against torchvision's: its counts, and its outputs from the same weights with ReLUs for neurons."""

import math

import pytest
import torch
import torchvision
from torch import nn
from torchvision.models.resnet import BasicBlock

from models.networks.layers import MaxPool2d
from models.networks.resnet import Block, ResNet19, SEWBlock, SEWResNet34, SpikingResNet34
from models.neurons.lif import LIF, Neuron

RELU = Neuron(spiking=False)


def parameters(module):
    return sum(weight.numel() for weight in module.parameters())


def neurons(module):
    return sum(isinstance(m, LIF) for m in module.modules())


def images(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def same_weights(target, source):
    """``target`` with ``source``'s weights and buffers, which must come in the same order."""
    target.load_state_dict(dict(zip(target.state_dict(), source.state_dict().values(), strict=True)))
    return target


@pytest.mark.parametrize(("classes", "count"), [(10, 12_630_858), (100, 12_653_988)])
def test_resnet19_has_the_published_parameters_and_eighteen_layers_of_neurons(classes, count):
    net = ResNet19(num_classes=classes)
    assert parameters(net) == count
    assert parameters(ResNet19(num_classes=classes, neuron=RELU)) == count
    assert neurons(net) == 18


def test_resnet34_has_torchvisions_parameters():
    expected = parameters(torchvision.models.resnet34())
    assert expected == 21_797_672
    spiking, sew = SpikingResNet34(), SEWResNet34()
    assert parameters(spiking) == parameters(sew) == expected
    assert (neurons(spiking), neurons(sew)) == (33, 36)


def test_spiking_resnet34_with_relus_is_torchvisions_resnet34():
    reference = torchvision.models.resnet34(num_classes=7)
    twin = same_weights(SpikingResNet34(num_classes=7, neuron=RELU), reference)
    x = images(2, 3, 40, 40)
    torch.testing.assert_close(twin(x)[0], reference(x), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(twin.eval()(x)[0], reference.eval()(x), atol=1e-4, rtol=1e-4)


def test_max_pooling_sees_spikes():
    # with ReLUs for neurons the order of the two could not be told
    first = list(SpikingResNet34(num_classes=2).body.children())[:2]
    assert [type(module) for module in first] == [LIF, MaxPool2d]


def torchvision_resnet19():
    def block(before, after, stride=1):
        shortcut = None
        if before != after:
            shortcut = nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after))
        return BasicBlock(before, after, stride, shortcut)

    return nn.Sequential(
        *(nn.Conv2d(3, 64, 3, padding=1, bias=False), nn.BatchNorm2d(64), nn.ReLU()),
        *(block(64, 128), block(128, 128), block(128, 128)),
        *(block(128, 256, 2), block(256, 256), block(256, 256)),
        *(block(256, 512, 2), block(512, 512)),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 256), nn.ReLU(), nn.Linear(256, 10)),
    )


def test_resnet19_with_relus_is_the_network_of_torchvisions_blocks():
    reference = torchvision_resnet19()
    twin = same_weights(ResNet19(neuron=RELU), reference)
    x = images(2, 3, 8, 8)
    torch.testing.assert_close(twin(x)[0], reference(x), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("stride", [1, 2])
def test_a_block_adds_before_its_neuron_and_hands_on_spikes(stride):
    block = Block(4, 4, stride, norm="batch", neuron=Neuron())
    x = (images(3, 2, 4, 6, 6) > 0).float()
    branch = block.norm2(block.conv2(block.neuron1(block.norm1(block.conv1(x)))))
    out = block(x)
    assert torch.equal(out, LIF()(branch + block.shortcut(x)))
    assert set(out.unique().tolist()) == {0, 1}
    assert neurons(block) == 2


@pytest.mark.parametrize(("stride", "layers"), [(1, 2), (2, 3)])
def test_a_sew_block_adds_after_its_neuron_and_hands_on_integers(stride, layers):
    block = SEWBlock(4, 4, stride, norm="batch", neuron=Neuron())
    x = (images(3, 2, 4, 6, 6) > 0).float()
    branch = block.norm2(block.conv2(block.neuron1(block.norm1(block.conv1(x)))))
    out = block(x)
    assert torch.equal(out, LIF()(branch) + block.shortcut(x))
    assert set(out.unique().tolist()) == {0, 1, 2}
    assert neurons(block) == layers


def test_a_shortcut_is_the_identity_where_the_shape_stays():
    assert len(Block(4, 4, 1, norm="batch", neuron=Neuron()).shortcut) == 0
    assert [type(m).__bases__[0] for m in Block(4, 8, 1, norm="batch", neuron=Neuron()).shortcut] == [
        nn.Conv2d,
        nn.BatchNorm2d,
    ]


def test_tdbn_has_one_over_root_two_where_branches_meet_before_a_neuron():
    neuron = Neuron(threshold=0.5)
    found = {
        kind: {n: m.scale for n, m in kind(4, 8, 1, norm="tdbn", neuron=neuron).named_modules() if "norm" in n}
        for kind in (Block, SEWBlock)
    }
    root = pytest.approx(0.5 / math.sqrt(2))
    assert found[Block] == {"norm1": 0.5, "norm2": root, "shortcut.norm": root}
    assert found[SEWBlock] == {"norm1": 0.5, "norm2": 0.5, "shortcut.norm": 0.5}


@pytest.mark.parametrize("network", [ResNet19, SpikingResNet34, SEWResNet34])
def test_logits_come_at_every_step_and_gradients_reach_every_weight(network):
    net = network(num_classes=5, in_channels=2, timesteps=2)
    logits = net(images(3, 2, 32, 32))
    assert logits.shape == (2, 3, 5)
    weights = dict(net.named_parameters())
    gradients = torch.autograd.grad(logits.square().sum(), list(weights.values()))
    unreached = {name for name, gradient in zip(weights, gradients, strict=True) if not gradient.any()}
    # ResNet-19's hidden layer has no BatchNorm before its neurons, which need not fire before training.
    assert unreached <= ({"body.head.weight"} if network is ResNet19 else set())


def test_resnet34_convolutions_start_with_variance_two_over_fan_out():
    weight = SpikingResNet34().get_parameter("body.stage3.0.conv1.weight")
    assert weight.std().item() == pytest.approx(math.sqrt(2 / (9 * 256)), rel=0.02)
