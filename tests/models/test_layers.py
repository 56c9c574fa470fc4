"""Layers against a loop over time with torch's own; the network's contract on a small net."""

import pytest
import torch
from torch import nn

from models.networks.cnn import DigitsCNN
from models.networks.layers import AvgPool2d, BatchNorm2d, Conv2d, GlobalAvgPool, MaxPool2d, normalization
from models.neurons.lif import LIF, Neuron, Rate

SILENT = "timesteps must be at least 1"


def maps(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def network(**arguments):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return DigitsCNN(**{"channels": 4, **arguments}).double()


def in_eval_mode(**arguments):
    """A network whose BatchNorms have the moments of a batch, so that its neurons fire."""
    made = network(**arguments)
    for module in made.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # the mean over batches: of one, here
    made(maps(6, 1, 8, 8))
    return made.eval()


# --- layers


@pytest.mark.parametrize(
    ("layer", "base"),
    [
        (Conv2d(3, 4, 3, stride=2, padding=1), nn.Conv2d),
        (AvgPool2d(2), nn.AvgPool2d),
        (MaxPool2d(3, stride=2, padding=1), nn.MaxPool2d),
    ],
    ids=["conv", "avg", "max"],
)
def test_a_layer_does_at_each_step_what_torchs_does(layer, base):
    layer, x = layer.double(), maps(4, 2, 3, 8, 8)
    assert isinstance(layer, base)
    torch.testing.assert_close(layer(x), torch.stack([base.forward(layer, step) for step in x]))


def test_the_mean_over_space_leaves_time_batch_and_channel():
    x = maps(4, 2, 3, 5, 7)
    torch.testing.assert_close(GlobalAvgPool()(x), x.sum((3, 4)) / 35)


@pytest.mark.parametrize("scale", [1.0, 0.35])
def test_batchnorm_in_training_uses_the_moments_over_time_batch_and_space(scale):
    norm, x = BatchNorm2d(3, scale=scale).double(), 2 * maps(4, 2, 3, 5, 5) + 1
    nn.init.uniform_(norm.weight)
    nn.init.uniform_(norm.bias)
    columns = x.transpose(0, 2).reshape(3, -1)
    mean, variance = columns.mean(1), columns.var(1, unbiased=False)
    shape = (3, 1, 1)
    normalised = (x - mean.view(shape)) / (variance.view(shape) + 1e-5).sqrt()
    expected = norm.weight.view(shape) * scale * normalised + norm.bias.view(shape)
    torch.testing.assert_close(norm(x), expected)
    torch.testing.assert_close(norm.running_mean, 0.1 * mean)
    torch.testing.assert_close(norm.running_var, 0.9 + 0.1 * columns.var(1))


@pytest.mark.parametrize("scale", [1.0, 0.35])
def test_batchnorm_in_evaluation_uses_its_running_moments(scale):
    norm, x = BatchNorm2d(2, scale=scale).double().eval(), maps(1, 1, 2, 3, 3)
    norm.running_mean = torch.tensor([1.0, -1.0], dtype=torch.float64)
    norm.running_var = torch.tensor([4.0, 0.25], dtype=torch.float64)
    norm.bias.data.fill_(0.5)
    for channel, (mean, deviation) in enumerate([(1.0, 2.0), (-1.0, 0.5)]):
        expected = scale * (x[:, :, channel] - mean) / deviation + 0.5
        torch.testing.assert_close(norm(x)[:, :, channel], expected, rtol=1e-4, atol=1e-4)  # its epsilon


def test_tdbn_scales_by_alpha_times_threshold_and_plain_batchnorm_by_nothing():
    neuron = Neuron(threshold=0.7)
    assert normalization("tdbn", 3, neuron, alpha=0.5).scale == pytest.approx(0.35)
    assert normalization("batch", 3, neuron, alpha=0.5).scale == 1
    with pytest.raises(ValueError, match="norm must be 'batch' or 'tdbn', got 'layer'"):
        normalization("layer", 3, neuron)


# --- networks


@pytest.mark.parametrize("norm", ["batch", "tdbn"])
def test_a_static_image_in_evaluation_is_its_repetition(norm):
    net, images = in_eval_mode(norm=norm), maps(5, 1, 8, 8, seed=1)
    logits = net(images, 6)
    assert logits.shape == (6, 5, 10)
    assert logits.std(0).max() > 0.01  # the steps do differ
    torch.testing.assert_close(logits, net(images.expand(6, -1, -1, -1, -1)))


def test_in_training_only_the_stems_bessel_factor_tells_a_static_image_from_its_repetition():
    once, repeated, images = network(), network(), maps(5, 1, 8, 8, seed=1)
    torch.testing.assert_close(once(images, 6), repeated(images.expand(6, -1, -1, -1, -1)))
    differing = [
        name for name, value in once.state_dict().items() if not torch.allclose(value, repeated.state_dict()[name])
    ]
    assert differing == ["stem.norm1.running_var"]
    pixels = 5 * 8 * 8
    variance = [10 * (net.stem.norm1.running_var - 0.9) for net in (once, repeated)]
    torch.testing.assert_close(variance[0] * (pixels - 1) / pixels, variance[1] * (6 * pixels - 1) / (6 * pixels))


def test_training_gradients_of_a_static_image_are_those_of_its_repetition():
    net, images = network(), maps(5, 1, 8, 8, seed=1)
    first, second = (
        torch.autograd.grad(logits.square().sum(), list(net.parameters()))
        for logits in (net(images, 3), net(images.expand(3, -1, -1, -1, -1)))
    )
    for one, other in zip(first, second, strict=True):
        torch.testing.assert_close(one, other)


def test_in_evaluation_logits_depend_on_the_steps_so_far_alone():
    net, images, frames = in_eval_mode(), maps(5, 1, 8, 8, seed=1), maps(6, 5, 1, 8, 8, seed=2)
    for x in (images, frames):
        whole = net(x, 6)
        assert whole.std(0).max() > 0.01
        for steps in (1, 2, 5):
            torch.testing.assert_close(net(x, steps), whole[:steps])
    torch.testing.assert_close(net(frames), net(frames, 6))
    torch.testing.assert_close(net(frames[:2]), net(frames, 2))


@pytest.mark.parametrize("mode", ["train", "eval"])
def test_a_second_forward_of_the_same_batch_gives_the_same_and_leaves_the_batch_alone(mode):
    net, images = network().train(mode == "train"), maps(5, 1, 8, 8, seed=1)
    before = images.clone()
    assert torch.equal(net(images), net(images))
    assert torch.equal(images, before)
    assert images.shape == (5, 1, 8, 8)


def test_images_of_a_batch_do_not_see_each_other_in_evaluation():
    net, images = in_eval_mode(), maps(5, 1, 8, 8, seed=1)
    assert net(images).std(1).max() > 0.01
    torch.testing.assert_close(net(images)[:, 2:3], net(images[2:3]))


def test_the_number_of_steps_is_the_callers_the_frames_or_the_networks_own():
    net, images, frames = network(timesteps=3), maps(2, 1, 8, 8), maps(5, 2, 1, 8, 8)
    assert [len(net(images)), len(net(images, 7)), len(net(frames)), len(net(frames, 2))] == [3, 7, 5, 2]


def test_a_network_that_does_not_spike_has_one_step_unless_told_otherwise():
    twin = network(neuron=Neuron(spiking=False))
    assert twin.timesteps == 1
    assert network(neuron=Neuron(spiking=False), timesteps=2).timesteps == 2
    assert not any(isinstance(module, LIF) for module in twin.modules())
    assert sum(isinstance(module, Rate) for module in twin.modules()) == 3
    steps = twin.eval()(maps(2, 1, 8, 8), 3)
    torch.testing.assert_close(steps, steps[:1].expand(3, -1, -1))


def test_questions_without_an_answer_are_refused():
    net, images, frames = network(), maps(2, 1, 8, 8), maps(5, 2, 1, 8, 8)
    with pytest.raises(ValueError, match="6 timesteps asked of 5 frames"):
        net(frames, 6)
    for x in (images, frames):
        with pytest.raises(ValueError, match=f"{SILENT}, got 0"):
            net(x, 0)
    with pytest.raises(ValueError, match=SILENT):
        net(frames[:0])
    with pytest.raises(ValueError, match=r"got a tensor of shape \[1, 8, 8\]"):
        net(images[0])


@pytest.mark.parametrize("name", ["timesteps", "num_classes", "in_channels", "channels"])
def test_counts_below_one_are_refused(name):
    with pytest.raises(ValueError, match=f"{name} must be at least 1, got 0"):
        network(**{"channels": 4, name: 0})
