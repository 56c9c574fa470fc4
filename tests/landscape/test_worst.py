"""Worst rises against the trust region of a quadratic loss, single steps by hand, and rescaling."""

import math
from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq
from torch import nn

from landscape.objective import Objective
from landscape.sharpness import worst, worst_rise
from landscape.surfaces import filter_scale
from tests.rises import Spikes, convolutional, quadratic, rise_at, squares


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
    assert (found.first, found.first_stderr) == pytest.approx(rise_at(objective, move), rel=1e-10)
    assert found.path[0, 0] == found.first


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
    reached = start + 8 * 0.5 * gradient / gradient.norm()
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


def test_a_seed_means_one_answer_and_leaves_the_global_generator_alone():
    objective, *_ = quadratic()
    before = torch.random.get_rng_state()
    found = worst_rise(objective, radius=0.1, steps=2, restarts=3, seed=5)
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.rand(3)
    assert np.array_equal(found.path, worst_rise(objective, radius=0.1, steps=2, restarts=3, seed=5).path)
    assert not np.array_equal(found.path, worst_rise(objective, radius=0.1, steps=2, restarts=3, seed=6).path)


def test_every_restart_begins_at_a_point_of_its_own(monkeypatch):
    starts, ascend = [], worst._ascend

    def noted(objective, weights, scale, start, radius, steps):
        starts.append(start.clone())
        return ascend(objective, weights, scale, start, radius, steps)

    monkeypatch.setattr(worst, "_ascend", noted)
    path = worst_rise(convolutional(nn.Tanh()), radius=0.5, steps=3, restarts=4).path
    assert [float(start.norm()) for start in starts] == pytest.approx([0, 0.5, 0.5, 0.5])
    for one, other in combinations(range(4), 2):
        assert float((starts[one] - starts[other]).norm()) > 0.4
        assert abs(path[one, 0] - path[other, 0]) > 1e-6 * path[one, 0]


def test_the_split_into_batches_does_not_matter():
    objective = convolutional(nn.Tanh())
    (_, inputs, target) = next(objective.batches())
    ragged = Objective(objective.model, objective.loss, [(inputs[:9], target[:9]), (inputs[9:], target[9:])])
    one, other = (worst_rise(each, radius=0.5, steps=4) for each in (objective, ragged))
    assert one.value == pytest.approx(other.value, rel=1e-9)
    assert one.stderr == pytest.approx(other.stderr, rel=1e-9)


def test_a_loss_that_overflows_stays_in_the_result():
    objective, *_ = quadratic()
    objective.loss = lambda output, target: squares(output, target).exp()
    found = worst_rise(objective, radius=100.0, steps=3, restarts=2)
    assert (found.value, found.converged) == (math.inf, False)
    objective.loss = lambda output, target: squares(output, target) + 0 * squares(output, target).exp()
    assert math.isnan(worst_rise(objective, radius=100.0, steps=3, restarts=2).value)


def test_numbers_that_make_no_sense_are_refused():
    objective, *_ = quadratic()
    for radius, steps, restarts in ((0.0, 1, 1), (-1.0, 1, 1), (float("inf"), 1, 1), (1.0, 0, 1), (1.0, 1, 0)):
        with pytest.raises(ValueError, match="must be positive"):
            worst_rise(objective, radius=radius, steps=steps, restarts=restarts)


def test_the_frame_holds_the_result():
    objective, *_ = quadratic()
    worst = worst_rise(objective, radius=0.5, steps=3, restarts=2, adaptive=True)
    (row,) = worst.to_frame().to_dict("records")
    assert (row["value"], row["first"]) == (worst.value, worst.path[0, 0])
    assert (row["restarts"], row["steps"], row["adaptive"]) == (2, 3, True)


@pytest.mark.parametrize("activation", [nn.Tanh(), Spikes()])
def test_filters_rescaled_before_a_batchnorm_change_the_plain_worst_case_alone(activation):
    plain, rescaled = (convolutional(activation, factor) for factor in (1.0, 3.0))
    for adaptive in (True, False):
        found = [worst_rise(each, radius=1.0, steps=5, adaptive=adaptive) for each in (plain, rescaled)]
        assert np.isclose(found[0].value, found[1].value, rtol=1e-6) == adaptive
        assert np.isclose(found[0].first, found[1].first, rtol=1e-6) == adaptive
