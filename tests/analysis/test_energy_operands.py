"""What an operand is, followed and looked at; where images lie in it."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn.functional import adaptive_avg_pool2d, avg_pool2d
from torch.utils._python_dispatch import TorchDispatchMode

from analysis.energy.flow import GRADED, SPIKES, Flow, Values
from analysis.energy.looking import looked_at
from analysis.energy.places import FEW, Fold, places
from analysis.subject import Spiking

SPIKING = (torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(0)) < 0.4).float()
ONES = torch.ones(4, 3, 8, 8)


class Follow(TorchDispatchMode):
    """Follows values through what is executed."""

    def __init__(self, **known):
        super().__init__()
        self.flow = Flow()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        output = func(*args, **(kwargs or {}))
        self.flow.carry(func, args, output)
        return output


def counts_of(function, given=SPIKING, values=SPIKES):
    """How many spikes each number of ``function(given)`` is, and the window; None where they are graded."""
    given = given.clone()
    with Follow() as follow:
        follow.flow.put(given, values)
        made = function(given)
    seen = looked_at(made, follow.flow)
    return seen.spikes, seen.window


@pytest.mark.parametrize(
    ("function", "expected", "window"),
    [
        (lambda s: avg_pool2d(s, 2), lambda s: avg_pool2d(s, 2) * 4, 4),
        (lambda s: avg_pool2d(avg_pool2d(s, 2), (2, 1)), lambda s: avg_pool2d(s, (4, 2)) * 8, 8),
        (lambda s: adaptive_avg_pool2d(s, 1).flatten(1), lambda s: s.sum((2, 3)), 64),
        (lambda s: s.mean((2, 3)), lambda s: s.sum((2, 3)), 64),
        (lambda s: s.mean(0), lambda s: s.sum(0), 4),
        (lambda s: s.sum(0), lambda s: s.sum(0), 4),
        (lambda s: 0.125 * s, lambda s: s, 1),
        (lambda s: (s / 3).permute(1, 0, 2, 3).contiguous(), lambda s: s.permute(1, 0, 2, 3), 1),
        (lambda s: torch.cat([s, s]) + 1.0 * torch.cat([s, s]), lambda s: 2 * torch.cat([s, s]), 1),
        (lambda s: s * s.flip(0), lambda s: s * s.flip(0), 1),
        (lambda s: 1 - s, lambda s: 1 - s, 1),
        (lambda s: -s, lambda s: s, 1),
        (lambda s: s.clone().mul_(0.5)[1:], lambda s: s[1:], 1),
    ],
)
@pytest.mark.parametrize("spikes", [SPIKING, ONES])
def test_spikes_on_their_way_stay_spikes(function, expected, window, spikes):
    # Where all fire, numbers alone would say nothing of windows and factors.
    counts, found = counts_of(function, spikes)
    assert counts is not None
    assert torch.allclose(counts, expected(spikes).double(), atol=1e-4)
    assert found == window


@pytest.mark.parametrize(
    "function",
    [
        lambda s: s * torch.linspace(0.1, 1, 8),
        lambda s: (s + torch.linspace(0.1, 1, 8)).tanh(),
        lambda s: s @ s.transpose(2, 3),  # whole numbers, and no spikes
        lambda s: s @ torch.linspace(0, 1, 8).expand(8, 8),
    ],
)
def test_what_is_made_of_spikes_can_be_graded(function):
    assert counts_of(function)[0] is None


def test_spikes_are_born_of_graded_values():
    graded = torch.linspace(-1, 1, 20)
    for function in (
        lambda x: (x > 0.3).float(),
        lambda x: torch.heaviside(x, torch.zeros(())),
        lambda x: torch.where(x > 0.3, 1.0, 0.0),
        lambda x: 0.5 * (torch.sign(x) + 1),
        lambda x: x.clamp(0, 1).round(),
        lambda x: x + ((x > 0.3).float() - x).detach(),
    ):
        counts, _ = counts_of(function, graded, GRADED)
        assert counts is not None
        assert torch.equal(counts, counts.bool().double())
        assert 0 < counts.sum() < 20


def test_nothing_fires_or_nothing_passes_is_told_apart_by_where_it_comes_from():
    nothing = torch.zeros(3, 5)
    assert counts_of(lambda x: (x > 1).float(), nothing, GRADED)[0].sum() == 0
    assert counts_of(torch.relu, nothing, GRADED)[0] is None
    assert counts_of(lambda x: 2 * x, torch.ones(3, 5), Values("graded", image=True))[0] is None


@given(st.integers(1, 5), st.integers(1, 4), st.integers(1, 3), st.integers(0, 1))
def test_images_are_found_wherever_they_lie(before, behind, images, axis):
    """[before·image·behind] in one axis: sums by image are those of each image alone."""

    class Folded(nn.Module):
        def forward(self, x):
            rows = torch.cat(
                [step * x.repeat_interleave(behind, 0).unflatten(0, (-1, behind)) for step in range(1, before + 1)]
            )
            rows = rows * torch.arange(1, behind + 1).unsqueeze(1)
            rows = rows.flatten(0, 1)
            return rows @ torch.ones(2, 3) if axis == 0 else torch.ones(3, 2) @ rows.T

    network, x = Folded(), torch.rand(FEW, 2, generator=torch.Generator().manual_seed(0))
    found = places(network, Spiking(), lambda index: network(x[list(index)]), 1)
    ((one, other),) = found
    fold = one if axis == 0 else other
    assert (other if axis == 0 else one) is None
    assert fold == Fold(axis, before, behind)
    cost = torch.rand(before * images * behind, 2) if axis == 0 else torch.rand(2, before * images * behind)
    sums = fold.by_image(cost.double(), images).sum(0)
    apart = cost.movedim(axis, 0).reshape(before, images, behind, 2).sum((0, 2, 3))
    assert torch.allclose(sums, apart.double())


def test_networks_that_mix_images_are_told():
    network = nn.Flatten()
    with pytest.raises(ValueError, match="where in it they lie can't be told"):
        places(
            network,
            Spiking(),
            lambda index: (
                network(torch.ones(len(index), 2)) @ torch.ones(2, len(index)) @ torch.ones(len(index), len(index))
            ),
            1,
        )
