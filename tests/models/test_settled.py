"""BatchNorm in eval mode, differentiated twice, against torch's own."""

import pytest
import torch
from torch import nn
from torch.func import functional_call, vmap

from models.networks import settled
from models.networks.layers import BatchNorm2d


def norm(dtype=torch.float64, **arguments):
    made = BatchNorm2d(3, **arguments).to(dtype).eval()
    generator = torch.Generator().manual_seed(1)
    made.weight.data, made.bias.data = (torch.randn(3, generator=generator).to(dtype) for _ in range(2))
    made.running_mean = torch.randn(3, generator=generator).to(dtype)
    made.running_var = (torch.rand(3, generator=generator) + 0.2).to(dtype)
    return made


def maps(dtype=torch.float64):
    numbers = torch.randn(2, 5, 3, 4, 2, generator=torch.Generator().manual_seed(0)).to(dtype)
    return numbers.requires_grad_()


def torchs(made, x):
    return nn.BatchNorm2d.forward(made, x.flatten(0, 1)).view_as(x)


def derivatives(function, made, x):
    """First and second derivatives of a function of the output that is linear in nothing."""
    places = [x, made.weight, made.bias]
    first = torch.autograd.grad(
        (function(x).sin() * torch.arange(x.numel()).view_as(x)).sum(), places, create_graph=True
    )
    mixed = sum((one * torch.linspace(1, 2, one.numel(), dtype=one.dtype).view_as(one)).sum() for one in first)
    return [*first, *torch.autograd.grad(mixed, places)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_forward_is_torchs_to_the_bit(dtype):
    made, x = norm(dtype), maps(dtype)
    assert torch.equal(made(x), torchs(made, x))
    with torch.no_grad():
        assert torch.equal(made(x), torchs(made, x))


def test_first_and_second_derivatives_are_torchs(monkeypatch):
    made, x = norm(), maps()
    calls, original = [], settled._Settled.apply

    def apply(*given):
        calls.append(len(given))
        return original(*given)

    monkeypatch.setattr(settled._Settled, "apply", apply)
    found = derivatives(made, made, x)
    assert calls
    for one, other in zip(found, derivatives(lambda x: torchs(made, x), made, x), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)


def test_a_mean_far_from_zero_costs_no_digits():
    """The slope of the weight is summed of what is left about the mean."""
    made, x = norm(torch.float32), maps(torch.float32)
    made.running_mean.fill_(1e4)
    far = (x.detach() + 1e4).requires_grad_()
    exact = (far.detach().double() - 1e4) / (made.running_var.double() + made.eps).sqrt()[:, None, None]
    (found,) = torch.autograd.grad(made(far).sum(), made.weight)
    torch.testing.assert_close(found.double(), exact.sum((0, 1, 3, 4)), rtol=1e-4, atol=1e-4)


def test_what_it_does_not_take_goes_torchs_way(monkeypatch):
    monkeypatch.setattr(settled._Settled, "apply", None)
    made, x = norm(), maps()
    weights = torch.stack([made.weight.detach(), 2 * made.weight.detach()])
    found = vmap(lambda weight: functional_call(made, {"weight": weight}, (x.detach(),)))(weights)
    torch.testing.assert_close(found[0], torchs(made, x.detach()))
    assert made.train()(x).shape == x.shape
    bare = BatchNorm2d(3).double()
    bare.running_mean = bare.running_var = None
    assert bare.eval()(x).shape == x.shape
    with pytest.raises(TypeError):
        norm()(x)
