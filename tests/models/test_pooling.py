"""Means over 2×2 windows: torch's own to the bit, derivatives too, wherever the short way is taken."""

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from models.networks import pooling
from models.networks.layers import AvgPool2d


def maps(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Numbers of many sizes, whose sums depend on their order."""
    generator = torch.Generator().manual_seed(0)
    found = torch.randn(shape, generator=generator, dtype=torch.float64)
    return (found * 10 ** (3 * torch.randn(shape, generator=generator, dtype=torch.float64))).to(dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(5, 3, 8, 6), (1, 1, 2, 2), (2, 17, 4, 10)])
def test_values_and_derivatives_are_torchs_to_the_bit(dtype, shape):
    found = []
    for pool in (pooling.halved, lambda x: functional.avg_pool2d(x, 2)):
        x = maps(*shape, dtype=dtype).requires_grad_()
        along = maps(*shape, dtype=dtype).flip(0, 2)
        y = pool(x)
        (first,) = torch.autograd.grad((y**3).sum(), x, create_graph=True)
        (second,) = torch.autograd.grad(first, x, along, create_graph=True)
        (third,) = torch.autograd.grad(second, x, along)
        found.append([one.detach() for one in (y, first, second, third)])
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))


def test_derivatives_are_those_of_differences():
    x = maps(2, 3, 4, 6, dtype=torch.float64).clamp(-2, 2).requires_grad_()
    assert torch.autograd.gradcheck(pooling.halved, x)
    assert torch.autograd.gradgradcheck(pooling.halved, x)


def test_maps_are_as_they_were_and_share_nothing_with_their_means():
    x = maps(2, 3, 4, 4)
    before, means = x.clone(), pooling.halved(x)
    means.zero_()
    assert torch.equal(x, before)


class Seen(TorchDispatchMode):
    """The operators that run."""

    def __init__(self):
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.names.append(func.__name__)
        return func(*args, **(kwargs or {}))


def test_who_watches_operators_sees_a_pool():
    with Seen() as seen:
        AvgPool2d(2)(torch.ones(1, 2, 3, 4, 4))
    assert "avg_pool2d.default" in seen.names


class Torchs(TorchFunctionMode):
    """Counts what is left to torch."""

    calls = 0

    def __torch_function__(self, func, types, args=(), kwargs=None):
        self.calls += func is functional.avg_pool2d
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize(
    ("pool", "given", "left"),
    [
        (AvgPool2d(2), maps(2, 3, 4, 4, 4), 0),
        (AvgPool2d(2), maps(2, 3, 4, 5, 4), 1),
        (AvgPool2d(2), maps(2, 3, 4, 4, 5), 1),
        (AvgPool2d(2), maps(2, 3, 4, 4, 4).transpose(2, 4), 1),
        (AvgPool2d(2, stride=1), maps(2, 3, 4, 4, 4), 1),
        (AvgPool2d(2, padding=1), maps(2, 3, 4, 4, 4), 1),
        (AvgPool2d(2, divisor_override=3), maps(2, 3, 4, 4, 4), 1),
        (AvgPool2d(4), maps(2, 3, 4, 4, 4), 1),
        (AvgPool2d(2), maps(2, 3, 4, 4, 4).bfloat16(), 1),
    ],
    ids=["taken", "odd height", "odd width", "channels last", "stride", "padding", "divisor", "window", "half"],
)
def test_what_the_short_way_does_not_take_is_torchs(pool, given, left):
    with Torchs() as torchs:
        found = pool(given)
    assert torchs.calls == left
    expected = nn.AvgPool2d.forward(pool, given.flatten(0, 1)).unflatten(0, given.shape[:2])
    assert torch.equal(found, expected)


def test_transforms_go_through_torch():
    x = maps(4, 2, 3, 4, 4)
    together = torch.func.vmap(AvgPool2d(2))(x[:, None])
    assert torch.equal(together[:, 0], AvgPool2d(2)(x))
