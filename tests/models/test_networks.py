"""Networks by name: the same seed gives the same weights, and arguments rebuild a network."""

import json

import pytest
import torch

from models.networks import NETWORKS, accepted, build
from models.neurons.lif import LIF, Rate

DEPTHS = (18, 34, 50, 101, 152)
ALL = (
    *("vggsnn", "vggsnn-stride", "resnet19"),
    *(f"spiking-resnet{depth}" for depth in DEPTHS),
    *(f"sew-resnet{depth}" for depth in DEPTHS),
    *(f"spiking-vgg{depth}" for depth in (11, 13, 16, 19)),
    *("cnn5", "digits-cnn"),
)
# the other depths and VGG, which is large, have modules of their own
NAMES = ("vggsnn", "vggsnn-stride", "resnet19", "spiking-resnet34", "sew-resnet34", "cnn5", "digits-cnn")


def test_the_names_are_these():
    assert tuple(NETWORKS) == ALL


@pytest.mark.parametrize("name", NAMES)
def test_plain_arguments_rebuild_a_network_that_takes_its_weights(name):
    net = build(name, seed=1, num_classes=3, decay=0.25, threshold=0.5, surrogate="arctan", norm="tdbn")
    again = build(name, seed=2, **json.loads(json.dumps(net.arguments)))
    assert again.arguments == net.arguments
    assert set(net.arguments) == set(accepted(name))
    again.load_state_dict(net.state_dict(), strict=True)
    neurons = [module for module in again.modules() if isinstance(module, LIF)]
    assert {(neuron.decay, neuron.threshold, repr(neuron.surrogate)) for neuron in neurons} == {
        (0.25, 0.5, "Arctan(alpha=2.0)")
    }


@pytest.mark.parametrize("name", NAMES)
def test_a_state_dict_lists_every_tensor_once(name):
    net = build(name, seed=0)
    state = net.state_dict()
    assert len({tensor.data_ptr() for tensor in state.values()}) == len(state)
    assert set(state) == {n for n, _ in net.named_parameters()} | {n for n, _ in net.named_buffers()}


def test_the_names_in_a_state_dict_say_what_they_are():
    assert list(build("digits-cnn", seed=0).state_dict())[:2] == ["stem.conv1.weight", "stem.norm1.weight"]
    names = build("resnet19", seed=0).state_dict()
    assert {"stem.conv.weight", "body.stage1.0.conv1.weight", "body.stage2.0.shortcut.conv.weight"} <= set(names)
    assert {"body.hidden.weight", "body.head.bias"} <= set(names)


def test_a_seed_gives_the_same_weights_and_another_seed_others():
    first, second, other = (build("digits-cnn", seed=seed) for seed in (3, 3, 4))
    for name, weight in first.state_dict().items():
        assert torch.equal(weight, second.state_dict()[name])
    assert not torch.equal(first.get_parameter("body.conv2.weight"), other.get_parameter("body.conv2.weight"))


def test_building_leaves_the_global_generators_alone():
    torch.manual_seed(11)
    expected = torch.rand(3)
    torch.manual_seed(11)
    build("digits-cnn", seed=5)
    assert torch.equal(torch.rand(3), expected)
    assert torch.initial_seed() == 11


def test_the_global_generators_do_not_reach_the_weights():
    torch.manual_seed(1)
    first = build("digits-cnn", seed=5).get_parameter("stem.conv1.weight")
    torch.manual_seed(2)
    assert torch.equal(first, build("digits-cnn", seed=5).get_parameter("stem.conv1.weight"))


@pytest.mark.parametrize("name", ["vggsnn", "resnet19", "cnn5", "digits-cnn"])
def test_the_twin_that_does_not_spike_has_the_same_parameters_and_one_step(name):
    spiking, twin = build(name, seed=0), build(name, seed=0, spiking=False)
    weights = dict(twin.named_parameters())
    assert {n: w.shape for n, w in spiking.named_parameters()} == {n: w.shape for n, w in weights.items()}
    assert all(torch.equal(weight, weights[n]) for n, weight in spiking.named_parameters())
    kinds = [{type(m) for m in net.modules()} & {LIF, Rate} for net in (spiking, twin)]
    assert kinds == [{LIF}, {Rate}]
    assert twin.timesteps == 1


def test_vggsnn_stride_is_vggsnn_with_strides():
    assert build("vggsnn-stride", seed=0, image_size=16).arguments["downsample"] == "stride"
    assert build("vggsnn", seed=0, image_size=16).arguments["downsample"] == "avgpool"


def test_an_unknown_name_is_answered_with_those_there_are():
    for ask in (accepted, lambda name: build(name, seed=0)):
        with pytest.raises(ValueError, match=f"no network named 'vgg'; there are {', '.join(ALL)}"):
            ask("vgg")


def test_an_unknown_argument_is_answered_with_those_there_are():
    with pytest.raises(ValueError, match=r"'resnet19' takes no argument 'image_size'; it takes num_classes, .*decay"):
        build("resnet19", seed=0, image_size=32)
    with pytest.raises(ValueError, match="takes no argument 'neuron'"):
        build("digits-cnn", seed=0, neuron=None)
