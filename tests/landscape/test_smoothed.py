"""The curvature of the smoothed loss where it is known: a quadratic, and a single step."""

from math import erf, sqrt

import numpy as np
import pytest
import torch
from torch import nn

from landscape.objective import Objective
from landscape.sharpness import curvature_at_radius, gaussian_direction, smoothed_curvature
from landscape.surfaces import filter_scale


def squares(output, target):
    return (output - target).square().sum(1) / 2


@pytest.fixture(scope="module")
def quadratic() -> tuple[Objective, torch.Tensor]:
    """A linear regression away from its minimum, and its Hessian I ⊗ XᵀX/N."""
    generator = torch.Generator().manual_seed(0)
    model = nn.Linear(4, 2, bias=False).double()
    model.weight.data = torch.randn(2, 4, generator=generator, dtype=torch.float64)
    inputs, target = (torch.randn(30, width, generator=generator, dtype=torch.float64) for width in (4, 2))
    hessian = torch.block_diag(*[inputs.T @ inputs / 30] * 2)
    return Objective(model, squares, [(inputs[:20], target[:20]), (inputs[20:], target[20:])]), hessian


def test_directions_are_normal_in_units_of_the_filters_and_of_mean_square_length_one(quadratic):
    parameters = quadratic[0].parameters
    drawn = torch.stack([gaussian_direction(parameters, seed=seed) for seed in range(1000)])
    scale = filter_scale(parameters)
    torch.testing.assert_close(drawn.square().mean(0), (scale / scale.norm()) ** 2, rtol=0.2, atol=0)
    assert float(drawn.square().sum(1).mean()) == pytest.approx(1, rel=0.05)
    assert float(drawn.square().sum(1).std()) > 0.1  # not all of one length


def test_a_quadratic_has_its_scaled_trace_at_every_radius(quadratic):
    objective, hessian = quadratic
    scale = filter_scale(objective.parameters)
    expected = float((scale**2 * hessian.diag()).sum() / (scale**2).sum())
    found = smoothed_curvature(objective, radii=[1e-2, 1.0, 1e2], draws=200)
    assert (np.abs(found.value - expected) < 4 * found.stderr).all()
    assert (found.stderr < 0.1 * expected).all()
    np.testing.assert_allclose(found.value, found.value[0], rtol=1e-6)
    np.testing.assert_allclose(found.relative_radii, found.radii / float(objective.parameters.vector().norm()))
    assert found.decided.all()


def test_errors_are_over_draws_and_examples(quadratic):
    objective, _ = quadratic
    found = smoothed_curvature(objective, radii=[0.3], draws=5, seed=7)
    alone = [
        curvature_at_radius(objective, gaussian_direction(objective.parameters, seed=7 + draw), [0.3], unit=False)
        for draw in range(5)
    ]
    values = np.array([one.second_difference[0] for one in alone])
    assert found.value[0] == pytest.approx(values.mean())
    assert found.stderr[0] == pytest.approx(values.std(ddof=1) / sqrt(5))
    assert found.examples_stderr[0] == pytest.approx(np.mean([one.second_difference_stderr[0] for one in alone]))


class Fires(nn.Module):
    """1 where weight · x > 1."""

    def __init__(self, weight: float):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([[weight]], dtype=torch.float64))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x @ self.weight > 1).double()


@pytest.mark.slow
def test_a_step_smoothed_by_a_gaussian_has_the_closed_form():
    model, x, y = Fires(0.9), torch.ones(2, 1, dtype=torch.float64), torch.zeros(2, 1, dtype=torch.float64)
    found = smoothed_curvature(Objective(model, squares, [(x, y)]), radii=[1e-3, 0.1, 0.5], draws=400)
    loss = np.array([(1 + erf((0.9 - 1) / (radius * sqrt(2)))) / 4 for radius in found.radii])
    expected = 2 * loss / found.radii**2
    assert found.value[0] == 0.0
    assert found.participation[0] == 0.0
    assert not found.decided[0]
    assert (np.abs(found.value - expected)[1:] < 4 * found.stderr[1:]).all()
    assert found.decided[1:].all()


def test_participation_is_one_when_all_examples_make_the_number_and_falls_to_the_one_that_does():
    model, y = Fires(0.9), torch.zeros(8, 1, dtype=torch.float64)
    for firing in (8, 2, 1):
        x = torch.full((8, 1), 0.01, dtype=torch.float64)
        x[:firing] = 1
        found = curvature_at_radius(Objective(model, squares, [(x, y)]), torch.ones(1, dtype=torch.float64), [0.2])
        assert found.participation[0] == pytest.approx(firing / 8)


def test_examples_of_opposite_signs_both_take_part():
    y = torch.tensor([[0.0], [1.0]], dtype=torch.float64)
    objective = Objective(Fires(0.9), squares, [(torch.ones(2, 1, dtype=torch.float64), y)])
    found = curvature_at_radius(objective, torch.ones(1, dtype=torch.float64), [0.2])
    assert found.mean_rise[0] == 0
    assert found.participation[0] == pytest.approx(1)


@pytest.mark.parametrize("draws", [0, 1])
def test_a_single_draw_is_refused(draws, quadratic):
    with pytest.raises(ValueError, match="draws must be at least 2"):
        smoothed_curvature(quadratic[0], radii=[1.0], draws=draws)
