"""VGGSNN against the published parameter count and a twin made of torch's own layers."""

import math
from itertools import pairwise

import pytest
import torch
from torch import nn

from models.networks.layers import AvgPool2d
from models.networks.vgg import VGGSNN, Layer, stack
from models.neurons.lif import LIF, Neuron

WIDTHS = [2, 64, 128, 256, 256, 512, 512, 512, 512]


def parameters(module):
    return sum(weight.numel() for weight in module.parameters())


@pytest.fixture(scope="module")
def nets():
    return {downsample: VGGSNN(downsample=downsample) for downsample in ("avgpool", "stride")}


@pytest.mark.parametrize("downsample", ["avgpool", "stride"])
def test_the_parameter_count_is_the_published_one(nets, downsample):
    # weights, biases and BatchNorm's two per channel
    by_hand = sum(9 * a * b + 3 * b for a, b in pairwise(WIDTHS)) + (512 * 9 + 1) * 10
    assert parameters(nets[downsample]) == by_hand == 9_271_498


def test_the_layers_are_the_papers(nets):
    convs = {name: [m for m in net.modules() if isinstance(m, nn.Conv2d)] for name, net in nets.items()}
    for layers in convs.values():
        assert [conv.out_channels for conv in layers] == WIDTHS[1:]
        assert all(conv.kernel_size == (3, 3) and conv.bias is not None for conv in layers)
    assert [conv.stride[0] for conv in convs["avgpool"]] == [1] * 8
    assert [conv.stride[0] for conv in convs["stride"]] == [1, 2] * 4
    pools = {name: sum(isinstance(m, AvgPool2d) for m in net.modules()) for name, net in nets.items()}
    assert pools == {"avgpool": 4, "stride": 0}
    assert all(sum(isinstance(m, LIF) for m in net.modules()) == 8 for net in nets.values())
    assert nets["avgpool"].timesteps == 10


def test_convolutions_start_with_variance_two_over_fan_out(nets):
    for index in (2, 3, 5):  # where fan in and fan out differ
        weight = nets["avgpool"].get_parameter(f"body.conv{index}.weight")
        assert weight.std().item() == pytest.approx(math.sqrt(2 / (9 * weight.shape[0])), rel=0.02)


@pytest.mark.parametrize("downsample", ["avgpool", "stride"])
def test_the_relu_twin_is_the_network_of_torchs_own_layers(downsample):
    twin = VGGSNN(image_size=16, downsample=downsample, neuron=Neuron(spiking=False))
    layers = []
    for index, (before, after) in enumerate(pairwise(WIDTHS)):
        halve = index % 2
        stride = 2 if halve and downsample == "stride" else 1
        layers += [nn.Conv2d(before, after, 3, stride, 1), nn.BatchNorm2d(after), nn.ReLU()]
        layers += [nn.AvgPool2d(2)] if halve and downsample == "avgpool" else []
    plain = nn.Sequential(*layers, nn.Flatten(), nn.Linear(512, 10))
    plain.load_state_dict(dict(zip(plain.state_dict(), twin.state_dict().values(), strict=True)))
    images = torch.randn(3, 2, 16, 16, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(twin(images), plain(images).unsqueeze(0))


def test_frames_become_logits_at_every_step():
    net = VGGSNN(image_size=16, num_classes=4)
    assert net(torch.zeros(2, 1, 2, 16, 16)).shape == (2, 1, 4)


def test_sizes_that_do_not_halve_four_times_and_unknown_ways_down_are_refused():
    with pytest.raises(ValueError, match="image_size 40 does not divide evenly down to layer 8 of 8"):
        VGGSNN(image_size=40)
    with pytest.raises(ValueError, match="downsample must be 'avgpool' or 'stride', got 'max'"):
        VGGSNN(downsample="max")
    with pytest.raises(ValueError, match="norm must be"):
        VGGSNN(norm="none")


@pytest.mark.parametrize(("kernel", "stride", "pool"), [(1, 1, 1), (3, 2, 1), (5, 1, 2), (5, 2, 2)])
def test_a_layer_divides_the_size_by_stride_and_pool(kernel, stride, pool):
    layer = Layer(3, kernel, stride, pool)
    shape = {"in_channels": 1, "image_size": 8, "num_classes": 2}
    stem, body = stack([layer], **shape, bias=False, norm="batch", neuron=Neuron())
    assert body.get_parameter("head.weight").shape == (2, 3 * (8 // (stride * pool)) ** 2)
    assert body(stem(torch.zeros(2, 1, 1, 8, 8))).shape == (2, 1, 2)


def test_tdbn_scales_every_norm_by_the_threshold():
    net = VGGSNN(image_size=16, norm="tdbn", neuron=Neuron(threshold=0.5))
    assert {m.scale for m in net.modules() if isinstance(m, nn.BatchNorm2d)} == {0.5}
