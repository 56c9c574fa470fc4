"""BatchNorm and neuron in one against the two layers, in training, in float64; and where they stay two."""

import copy
from unittest import mock

import pytest
import torch
from torch import nn

from models.losses import tet_loss
from models.networks import build, layers
from models.networks.layers import BatchNorm2d, Conv2d, Stack, fire
from models.networks.resnet import Block, Neuron
from models.neurons import fused_normalized, normalized
from models.neurons.lif import LIF
from models.neurons.selection import select


@pytest.fixture(autouse=True)
def small_maps_too(monkeypatch):
    monkeypatch.setattr(fused_normalized, "LEAST", 0)


def numbers(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def channels_last(maps):
    return maps.flatten(0, 1).contiguous(memory_format=torch.channels_last).unflatten(0, maps.shape[:2])


def maps(channels=6, seed=0):
    return channels_last(3 * numbers(3, 2, channels, 4, 5, seed=seed) + 100)


def pair(channels=6, scale=1.0, **chosen):
    norm = BatchNorm2d(channels, scale).double()
    with torch.no_grad():
        norm.weight.copy_(1 + numbers(channels, seed=8).abs())
        norm.bias.copy_(numbers(channels, seed=9))
    return norm, LIF(**chosen)


def trained(norm, neuron, x, plus):
    """Spikes, gradients, second derivatives along a direction, and the running statistics after it."""
    norm = copy.deepcopy(norm)
    inputs = [each for each in (x, plus, norm.weight, norm.bias) if each is not None]
    spikes = fire(norm, neuron, x, plus)
    upstream = numbers(*x.shape, seed=5)
    gradients = torch.autograd.grad(spikes, inputs, upstream, create_graph=True)
    slope = torch.stack([(each * torch.sin(each.detach() + 1)).sum() for each in gradients]).sum()
    seconds = torch.autograd.grad(slope, inputs)
    alone = torch.autograd.grad(fire(norm, neuron, x, plus), inputs, upstream)
    return [spikes, *gradients, *seconds, *alone, norm.running_mean, norm.running_var, norm.num_batches_tracked]


@pytest.mark.parametrize("channels", [2, 6, 512])
@pytest.mark.parametrize("scale", [1.0, 0.7])
@pytest.mark.parametrize("shortcut", [False, True])
def test_in_one_they_are_the_two_layers(channels, scale, shortcut, monkeypatch):
    x = maps(channels).requires_grad_()
    plus = maps(channels, seed=1).sub(100).requires_grad_() if shortcut else None
    norm, neuron = pair(channels, scale, decay=0.9, threshold=0.8, surrogate="arctan")
    calls = []
    real = normalized.normalized_spikes

    def counted(*given):
        calls.append(given)
        return real(*given)

    monkeypatch.setattr(normalized, "normalized_spikes", counted)
    found = trained(norm, neuron, x, plus)
    assert len(calls) == 2
    monkeypatch.setattr(layers, "_one", lambda *_: None)
    wanted = trained(norm, neuron, x, plus)
    assert torch.equal(found[0], wanted[0])
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-9)


@pytest.mark.parametrize("channels", [2, 6, 512])
@pytest.mark.parametrize("scales", [(1.0, 1.0), (0.7, 0.4)])
@pytest.mark.parametrize("lay", [channels_last, torch.Tensor.contiguous], ids=["channels last", "contiguous"])
def test_a_shortcut_s_norm_is_in_one_with_them(channels, scales, lay, monkeypatch):
    x, plus = maps(channels).requires_grad_(), lay(maps(channels, seed=1) + 50).requires_grad_()
    norm, neuron = pair(channels, scales[0], decay=0.9, threshold=0.8, surrogate="arctan")
    other, _ = pair(channels, scales[1])
    with torch.no_grad():
        other.weight.mul_(0.3)
        other.bias.add_(0.5)
    together = _summed(norm, other, neuron, x, plus)
    monkeypatch.setattr(layers, "_one", lambda *_: None)
    apart = _summed(norm, other, neuron, x, plus)
    assert torch.equal(together[0], apart[0])
    for one, wanted in zip(together, apart, strict=True):
        torch.testing.assert_close(one, wanted, rtol=1e-10, atol=1e-9)


def _summed(norm, other, neuron, x, plus):
    """Spikes of two normalized maps, gradients and second derivatives, running statistics."""
    norm, other = copy.deepcopy(norm), copy.deepcopy(other)
    inputs = [x, plus, norm.weight, norm.bias, other.weight, other.bias]
    spikes = fire(norm, neuron, x, plus, plus_norm=other)
    upstream = numbers(*x.shape, seed=5)
    gradients = torch.autograd.grad(spikes, inputs, upstream, create_graph=True)
    slope = torch.stack([(each * torch.sin(each.detach() + 1)).sum() for each in gradients]).sum()
    seconds = torch.autograd.grad(slope, inputs)
    alone = torch.autograd.grad(fire(norm, neuron, x, plus, plus_norm=other), inputs, upstream)
    return [spikes, *gradients, *seconds, *alone, *norm.buffers(), *other.buffers()]


WAYS = {
    "as it is": lambda block: None,
    "shortcut looked at": lambda block: block.shortcut.register_forward_hook(lambda *_: None),
    "its norm looked at": lambda block: block.shortcut.norm.register_forward_hook(lambda *_: None),
    "its norm as in evaluation": lambda block: block.shortcut.norm.eval(),
    "by the reference": lambda block: select(block, "reference"),
}


@pytest.mark.parametrize("how", WAYS)
def test_a_block_with_a_wider_shortcut_is_its_layers(how, monkeypatch):
    block = Block(4, 6, 2, norm="tdbn", neuron=Neuron()).double().to(memory_format=torch.channels_last)
    WAYS[how](block)
    x = channels_last(numbers(3, 2, 4, 8, 8)).requires_grad_()
    calls, real = [], normalized.normalized_spikes

    def counted(*given):
        calls.append(given[3])
        return real(*given)

    monkeypatch.setattr(normalized, "normalized_spikes", counted)

    def gradients():
        running = copy.deepcopy(block)
        moved = [x, *running.parameters()]
        spikes = running(x)
        return [spikes, *torch.autograd.grad(spikes, moved, numbers(*spikes.shape, seed=1)), *running.buffers()]

    found = gradients()
    if how != "by the reference":
        assert [each is not None for each in calls] == [False, how == "as it is"]
    monkeypatch.setattr(layers, "_one", lambda *_: None)
    for one, other in zip(found, gradients(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)


def test_threads_share_the_channels_out_right():
    x = channels_last(numbers(3, 8, 6, 32, 32)).requires_grad_()
    norm, neuron = pair()
    alone = trained(norm, neuron, x, None)
    torch.set_num_threads(3)
    try:
        together = trained(norm, neuron, x, None)
    finally:
        torch.set_num_threads(1)
    for one, other in zip(alone, together, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)


def together(both, x):
    norm, neuron = both
    return layers._one(norm, neuron, x, len(x)) is fused_normalized


def looked_at(change):
    """The layers stay two when ``change`` has been done to them, or to their maps."""
    norm, neuron = pair()
    x = change(norm, neuron)
    assert not layers._one(norm, neuron, maps() if x is None else x, 3)


def test_they_stay_two_where_somebody_looks_between_or_the_kernel_does_not_apply():
    assert together(pair(), maps())
    looked_at(lambda norm, _: norm.register_forward_hook(lambda *_: None) and None)
    looked_at(lambda _, neuron: neuron.register_forward_pre_hook(lambda *_: None) and None)
    looked_at(lambda norm, _: norm.eval() and None)
    looked_at(lambda _, neuron: setattr(neuron, "implementation", "reference"))
    looked_at(lambda *_: maps().contiguous())
    with mock.patch.object(fused_normalized, "LEAST", maps().numel() + 1):
        looked_at(lambda *_: None)
    with torch.no_grad():
        looked_at(lambda *_: None)
    assert not layers._one(nn.SyncBatchNorm(6), LIF(), maps(), 3)
    assert not together(pair(600), maps(600))


def test_a_hook_on_the_neuron_sees_its_current():
    norm, neuron = pair()
    seen = []
    neuron.register_forward_pre_hook(lambda _, arguments: seen.append(arguments[0].detach()))
    x = maps()
    Stack(norm, neuron)(x)
    (current,) = seen
    torch.testing.assert_close(current.mean((0, 1, 3, 4)), norm.bias.detach(), rtol=1e-9, atol=1e-9)


def test_a_stack_is_a_sequential():
    norm, neuron = pair()
    parts = (Conv2d(6, 6, 3).double(), norm, neuron, nn.Flatten(2))
    x = maps()
    torch.testing.assert_close(Stack(*parts)(x), nn.Sequential(*copy.deepcopy(parts))(x))
    assert list(Stack(*parts).state_dict()) == list(nn.Sequential(*parts).state_dict())


def test_a_shortcut_that_is_the_block_s_own_input_is_not_counted_twice():
    block = Block(4, 4, 1, norm="batch", neuron=Neuron()).double().to(memory_format=torch.channels_last)
    x = channels_last(numbers(3, 2, 4, 5, 5)).requires_grad_()
    weights = [x, *block.parameters()]
    upstream = numbers(*x.shape, seed=1)

    def product():
        gradients = torch.autograd.grad(block(x), weights, upstream, create_graph=True)
        return torch.autograd.grad(torch.stack([g.square().sum() for g in gradients]).sum(), weights)

    found = product()
    select(block, "reference")
    for one, other in zip(found, product(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)


def test_a_network_trains_as_by_the_reference():
    images, labels = numbers(4, 1, 8, 8), torch.tensor([0, 1, 2, 3])

    def step(implementation):
        network = build("digits-cnn", seed=0).double().to(memory_format=torch.channels_last).train()
        select(network, implementation)
        loss = tet_loss(network(images), labels)
        loss.backward()
        return [loss.detach(), *(weight.grad for weight in network.parameters()), *network.buffers()]

    for one, other in zip(step("auto"), step("reference"), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-11, atol=1e-12)
