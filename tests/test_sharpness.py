"""Average and worst rises against the closed forms of a quadratic loss, and against rescaling."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq
from torch import nn
from torch.nn import functional as F

from landscape.directions import filter_scale
from landscape.objective import Objective
from landscape.sharpness import average_rise, worst_rise


def squares(output, target):
    return (output - target).square().sum(1) / 2


def cross_entropy(output, target):
    return F.cross_entropy(output, target, reduction="none")


def quadratic():
    """A linear regression away from its minimum: objective, gradient, Hessian I ⊗ XᵀX/N, scale D."""
    generator = torch.Generator().manual_seed(0)
    model = nn.Linear(5, 3, bias=False).double()
    model.weight.data = torch.randn(3, 5, generator=generator, dtype=torch.float64)
    inputs, target = (torch.randn(40, width, generator=generator, dtype=torch.float64) for width in (5, 3))
    inputs *= torch.tensor([3.0, 1.0, 1.0, 0.5, 0.2])
    hessian = torch.block_diag(*[inputs.T @ inputs / 40] * 3)
    gradient = ((inputs @ model.weight.detach().T - target).T @ inputs / 40).reshape(-1)
    objective = Objective(model, squares, [(inputs[:25], target[:25]), (inputs[25:], target[25:])])
    return objective, gradient, hessian, filter_scale(objective.parameters)


class Step(torch.autograd.Function):
    """A step with a triangle for its derivative."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return (x > 0).to(x.dtype)

    @staticmethod
    def backward(ctx, gradient):
        return gradient * (1 - ctx.saved_tensors[0].abs()).clamp(min=0)


class Spikes(nn.Module):
    def forward(self, x):
        return Step.apply(x)


def convolutional(activation: nn.Module, factor: float = 1.0):
    """conv, BatchNorm, activation, linear in float64; ``factor`` rescales the convolution and leaves the function."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        convolution, norm = nn.Conv2d(1, 4, 3, bias=False), nn.BatchNorm2d(4)
        model = nn.Sequential(convolution, norm, activation, nn.Flatten(), nn.Linear(4 * 16, 3)).double()
        inputs, target = torch.randn(24, 1, 6, 6, dtype=torch.float64), torch.randint(3, (24,))
        for _ in range(20):
            model(inputs)
    convolution.weight.data *= factor
    for buffer, power in (("running_mean", 1), ("running_var", 2)):
        setattr(norm, buffer, getattr(norm, buffer) * factor**power)
    norm.eps *= factor**2
    return Objective(model, cross_entropy, [(inputs, target)])


def rise_at(objective, move):
    """The rise at w + move, and its paired standard error, by hand."""
    with objective.parameters.restored() as weights:
        before = objective.examples().numpy()
        objective.parameters.assign(weights + move)
        rise = objective.examples().numpy() - before
    return rise.mean(), rise.std(ddof=1) / len(rise) ** 0.5


def test_the_average_rise_of_a_quadratic_is_half_the_scaled_trace():
    objective, _, hessian, scale = quadratic()
    scaled = scale[:, None] * hessian * scale
    found = average_rise(objective, radii=[0.3], draws=400, seed=0)
    assert abs(found.value[0] - 0.045 * scaled.trace().item()) < 4 * found.stderr[0]
    # A Gaussian quadratic form ½ρ² νᵀAν has standard deviation ρ²‖A‖/√2.
    assert found.stderr[0] == pytest.approx(0.09 * scaled.norm().item() / 2**0.5 / 20, rel=0.25)


def test_on_a_quadratic_the_pair_cancels_the_slope_exactly():
    objective, gradient, _, _ = quadratic()
    found = average_rise(objective, radii=[1e-3, 1.0, 2.0], draws=5, seed=1)
    assert gradient.norm() > 1
    assert found.rises[1] == pytest.approx(1e6 * found.rises[0], rel=1e-5)
    assert found.rises[2] == pytest.approx(4 * found.rises[1], rel=1e-10)


def test_the_average_is_that_of_its_draws_and_each_draw_that_of_its_pair():
    objective = convolutional(Spikes())
    found = average_rise(objective, radii=[0.2, 0.5], draws=3, seed=2)
    generator, scale = torch.Generator().manual_seed(2), filter_scale(objective.parameters)
    for draw in range(3):
        noise = scale * torch.randn(len(scale), generator=generator, dtype=torch.float64)
        for row, radius in enumerate((0.2, 0.5)):
            pair = (rise_at(objective, radius * noise)[0] + rise_at(objective, -radius * noise)[0]) / 2
            assert found.rises[row, draw] == pytest.approx(pair, abs=1e-12)
    assert found.value == pytest.approx(found.rises.mean(1))
    assert found.stderr == pytest.approx(found.rises.std(axis=1, ddof=1) / 3**0.5)
    assert found.draws == 3


def test_the_error_over_examples_is_that_of_the_rise_averaged_over_draws():
    objective, _, _, scale = quadratic()
    found = average_rise(objective, radii=[0.4], draws=2, seed=3)
    generator = torch.Generator().manual_seed(3)
    weights, total = objective.parameters.vector(), torch.zeros(40, dtype=torch.float64)
    with objective.parameters.restored():
        centre = objective.examples()
        for _ in range(2):
            noise = 0.4 * scale * torch.randn(len(scale), generator=generator, dtype=torch.float64)
            for move in (noise, -noise):
                objective.parameters.assign(weights + move)
                total = total + (objective.examples() - centre) / 4
    assert found.examples_stderr[0] == pytest.approx(total.std().item() / 40**0.5)


def test_a_seed_means_one_answer_and_leaves_the_global_generator_alone():
    objective, *_ = quadratic()
    before = torch.random.get_rng_state()
    first = average_rise(objective, radii=[0.1], draws=3, seed=5)
    worst = worst_rise(objective, radius=0.1, steps=2, restarts=3, seed=5)
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.rand(3)
    again = average_rise(objective, radii=[0.1], draws=3, seed=5)
    assert np.array_equal(first.rises, again.rises)
    assert np.array_equal(worst.path, worst_rise(objective, radius=0.1, steps=2, restarts=3, seed=5).path)
    assert not np.array_equal(first.rises, average_rise(objective, radii=[0.1], draws=3, seed=6).rises)


def largest_in_ball(gradient, hessian, radius):
    """max g·ν + ½ νᵀHν over ‖ν‖ ≤ radius for a convex quadratic: ν = (μ − H)⁻¹g on the sphere, μ > λ_max."""
    values, vectors = np.linalg.eigh(hessian.numpy())
    along = vectors.T @ gradient.numpy()
    top = values[-1]
    shift = brentq(lambda s: math.log(np.linalg.norm(along / (top * (1 + s) - values)) / radius), 1e-12, 1e9)
    offset = along / (top * (1 + shift) - values)
    return along @ offset + offset**2 @ values / 2


@pytest.mark.parametrize("adaptive", [False, True])
@pytest.mark.parametrize("radius", [0.05, 1.0, 10.0])
def test_the_worst_rise_of_a_quadratic_is_the_trust_regions(radius, adaptive):
    objective, gradient, hessian, scale = quadratic()
    if adaptive:
        gradient, hessian = scale * gradient, scale[:, None] * hessian * scale
    found = worst_rise(objective, radius=radius, steps=60, restarts=2, adaptive=adaptive)
    expected = largest_in_ball(gradient, hessian, radius)
    assert found.value == pytest.approx(expected, rel=1e-4)
    assert found.value <= expected * (1 + 1e-12)
    assert found.converged
    assert found.residual < 1e-3


@pytest.mark.parametrize("adaptive", [False, True])
def test_the_first_step_is_that_of_sharpness_aware_minimisation(adaptive):
    objective = convolutional(nn.Tanh())
    gradient = objective.gradient()
    if adaptive:
        scale = filter_scale(objective.parameters)
        move = 0.5 * scale**2 * gradient / (scale * gradient).norm()
    else:
        move = 0.5 * gradient / gradient.norm()
    found = worst_rise(objective, radius=0.5, steps=3, restarts=1, adaptive=adaptive)
    assert found.path[0, 0] == pytest.approx(rise_at(objective, move)[0], rel=1e-10)


@pytest.mark.parametrize("adaptive", [False, True])
def test_another_restart_climbs_from_a_random_point_of_the_sphere(adaptive):
    objective = convolutional(nn.Tanh())
    scale = filter_scale(objective.parameters)
    scale = scale if adaptive else torch.ones_like(scale)
    start = torch.randn(len(scale), generator=torch.Generator().manual_seed(7), dtype=torch.float64) * (scale > 0)
    start = 0.5 * start / start.norm()
    with objective.parameters.restored() as weights:
        objective.parameters.assign(weights + scale * start)
        gradient = scale * objective.gradient()
    reached = start + 0.5 * gradient / gradient.norm()
    found = worst_rise(objective, radius=0.5, steps=2, restarts=2, adaptive=adaptive, seed=7)
    expected = rise_at(objective, scale * 0.5 * reached / reached.norm())[0]
    assert found.path[1, 0] == pytest.approx(expected, rel=1e-10)


@settings(max_examples=8)
@given(radius=st.floats(0.05, 20), adaptive=st.booleans(), seed=st.integers(0, 100))
def test_what_is_reported_is_the_true_loss_at_the_best_point_seen_inside_the_ball(radius, adaptive, seed):
    objective = convolutional(Spikes())
    found = worst_rise(objective, radius=radius, steps=4, restarts=3, adaptive=adaptive, seed=seed)
    assert found.value == pytest.approx(max(0.0, np.nanmax(found.path)), abs=1e-12)
    assert (found.value, found.stderr) == pytest.approx(rise_at(objective, found.perturbation), abs=1e-12)
    scale = filter_scale(objective.parameters) if adaptive else torch.ones_like(found.perturbation)
    moved = scale > 0
    assert not found.perturbation[~moved].any()
    assert (found.perturbation[moved] / scale[moved]).norm().item() <= radius * (1 + 1e-9)


@pytest.mark.parametrize("activation", [nn.Tanh(), Spikes()])
def test_the_worst_rise_exceeds_hundreds_of_random_ones(activation):
    objective = convolutional(activation)
    found = worst_rise(objective, radius=0.5)
    generator = torch.Generator().manual_seed(0)
    for _ in range(300):
        move = torch.randn(len(found.perturbation), generator=generator, dtype=torch.float64)
        assert rise_at(objective, 0.5 * move / move.norm())[0] < found.value


@pytest.mark.parametrize("activation", [nn.Tanh(), Spikes()])
@pytest.mark.parametrize("factor", [0.1, 10.0])
def test_a_convolution_rescaled_under_its_batchnorm_changes_the_plain_worst_case_alone(activation, factor):
    plain, rescaled = convolutional(activation), convolutional(activation, factor)
    assert plain.value() == pytest.approx(rescaled.value(), rel=1e-12)
    for measure in (
        lambda objective: average_rise(objective, radii=[0.1, 0.5], draws=4, seed=0).value,
        lambda objective: worst_rise(objective, radius=2.0, steps=5, restarts=2, adaptive=True).value,
    ):
        assert measure(plain) == pytest.approx(measure(rescaled), rel=1e-6)
    worst = [worst_rise(objective, radius=0.5, steps=5, restarts=2).value for objective in (plain, rescaled)]
    # Larger weights make a ball of given radius relatively smaller.
    assert (worst[0] / worst[1] - 1) * (factor - 1) > 0.005


def test_without_a_gradient_nothing_is_found_and_nothing_is_claimed():
    objective, *_ = quadratic()
    objective.loss = lambda output, target: (0 * output).sum(1)
    found = worst_rise(objective, radius=1.0, steps=4, restarts=2)
    assert (found.value, found.converged) == (0.0, False)
    assert math.isnan(found.residual)
    assert np.isnan(found.path).all()


def test_an_ascent_cut_short_does_not_claim_to_have_converged():
    objective = convolutional(nn.Tanh())
    assert not worst_rise(objective, radius=1.0, steps=1).converged
    short = worst_rise(objective, radius=2.0, steps=2, restarts=1, tolerance=1e-3)
    assert short.residual == pytest.approx(1 - short.path[0, 0] / short.value)
    assert not short.converged


def test_a_loss_that_overflows_stays_in_the_result():
    objective, *_ = quadratic()
    objective.loss = lambda output, target: squares(output, target).exp()
    found = worst_rise(objective, radius=100.0, steps=3, restarts=2)
    assert (found.value, found.converged) == (math.inf, False)
    assert np.isfinite(average_rise(objective, radii=[0.1, 100.0], draws=2).value).tolist() == [True, False]
    objective.loss = lambda output, target: squares(output, target) + 0 * squares(output, target).exp()
    assert math.isnan(worst_rise(objective, radius=100.0, steps=3, restarts=2).value)


@pytest.mark.parametrize(
    "measure", [lambda o: average_rise(o, radii=[0.1], draws=2), lambda o: worst_rise(o, radius=0.1, steps=2)]
)
def test_weights_come_back_bit_for_bit_and_bad_objectives_are_refused(measure):
    objective, *_ = quadratic()
    before = objective.parameters.vector()
    measure(objective)
    assert torch.equal(objective.parameters.vector(), before)
    calls = []

    def failing(output, target):
        calls.append(1)
        if len(calls) == 4:
            raise KeyError("in the middle of a moved point")
        return squares(output, target)

    objective.loss = failing
    with pytest.raises(KeyError):
        measure(objective)
    assert torch.equal(objective.parameters.vector(), before)
    objective.loss = lambda output, target: squares(output, target).mean()
    with pytest.raises(ValueError, match="reduction='none'"):
        measure(objective)
    objective.loss = lambda output, target: squares(output, target) * float("nan")
    with pytest.raises(ValueError, match="not finite"):
        measure(objective)


def test_numbers_that_make_no_sense_are_refused():
    objective, *_ = quadratic()
    for radii in ([], [0.0], [-0.1], [float("nan")]):
        with pytest.raises(ValueError, match="radii must be positive"):
            average_rise(objective, radii=radii)
    with pytest.raises(ValueError, match="at least 2 draws, got 1"):
        average_rise(objective, radii=[0.1], draws=1)
    for radius, steps, restarts in ((0.0, 1, 1), (float("inf"), 1, 1), (1.0, 0, 1), (1.0, 1, 0)):
        with pytest.raises(ValueError, match="must be positive"):
            worst_rise(objective, radius=radius, steps=steps, restarts=restarts)


def test_the_frames_hold_the_results():
    objective, *_ = quadratic()
    averages = average_rise(objective, radii=[0.1, 0.2], draws=3)
    frame = averages.to_frame()
    assert frame["radius"].tolist() == [0.1, 0.2]
    assert frame["stderr"].tolist() == averages.stderr.tolist()
    assert frame["draws"].tolist() == [3, 3]
    worst = worst_rise(objective, radius=0.5, steps=3, restarts=2, adaptive=True)
    (row,) = worst.to_frame().to_dict("records")
    assert (row["value"], row["first_step"]) == (worst.value, worst.path[0, 0])
    assert (row["restarts"], row["steps"], row["adaptive"]) == (2, 3, True)
