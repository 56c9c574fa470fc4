"""Means over windows of 2 × 2 in C, against torch's own: forward, derivatives of every order, and what goes its way."""

import pytest
import torch
from torch.func import functional_call, jacrev, vmap
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from models.networks import means
from models.networks.layers import AvgPool2d


def maps(*shape, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=dtype)


@pytest.fixture
def calls(monkeypatch):
    """The kernels that were called."""
    found, original = [], means._run

    def run(name, *more):
        found.append(name)
        return original(name, *more)

    monkeypatch.setattr(means, "_run", run)
    return found


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(2, 3, 4, 6, 8), (1, 1, 1, 2, 2), (2, 2, 1, 10, 4), (0, 2, 1, 4, 4)])
def test_means_and_their_slopes_are_torchs_to_the_bit(shape, dtype, calls):
    x, layer = maps(*shape, dtype=dtype).requires_grad_(), AvgPool2d(2)
    mean, theirs = layer(x), functional.avg_pool2d(x.flatten(0, 1), 2).unflatten(0, x.shape[:2])
    slope = maps(*mean.shape, dtype=dtype) + 1
    assert torch.equal(mean, theirs)
    assert torch.equal(*(torch.autograd.grad(one, x, slope)[0] for one in (mean, theirs)))
    with torch.no_grad():
        assert torch.equal(layer(x), theirs)
    assert calls == ["halve", "spread", "halve"]


def test_derivatives_of_every_order_are_torchs(calls):
    x = maps(3, 2, 4, 6).requires_grad_()
    weight = maps(*x.shape) + 2

    def orders(mean):
        first = torch.autograd.grad(mean(x.sin()).pow(3).sum(), x, create_graph=True)[0]
        second = torch.autograd.grad((first * weight).sum(), x, create_graph=True)[0]
        return first, second, torch.autograd.grad((second * weight).pow(2).sum(), x)[0]

    for ours, theirs in zip(orders(means.halved), orders(lambda x: functional.avg_pool2d(x, 2)), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)
    assert set(calls) == {"halve", "spread"}


def test_slopes_in_batches_and_out_of_order():
    x = maps(2, 3, 4, 4).requires_grad_()
    slopes = maps(5, 2, 3, 2, 2)
    (found,) = torch.autograd.grad(means.halved(x), x, slopes, is_grads_batched=True)
    for slope, one in zip(slopes, found, strict=True):
        torch.testing.assert_close(one, torch.autograd.grad(functional.avg_pool2d(x, 2), x, slope)[0])
    turned = maps(2, 3, 2, 2).transpose(2, 3)
    (found,) = torch.autograd.grad(means.halved(x), x, turned)
    assert torch.equal(found, torch.autograd.grad(functional.avg_pool2d(x, 2), x, turned)[0])


class Watching(TorchDispatchMode):
    seen: tuple[str, ...] = ()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.seen += (func.__name__,)
        return func(*args, **(kwargs or {}))


def test_what_is_no_plain_numbers_goes_torchs_way(calls):
    layer, x = AvgPool2d(2), maps(2, 3, 4, 6, 4)
    expected = functional.avg_pool2d(x.flatten(0, 1), 2).view(2, 3, 4, 3, 2)
    torch.testing.assert_close(vmap(layer)(x.unsqueeze(0))[0], expected)
    assert jacrev(lambda x: functional_call(layer, {}, (x,)))(x[:1, :1, :1]).shape == (1, 1, 1, 3, 2, 1, 1, 1, 6, 4)
    with Watching() as watching:
        layer(x)
    assert any(name.startswith("avg_pool2d") for name in watching.seen)
    assert layer(x.to(torch.bfloat16)).dtype == torch.bfloat16
    assert layer(x.transpose(3, 4)).shape == (2, 3, 4, 2, 3)
    assert layer(x[..., :3]).shape == (2, 3, 4, 3, 1)
    for other in (AvgPool2d(2, padding=1), AvgPool2d(2, stride=1), AvgPool2d(3), AvgPool2d(2, divisor_override=3)):
        torch.testing.assert_close(other(x), torch.nn.AvgPool2d.forward(other, x.flatten(0, 1)).unflatten(0, (2, 3)))
    assert not calls


def test_without_a_compiler_it_is_torchs(monkeypatch, calls):
    monkeypatch.setattr(means, "_library", lambda _dtype: None)
    assert AvgPool2d(2)(maps(1, 1, 1, 2, 2)).shape == (1, 1, 1, 1, 1)
    assert not calls


def test_beyond_few_numbers_only_on_one_thread(monkeypatch, calls):
    monkeypatch.setattr(means, "_FEW", 3)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    AvgPool2d(2)(maps(1, 1, 1, 2, 2))
    assert not calls
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    AvgPool2d(2)(maps(1, 1, 1, 2, 2))
    assert calls == ["halve"]
