"""Second differences against the Hessian where there is one, and on a staircase, where there is none."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from landscape.objective import Objective
from landscape.sharpness import curvature_at_radius


def squares(output, target):
    return (output - target).square().sum(1) / 2


def quadratic():
    """A linear regression away from its minimum, and its Hessian I ⊗ XᵀX/N."""
    generator = torch.Generator().manual_seed(0)
    model = nn.Linear(4, 2, bias=False).double()
    model.weight.data = torch.randn(2, 4, generator=generator, dtype=torch.float64)
    inputs, target = (torch.randn(30, width, generator=generator, dtype=torch.float64) for width in (4, 2))
    hessian = torch.block_diag(*[inputs.T @ inputs / 30] * 2)
    direction = torch.randn(8, generator=generator, dtype=torch.float64)
    return Objective(model, squares, [(inputs[:20], target[:20]), (inputs[20:], target[20:])]), hessian, direction


def smooth():
    """A tanh network in float64, and its Hessian by automatic differentiation of the flat loss."""
    generator = torch.Generator().manual_seed(1)
    model = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 2)).double()
    inputs, target = (torch.randn(12, width, generator=generator, dtype=torch.float64) for width in (3, 2))
    objective = Objective(model, squares, [(inputs, target)])
    parameters = objective.parameters
    weights = torch.randn(parameters.dimension, generator=generator, dtype=torch.float64)
    parameters.assign(weights)

    def flat(vector):
        named = dict(zip(parameters.names, parameters.split(vector), strict=True))
        return squares(torch.func.functional_call(model, named, (inputs,)), target).mean()

    direction = torch.randn(parameters.dimension, generator=generator, dtype=torch.float64)
    return objective, torch.autograd.functional.hessian(flat, weights), direction


class Step(torch.autograd.Function):
    """A step whose backward is the derivative of tanh, itself differentiable."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return (x > 0).to(x.dtype)

    @staticmethod
    def backward(ctx, gradient):
        return gradient * (1 - ctx.saved_tensors[0].tanh() ** 2)


class Staircase(nn.Module):
    """One unit that fires when weight · x > 1, read out with weight 3."""

    def __init__(self, weight: float):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([weight], dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        return 3 * Step.apply(self.weight * x - 1)


def test_a_quadratic_loss_has_its_curvature_at_every_radius():
    objective, hessian, direction = quadratic()
    unit = direction / direction.norm()
    expected = (unit @ hessian @ unit).item()
    found = curvature_at_radius(objective, direction, [1e-2, 1.0, 1e2])
    assert found.second_difference == pytest.approx([expected] * 3, rel=1e-8)
    assert found.mean_rise == pytest.approx(np.array([1e-4, 1.0, 1e4]) * expected / 2, rel=1e-8)
    norm = objective.parameters.vector().norm().item()
    assert found.relative_radii == pytest.approx([1e-2 / norm, 1.0 / norm, 1e2 / norm])


def test_the_length_and_sign_of_the_direction_do_not_matter():
    objective, _, direction = smooth()
    one, other = (curvature_at_radius(objective, factor * direction, [0.3]) for factor in (1, -50))
    assert one.second_difference == pytest.approx(other.second_difference, rel=1e-9)


def test_on_a_smooth_network_second_differences_tend_to_the_hessians_quadratic_form():
    objective, hessian, direction = smooth()
    unit = direction / direction.norm()
    expected = (unit @ hessian @ unit).item()
    found = curvature_at_radius(objective, direction, [1e-1, 1e-2, 1e-3])
    errors = np.abs(found.second_difference - expected)
    assert errors[2] < 1e-6 * abs(expected)
    assert errors[0] / errors[1] == pytest.approx(100, rel=0.2)  # the error is of second order in r


def test_on_a_staircase_second_differences_vanish_or_blow_up_while_the_formal_curvature_is_finite():
    inputs, target = torch.ones(2, 1, dtype=torch.float64), torch.zeros(2, 1, dtype=torch.float64)
    model = Staircase(weight=1 - 1e-5)  # silent, and 1e-5 below firing
    objective = Objective(model, squares, [(inputs, target)])
    found = curvature_at_radius(objective, torch.ones(1, dtype=torch.float64), [1e-6, 2e-5, 1e-1])
    rise = 4.5 / 2  # firing costs 3²/2, on one side only
    assert found.mean_rise == pytest.approx([0, rise, rise])
    assert found.second_difference == pytest.approx([0, 2 * rise / 4e-10, 2 * rise / 1e-2])

    loss = squares(model(inputs), target).mean()
    (gradient,) = torch.autograd.grad(loss, model.weight, create_graph=True)
    (formal,) = torch.autograd.grad(gradient.sum(), model.weight)
    assert 1 < formal.abs().item() < 10


def test_the_standard_error_is_over_examples_paired_at_both_ends():
    objective, _, direction = smooth()
    weights, unit = objective.parameters.vector(), direction / direction.norm()
    found = curvature_at_radius(objective, direction, [0.5])
    with objective.parameters.restored():
        losses = []
        for side in (0.5, 0.0, -0.5):
            objective.parameters.assign(weights + side * unit)
            losses.append(objective.examples().numpy())
    second = (losses[0] - 2 * losses[1] + losses[2]) / 0.25
    assert found.examples == 12
    assert found.second_difference[0] == pytest.approx(second.mean())
    assert found.second_difference_stderr[0] == pytest.approx(second.std(ddof=1) / 12**0.5)
    assert found.mean_rise_stderr[0] == pytest.approx(second.std(ddof=1) / 12**0.5 / 8)


def test_the_weights_come_back_bit_for_bit_also_from_an_exception():
    objective, _, direction = smooth()
    before = objective.parameters.vector()
    curvature_at_radius(objective, direction, [1e-3, 1.0])
    assert torch.equal(objective.parameters.vector(), before)
    calls = []

    def failing(output, target):
        calls.append(1)
        if len(calls) == 3:
            raise KeyError("in the middle of a moved point")
        return squares(output, target)

    objective.loss = failing
    with pytest.raises(ValueError, match="the loss fails on a batch: KeyError"):
        curvature_at_radius(objective, direction, [1e-3])
    assert torch.equal(objective.parameters.vector(), before)


def test_the_frame_has_a_row_for_each_radius():
    objective, _, direction = quadratic()
    found = curvature_at_radius(objective, direction, [0.1, 1.0])
    frame = found.to_frame()
    assert frame["radius"].tolist() == [0.1, 1.0]
    assert frame["second_difference_stderr"].tolist() == found.second_difference_stderr.tolist()
    assert frame["relative_radius"].tolist() == found.relative_radii.tolist()


@pytest.mark.parametrize("radii", [[], [0.0], [-1.0], [float("inf")], [0.1, float("nan")]])
def test_radii_that_are_not_positive_are_refused(radii):
    objective, _, direction = quadratic()
    with pytest.raises(ValueError, match="radii must be positive"):
        curvature_at_radius(objective, direction, radii)


def test_a_direction_that_is_none_is_refused():
    objective, _, direction = quadratic()
    for wrong in (torch.zeros(8), direction[:3], direction * float("nan")):
        with pytest.raises(ValueError, match="the direction must hold 8 finite numbers"):
            curvature_at_radius(objective, wrong, [0.1])
