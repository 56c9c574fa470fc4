"""Surfaces to a tolerance where few examples hide most: tight tolerances, what turns infinite late, one example."""

import warnings

import numpy as np
import pytest
import torch
from torch import nn

from landscape.surfaces import grid, surface


class Weights(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.w, self.function = nn.Parameter(torch.zeros(1, dtype=torch.float64)), function

    def forward(self, examples):
        return self.function(self.w, *examples.T)


def line(function, count, tolerance=None, points=41, seeds=(1, 0)):
    """The losses' means over a line, in batches of 50 with an example's number beside its parameter.

    ``seeds`` draw the parameters, and the points held out.
    """
    generator = torch.Generator().manual_seed(seeds[0])
    numbers = torch.arange(count, dtype=torch.float64)
    data = torch.stack([torch.rand(count, generator=generator, dtype=torch.float64) * 9, numbers], 1)
    return surface(
        Weights(function), lambda output, _: {"loss": output}, [(part, part) for part in data.split(50)],
        [torch.ones(1, dtype=torch.float64)], grid(-1.0, 1.0, points),
        tolerance=None if tolerance is None else {"loss": tolerance}, seed=seeds[1],
    )  # fmt: skip


def steps(w, a, number):
    return (a * (1 + w**2) + w).floor()


def late(w, a, number):
    """Infinite for the examples after the first 100, and there only beyond 0.5."""
    return torch.where((number >= 100) & (w > 0.5), torch.inf, a * (1 + w**2) + w)


def apart(found, whole):
    both = np.isfinite(whole.mean["loss"]) & np.isfinite(found.mean["loss"])
    return float(np.sqrt(np.square(found.mean["loss"][both] - whole.mean["loss"][both]).mean()))


@pytest.mark.parametrize("tolerance", [1e-9, 1e-6, 1e-4, 1e-3, 0.01, 0.05])
@pytest.mark.parametrize(("count", "seeds"), [(150, (1, 0)), (260, (3, 1)), (600, (3, 1)), (600, (11, 0))])
def test_no_error_is_said_to_be_below_what_it_is(tolerance, count, seeds):
    """The noise of the first 100 examples is common to all points held out, and was taken off their errors.

    With the seeds that are not (1, 0) it is small at all of them at once.
    """
    whole, found = line(steps, count, seeds=seeds), line(steps, count, tolerance, seeds=seeds)
    said = found.errors["loss"]
    assert apart(found, whole) <= said.error + 1e-12
    assert said.error <= tolerance * said.range
    if tolerance < 1e-3:
        assert not found.interpolated.any()


def test_nothing_is_interpolated_beside_what_later_examples_make_infinite():
    whole, found = line(late, 400), line(late, 400, 0.002)
    lost = ~np.isfinite(found.mean["loss"])
    assert (lost & (found.images < 400)).sum() < lost.sum()  # some were lost after their first examples
    beside = np.flatnonzero(lost[:-1] != lost[1:])
    assert len(beside) == 1
    assert not found.interpolated[beside].any()
    assert apart(found, whole) <= found.errors["loss"].error


@pytest.mark.parametrize("tolerance", [None, 0.01, 0.5])
def test_one_example_has_no_standard_error(tolerance):
    found = line(steps, 1, tolerance)
    assert np.isnan(found.stderr["loss"]).all()
    assert np.isnan(found.rise_stderr["loss"]).all()
    assert np.isfinite(found.mean["loss"]).all()


def test_losses_of_any_size_are_measured_without_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = line(lambda w, a, number: 1e30 * steps(w, a, number), 200, 0.02)
    plain = line(steps, 200, 0.02)
    assert found.errors["loss"].error == pytest.approx(1e30 * plain.errors["loss"].error)
    assert (found.interpolated == plain.interpolated).all()
