"""The noise that a minimum bears, against the closed form of a quadratic loss, and its error against its spread."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from landscape.objective import Objective
from landscape.sharpness import average_rise, bound, noise_borne
from tests.rises import Spikes, convolutional, quadratic, squares


@pytest.mark.slow
@settings(max_examples=12)
@given(rise=st.floats(1e-4, 1e3), noise=st.sampled_from(["absolute", "magnitude"]), seed=st.integers(0, 50))
def test_on_a_quadratic_it_is_the_root_of_the_rise_over_half_the_mean_form(rise, noise, seed):
    """The mean rise of common random numbers is σ² q with q the mean of the forms, and so is its error."""
    objective, *_ = quadratic()
    forms = average_rise(objective, radii=[1.0], draws=5, noise=noise, seed=seed)
    found = noise_borne(objective, rise=rise, noise=noise, draws=5, seed=seed)
    assert found.value == pytest.approx(math.sqrt(rise / forms.value[0]), rel=1e-3)
    assert found.stderr == pytest.approx(found.value / 2 * forms.stderr[0] / forms.value[0], rel=5e-3)
    assert found.converged


def test_it_tends_to_what_the_hessian_says():
    objective, _, hessian, _ = quadratic()
    found = noise_borne(objective, rise=0.1, draws=80)
    assert abs(found.value - math.sqrt(0.2 / hessian.trace().item())) < 4 * found.stderr


@pytest.mark.slow
def test_the_error_is_the_spread_over_seeds():
    objective = convolutional(nn.Tanh())
    runs = [noise_borne(objective, rise=0.2, draws=6, seed=seed) for seed in range(16)]
    spread = np.std([run.value for run in runs], ddof=1)
    assert np.mean([run.stderr for run in runs]) == pytest.approx(spread, rel=0.45)


def test_the_mean_rise_at_the_noise_found_is_the_one_asked_for_also_on_a_staircase():
    objective = convolutional(Spikes())
    found = noise_borne(objective, rise=0.3, noise="magnitude", draws=8, seed=3, tolerance=0.01)
    at = average_rise(objective, radii=[found.value], draws=8, noise="magnitude", seed=3)
    assert at.value[0] == pytest.approx(0.3, rel=0.05)
    assert found.residual <= 0.01


def test_the_error_of_a_classifier_is_a_loss_like_another():
    untrained = convolutional(nn.Tanh())
    ((_, inputs, _),) = untrained.batches()
    with untrained.evaluating():
        learned = untrained.model(inputs).argmax(1)
    objective = Objective(untrained.model, lambda output, y: (output.argmax(1) != y).double(), [(inputs, learned)])
    found = noise_borne(objective, rise=0.1, draws=10)
    at = average_rise(objective, radii=[found.value], draws=10, noise="absolute")
    assert at.value[0] == pytest.approx(0.1, abs=0.02)
    assert found.stderr > 0


def test_a_search_cut_short_says_so():
    found = noise_borne(quadratic()[0], rise=0.1, draws=2, max_steps=3, tolerance=1e-9)
    assert not found.converged
    assert found.residual > 1e-9


def test_a_loss_that_overflows_bounds_the_noise_from_above():
    objective, *_ = quadratic()
    objective.loss = lambda output, target: squares(output, target).exp()
    found = noise_borne(objective, rise=1e300, draws=2)
    assert 0 < found.value < math.inf


def test_a_rise_out_of_reach_is_an_infinite_noise_that_has_not_converged():
    objective, *_ = quadratic()
    objective.loss = lambda output, target: squares(output, target).sigmoid()
    found = noise_borne(objective, rise=2.0, draws=2)
    assert (found.value, found.converged) == (math.inf, False)
    assert math.isnan(found.stderr)
    assert math.isnan(bound(1.0, found.value, 10))


def test_the_bounds_are_written_as_in_the_papers():
    assert bound(3.0, 0.5, 100) == pytest.approx(3.0 / (4 * 0.25) + math.log(200) + 10)


def test_the_frame_holds_the_result():
    found = noise_borne(quadratic()[0], draws=2)
    (row,) = found.to_frame().to_dict("records")
    assert (row["sigma"], row["noise"], row["rise"], row["draws"]) == (found.value, "absolute", 0.1, 2)


def test_numbers_that_make_no_sense_and_a_loss_that_jumps_at_once_are_refused():
    objective, *_ = quadratic()
    for wrong in ({"rise": 0.0}, {"rise": -1.0}, {"rise": math.inf}, {"tolerance": 0.0}, {"max_steps": 0}):
        with pytest.raises(ValueError, match="must be positive"):
            noise_borne(objective, **wrong)
    for draws in (0, 1):
        with pytest.raises(ValueError, match=f"at least 2 draws, got {draws}"):
            noise_borne(objective, draws=draws)
    with pytest.raises(ValueError, match="noise must be one of"):
        noise_borne(objective, noise="relative")
    ((_, inputs, _), _) = objective.batches()
    with objective.evaluating():
        before = objective.model(inputs)
    objective = Objective(objective.model, lambda output, y: (output != before).any(1).double(), [(inputs, inputs)])
    with pytest.raises(ValueError, match="even noise of"):
        noise_borne(objective, rise=0.1, draws=2)
