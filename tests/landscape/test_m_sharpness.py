"""m-sharpness: the mean of the groups' own worst rises, and how it stands to the rise of all examples."""

import numpy as np
import pytest
from torch import nn

from landscape.objective import Objective
from landscape.sharpness import m_sharpness, worst_rise
from tests.rises import convolutional, quadratic


def groups(objective, size):
    batches = [(inputs, target) for _, inputs, target in objective.batches()]
    parts = [pair for inputs, target in batches for pair in zip(inputs.split(size), target.split(size), strict=True)]
    return [Objective(objective.model, objective.loss, [pair]) for pair in parts if len(pair[1]) == size]


def test_it_is_the_mean_of_the_groups_own_worst_rises_with_the_spread_over_groups():
    parts = groups(convolutional(nn.Tanh()), 6)
    found = m_sharpness(parts, radius=0.3, steps=4)
    rises = [worst_rise(part, radius=0.3, steps=4, restarts=1).value for part in parts]
    assert found.rises.tolist() == rises
    assert (found.value, found.size) == (pytest.approx(np.mean(rises)), 6)
    assert found.stderr == pytest.approx(np.std(rises, ddof=1) / 2)


def test_smaller_groups_rise_higher_and_none_lower_than_all_at_once():
    objective = convolutional(nn.Tanh())
    values = [m_sharpness(groups(objective, size), radius=0.3, steps=15).value for size in (1, 3, 12)]
    assert values[0] > values[1] > values[2] > worst_rise(objective, radius=0.3, steps=15).value


def test_on_a_quadratic_one_step_is_that_of_each_group():
    """With L = g·ε + ½ εᵀHε of the group alone, SAM's step ρg/‖g‖ gives ρ‖g‖ + ½ρ² ĝᵀHĝ."""
    objective, *_ = quadratic()
    parts = groups(objective, 5)
    found = m_sharpness(parts, radius=0.2, steps=1)
    for part, rise in zip(parts, found.rises, strict=True):
        ((_, inputs, _),) = part.batches()
        gradient = part.gradient().view(3, 5)
        unit = gradient / gradient.norm()
        curved = (unit @ inputs.T).square().sum() / 5
        assert rise == pytest.approx((0.2 * gradient.norm() + 0.02 * curved).item(), rel=1e-9)
    assert np.isnan(found.residual)
    assert not found.converged


def test_what_the_second_half_of_the_steps_added_to_the_mean_is_its_residual():
    parts = groups(convolutional(nn.Tanh()), 8)
    found = m_sharpness(parts, radius=2.0, steps=4, tolerance=1e-6)
    halves = [np.nanmax(worst_rise(part, radius=2.0, steps=4, restarts=1).path[0, :2]) for part in parts]
    assert found.residual == pytest.approx(1 - sum(halves) / found.rises.sum(), rel=1e-6)
    assert not found.converged
    assert m_sharpness(parts, radius=2.0, steps=4, tolerance=1.0).converged


def test_progress_goes_by_the_group_and_the_frame_holds_the_result():
    made: list[int] = []
    found = m_sharpness(groups(quadratic()[0], 5), radius=0.2, steps=2, progress=made.append)
    (row,) = found.to_frame().to_dict("records")
    assert (row["value"], row["size"], row["groups"]) == (found.value, 5, len(made))


def test_groups_that_have_no_spread_or_no_common_size_are_refused():
    parts = groups(quadratic()[0], 5)
    for given in ([], parts[:1], [*parts[:2], groups(quadratic()[0], 4)[0]]):
        with pytest.raises(ValueError, match="at least two groups of equally many"):
            m_sharpness(given, radius=0.1)
    with pytest.raises(ValueError, match="must be positive"):
        m_sharpness(parts, radius=-0.1)
