"""Spikes and operations against counts by hand, loops over synapses, closed forms and SpikingJelly's counter."""

import itertools
from collections import OrderedDict

import numpy as np
import pytest
import torch
from spikingjelly.activation_based.op_counter import DispatchCounterMode, MACCounter, SynOpCounter
from torch import nn
from torch.nn.functional import conv2d

from analysis.energy.counts import counted
from analysis.energy.meter import Tally
from analysis.energy.products import fan_out
from analysis.subject import Spiking, Subject
from models.networks import build
from models.networks.layers import AvgPool2d, Conv2d, MaxPool2d, Network
from models.neurons.lif import LIF, Neuron


class Chain(Network):
    """Stem and body as given: what a test can count by hand."""

    def __init__(self, stem: nn.Module, body: nn.Module):
        super().__init__(num_classes=1, timesteps=1, neuron=Neuron())
        self.stem, self.body = stem, body


def doubling() -> Conv2d:
    """Two maps, each twice the one input map."""
    conv = Conv2d(1, 2, 1, bias=False)
    nn.init.constant_(conv.weight, 2.0)
    return conv


def layers_of(network: Network, *batches: torch.Tensor, steps: int, once: bool = False) -> dict[str, Tally]:
    """What each layer does up to each step."""
    given = [(images, torch.zeros(len(images), dtype=torch.long)) for images in batches]
    subject = Subject(network, test=given, spiking=Spiking((LIF,), 0, None, "timesteps"))
    found = counted(subject, subject.batches("test", None, 100), range(1, steps + 1), once=once)
    assert not found.unknown
    assert len({layer for layer, _ in found.layers}) == len(found.layers)
    return {layer: tally for (layer, _), tally in found.layers.items()}


IMAGE = torch.tensor([[[[1.0, 0.0], [0.6, 0.4]]]])


def test_by_hand():
    # Pixels 1 and 0.6 become currents 2 and 1.2 and fire at every step in both maps; 0 never does; 0.4 gives 0.8, whose
    # membrane is 0.8, 1.2 and fires at the second step. Each spike reaches the 3 classes; each pixel the 2 maps.
    layers = layers_of(Chain(doubling(), nn.Sequential(LIF(), nn.Flatten(2), nn.Linear(8, 3))), IMAGE, steps=2)
    first, neurons, head = layers["stem"], layers["body.0"], layers["body.2"]
    assert first.image
    assert (first.multiplications.tolist(), first.additions.tolist()) == ([[8], [16]], [[0], [0]])
    assert (head.image, head.neurons, head.synapses, head.spikes.tolist()) == (False, 8, 24, [[4], [10]])
    assert head.additions.tolist() == [[12], [30]]
    assert head.multiplications.tolist() == head.updates.tolist() == [[0], [0]]
    assert (neurons.neurons, neurons.spikes.tolist()) == (8, [[4], [10]])
    assert neurons.updates.tolist() == [[8], [16]]
    assert neurons.additions.tolist() == neurons.multiplications.tolist() == [[0], [0]]
    assert list(layers) == ["stem", "body.0", "body.2"]


def test_spikes_of_a_pooled_window_each_cost_an_addition():
    # The same spikes, averaged over the 2x2 window and read by 3 classes: still 3 additions a spike.
    body = nn.Sequential(LIF(), AvgPool2d(2), nn.Flatten(2), nn.Linear(2, 3))
    head = layers_of(Chain(doubling(), body), IMAGE, steps=2)["body.3"]
    assert (head.neurons, head.spikes.tolist(), head.additions.tolist()) == (8, [[4], [10]], [[12], [30]])


def test_after_max_pooling_the_pooled_spikes_count():
    body = nn.Sequential(LIF(), MaxPool2d(2), nn.Flatten(2), nn.Linear(2, 3))
    head = layers_of(Chain(doubling(), body), IMAGE, steps=2)["body.3"]
    assert (head.neurons, head.spikes.tolist(), head.additions.tolist()) == (2, [[2], [4]], [[6], [12]])


def test_a_static_image_read_once():
    network = Chain(doubling(), nn.Sequential(LIF(), nn.Flatten(2), nn.Linear(8, 3)))
    layers = layers_of(network, IMAGE, steps=3, once=True)
    assert layers["stem"].multiplications.tolist() == [[8], [8], [8]]
    assert layers["body.2"].additions.tolist() == layers_of(network, IMAGE, steps=3)["body.2"].additions.tolist()


def synapse_loop(
    maps: np.ndarray,
    out_channels: int,
    kernel_size: int,
    stride: int = 1,
    padding: int = 0,
    dilation: int = 1,
    groups=1,
) -> int:
    """Go over every output, every place of its kernel, every input channel: one operation for each input of 1."""
    channels, rows, columns = maps.shape
    reach = dilation * (kernel_size - 1) + 1
    heights, widths = ((size + 2 * padding - reach) // stride + 1 for size in (rows, columns))
    group_in, group_out = channels // groups, out_channels // groups
    count = 0
    for out, y, x in itertools.product(range(out_channels), range(heights), range(widths)):
        for channel, dy, dx in itertools.product(range(group_in), range(kernel_size), range(kernel_size)):
            row, column = (place * stride - padding + dilation * step for place, step in ((y, dy), (x, dx)))
            if 0 <= row < rows and 0 <= column < columns:
                count += maps[out // group_out * group_in + channel, row, column]
    return int(count)


@pytest.mark.parametrize(
    "options",
    [
        {"kernel_size": 3, "padding": 1},
        {"kernel_size": 3, "padding": 1, "stride": 2},
        {"kernel_size": 1, "stride": 2},
        {"kernel_size": 3, "padding": 2, "dilation": 2, "groups": 2},
    ],
)
def test_additions_equal_a_loop_over_all_synapses(options):
    conv = nn.Conv2d(4, 6, **options)
    spikes = (torch.rand(4, 5, 7, generator=torch.Generator().manual_seed(0)) < 0.3).double()
    assert float((fan(conv, (1, 4, 5, 7)) * spikes).sum()) == synapse_loop(spikes.numpy(), 6, **options)


def fan(conv: nn.Module, shape: tuple[int, ...]) -> torch.Tensor:
    how = [getattr(conv, name) for name in ("stride", "padding", "dilation", "transposed", "output_padding", "groups")]
    return fan_out(shape, conv.weight.shape, *how)


@pytest.mark.parametrize(
    ("conv", "size"),
    [
        (nn.Conv1d(4, 6, 5, stride=2, padding=3, groups=2), (9,)),
        (nn.Conv3d(2, 3, (1, 3, 2), padding=(0, 1, 2), dilation=(1, 2, 1)), (3, 5, 4)),
        (nn.ConvTranspose1d(4, 6, 3, stride=2, padding=1, output_padding=1, groups=2), (7,)),
        (nn.ConvTranspose2d(3, 5, (3, 2), stride=(2, 1), padding=(2, 0), dilation=(2, 1)), (4, 6)),
        (nn.ConvTranspose3d(2, 2, 2, stride=3), (2, 3, 2)),
    ],
)
def test_fan_of_any_convolution_is_what_ones_give(conv, size):
    # With kernels of ones each output counts its inputs: the gradient of their sum is each input's fan.
    conv = conv.double()
    nn.init.ones_(conv.weight)
    x = torch.zeros(1, conv.in_channels, *size, dtype=torch.float64, requires_grad=True)
    (expected,) = torch.autograd.grad(conv(x).sum(), x)
    assert torch.equal(fan(conv, x.shape).expand_as(expected), expected)


def test_fan_out_of_a_padded_convolution_in_closed_form():
    # A 3x3 kernel on n x n pixels meets 3n - 2 of them along each axis.
    assert float(fan(nn.Conv2d(5, 7, 3, padding=1), (1, 5, 6, 6)).sum()) == 7 * (3 * 6 - 2) ** 2


def calibrated(network: Network, images: torch.Tensor) -> Network:
    """The network in eval mode with the images' own statistics in its BatchNorms, so that neurons fire throughout."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        network.train()(images, timesteps=2)
    return network.eval()


@pytest.mark.slow(keep=1)
@pytest.mark.parametrize("name", ["resnet19", "sew-resnet34"])
def test_branches_are_counted_layer_by_layer(name):
    images = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    network = calibrated(build(name, seed=0, num_classes=10, threshold=0.2), images)
    inputs: dict[str, torch.Tensor] = {}
    modules = {key: module for key, module in network.named_modules() if isinstance(module, (nn.Conv2d, nn.Linear))}
    layers = layers_of(network, images, steps=2)
    for key, module in modules.items():
        module.register_forward_hook(lambda _m, args, _o, key=key: inputs.update({key: args[0].double()}))
    with torch.no_grad():
        network(images, timesteps=2)
    assert {name for name, layer in layers.items() if layer.synapses > 0} == set(modules)
    assert sum(bool(layer.spikes[-1].sum() > 0) for layer in layers.values()) > 10
    for key, module in modules.items():
        if isinstance(module, nn.Conv2d) and "stem" not in key:
            ones = torch.ones_like(module.weight, dtype=torch.float64)
            maps = conv2d(inputs[key].flatten(0, 1), ones, None, module.stride, module.padding)
            expected = maps.unflatten(0, (2, 2)).flatten(2).sum(2).cumsum(0)
            assert torch.allclose(layers[key].additions, expected, rtol=1e-12, atol=0)


def test_graded_values_between_spikes_are_multiplied():
    class Squash(nn.Module):
        def forward(self, x):
            return torch.tanh(x + torch.linspace(0, 1, 8).view(1, 1, 2, 2, 2))

    body = nn.Sequential(LIF(), Squash(), nn.Flatten(2), nn.Linear(8, 3))
    layers = layers_of(Chain(doubling(), body), 0.9 * torch.ones(1, 1, 2, 2), steps=2)
    assert layers["body.3"].multiplications.tolist() == [[24], [48]]
    assert layers["body.1"].multiplications.tolist() == [[8], [16]]  # listed as unattributed: tanh of 8 numbers
    assert layers["body.3"].additions.tolist() == [[0], [0]]


def test_counting_leaves_no_hook_behind():
    network = build("digits-cnn", seed=0)
    layers_of(network, torch.rand(2, 1, 8, 8), steps=2)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())


def test_neurons_that_always_fire_cost_an_addition_at_every_synapse_of_every_spike():
    network = build("digits-cnn", seed=0, threshold=1e-9)
    for name, module in network.named_modules():
        if "norm" in name:
            nn.init.zeros_(module.weight)
            nn.init.ones_(module.bias)
    layers = layers_of(network, torch.rand(3, 1, 8, 8), steps=2)
    # The twin's multiplications, times the 4 spikes of each window where a pool lies between.
    each = {"body.conv2": 4 * 12 * 24 * 100, "body.conv3": 4 * 24 * 24 * 16, "body.head": 960}
    for name, count in each.items():
        assert layers[name].additions.tolist() == [[count] * 3, [2 * count] * 3]


def test_by_hand_with_named_layers_counts_across_batches():
    network = Chain(doubling(), nn.Sequential(OrderedDict(neuron=LIF(), flat=nn.Flatten(2), head=nn.Linear(8, 3))))
    layers = layers_of(network, *(0.9 * torch.ones(size, 1, 2, 2) for size in (2, 1)), steps=1)
    assert layers["body.head"].additions.tolist() == [[8 * 3] * 3]
    assert layers["stem"].multiplications.tolist() == [[8] * 3]


def test_a_binary_image_is_spikes():
    layers = layers_of(Chain(doubling(), nn.Sequential(LIF(), nn.Flatten(2), nn.Linear(8, 3))), IMAGE.round(), steps=2)
    assert layers["stem"].additions.tolist() == [[4], [8]]  # pixels 1, 0, 1, 0
    assert layers["stem"].multiplications.tolist() == [[0], [0]]


def spikingjelly_counts(network: nn.Module, images: torch.Tensor, steps: int) -> dict[str, dict[str, float]]:
    """Its additions by spikes and its multiplications by graded values, layer by layer."""
    found = {}
    for kind, counter in (("additions", SynOpCounter()), ("multiplications", MACCounter())):
        with DispatchCounterMode([counter]), torch.no_grad():
            network(images, timesteps=steps)
        found[kind] = {
            name.partition(".")[2]: sum(count for what, count in counts.items() if "batch_norm" not in str(what))
            for name, counts in counter.get_counts().items()
        }
    return found


@pytest.mark.slow(keep=1)
@pytest.mark.parametrize("name", ["vggsnn-stride", "resnet19"])
def test_spikingjelly_counts_the_same_additions(name):
    arguments = {"image_size": 16} if name == "vggsnn-stride" else {}
    images = torch.rand(2, 2, 16, 16, generator=torch.Generator().manual_seed(0))
    network = calibrated(build(name, seed=0, in_channels=2, threshold=0.1, **arguments), images)
    theirs, ours = spikingjelly_counts(network, images, 2), layers_of(network, images, steps=2)
    compared = 0
    for layer, found in ours.items():
        # It takes means over space, before ResNet-19's hidden layer, for graded, and counts padding when multiplying.
        if found.synapses > 0 and "stem" not in layer and layer != "body.hidden":
            assert float(found.additions[-1].sum()) == theirs["additions"].get(layer, 0)
            compared += float(found.additions[-1].sum()) > 0
    assert compared > 5


def test_spikingjelly_counts_the_same_multiplications_without_padding():
    network = Chain(Conv2d(2, 3, 3, stride=2), nn.Sequential(LIF(), nn.Flatten(2), nn.Linear(27, 4)))
    images = torch.rand(2, 2, 7, 7, generator=torch.Generator().manual_seed(0))
    theirs = spikingjelly_counts(network, images, 3)["multiplications"]
    assert float(layers_of(network, images, steps=3)["stem"].multiplications[0].sum()) == theirs["stem"]


def test_resnet19_cannot_spend_more_than_4_millijoules_on_an_image_of_two_steps():
    # Every neuron fires at every step. With padding counted as usual that is Deng et al.'s network at its limit.
    network = build("resnet19", seed=0, threshold=1e-9).eval()
    with_padding = {}
    for name, module in network.named_modules():
        if "norm" in name or name == "body.hidden":
            nn.init.zeros_(module.weight)
            nn.init.ones_(module.bias)
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(
                lambda layer, _inputs, output, name=name: with_padding.update(
                    {name: output[0, 0].numel() * layer.weight[0].numel()}
                )
            )
    layers = {
        name: layer
        for name, layer in layers_of(network, torch.rand(1, 3, 32, 32), steps=2).items()
        if "norm" not in name
    }
    neurons = [layer for layer in layers.values() if layer.updates.sum() > 0]
    assert all(torch.equal(layer.spikes[:, 0], layer.neurons * torch.tensor([1.0, 2.0])) for layer in neurons)
    assert len(neurons) > 10
    first = with_padding.pop("stem.conv")
    assert (first, first + sum(with_padding.values())) == (1_769_472, pytest.approx(2.2165e9, rel=1e-5))
    limit = 2e-12 * (0.9 * sum(with_padding.values()) + 4.6 * first)
    assert limit == pytest.approx(4.00e-3, abs=5e-6)
    additions, multiplications = (
        float(sum(getattr(layer, kind)[-1].sum() for layer in layers.values()))
        for kind in ("additions", "multiplications")
    )
    # Our own count leaves padding out, and each spike of the 8x8 maps reaches the hidden layer.
    assert 0.9 * limit < 1e-12 * (0.9 * additions + 4.6 * multiplications) < limit
    assert layers["body.hidden"].additions.tolist() == [[64 * 512 * 256], [2 * 64 * 512 * 256]]
