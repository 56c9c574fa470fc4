"""Average rises against the closed form of a quadratic loss, each draw by hand, and rescaling."""

import numpy as np
import pytest
import torch
from torch import nn

from landscape.sharpness import average_rise, noise_borne, worst_rise
from landscape.sharpness.noise import noise_scale, noises
from landscape.surfaces import filter_scale
from tests.rises import Spikes, convolutional, quadratic, rise_at, squares


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


@pytest.mark.parametrize(
    ("noise", "unit"), [("absolute", lambda w: torch.ones_like(w)), ("magnitude", lambda w: w.abs())]
)
def test_each_kind_of_noise_has_its_unit(noise, unit):
    objective, _, hessian, _ = quadratic()
    scale = unit(objective.parameters.vector())
    assert torch.equal(noise_scale(objective.parameters, noise), scale)
    scaled = scale[:, None] * hessian * scale
    found = average_rise(objective, radii=[0.2], draws=200, noise=noise)
    assert abs(found.value[0] - 0.02 * scaled.trace().item()) < 4 * found.stderr[0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_noise_is_the_same_in_every_precision_but_for_rounding(dtype):
    exact = noises(torch.full((1001,), 0.5, dtype=torch.float64), 3, seed=4)
    for drawn, rounded in zip(exact, noises(torch.full((1001,), 0.5, dtype=dtype), 3, seed=4), strict=True):
        assert rounded.dtype == dtype
        assert torch.equal(rounded, drawn.to(dtype))


def test_only_absolute_and_magnitude_aware_noise_move_batchnorm():
    parameters = convolutional(nn.Tanh()).parameters
    moved = {
        noise: {name for name, part in zip(parameters.names, parameters.split(scale), strict=True) if part.any()}
        for noise, scale in ((noise, noise_scale(parameters, noise)) for noise in ("filter", "magnitude", "absolute"))
    }
    assert moved["absolute"] == set(parameters.names)
    assert "1.weight" in moved["magnitude"]
    assert moved["filter"] == {"0.weight", "4.weight"}


def test_a_seed_means_one_answer_and_leaves_the_global_generator_alone():
    objective, *_ = quadratic()
    before = torch.random.get_rng_state()
    first = average_rise(objective, radii=[0.1], draws=3, seed=5)
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.rand(3)
    again = average_rise(objective, radii=[0.1], draws=3, seed=5)
    assert np.array_equal(first.rises, again.rises)
    assert not np.array_equal(first.rises, average_rise(objective, radii=[0.1], draws=3, seed=6).rises)


def test_a_loss_that_overflows_stays_in_the_result():
    objective, *_ = quadratic()
    objective.loss = lambda output, target: squares(output, target).exp()
    assert np.isfinite(average_rise(objective, radii=[0.1, 100.0], draws=2).value).tolist() == [True, False]


def test_numbers_that_make_no_sense_are_refused():
    objective, *_ = quadratic()
    for radii in ([], [0.0], [-0.1], [float("nan")]):
        with pytest.raises(ValueError, match="radii must be positive"):
            average_rise(objective, radii=radii)
    for draws in (1, 0, -1):
        with pytest.raises(ValueError, match=f"at least 2 draws, got {draws}"):
            average_rise(objective, radii=[0.1], draws=draws)
    with pytest.raises(ValueError, match="noise must be one of filter, magnitude, absolute, got 'weight'"):
        average_rise(objective, radii=[0.1], noise="weight")
    objective.model.weight.data.zero_()
    with pytest.raises(ValueError, match="every weight is zero"):
        average_rise(objective, radii=[0.1], noise="magnitude")


def test_the_frame_holds_the_result():
    objective, *_ = quadratic()
    averages = average_rise(objective, radii=[0.1, 0.2], draws=3)
    frame = averages.to_frame()
    assert frame["radius"].tolist() == [0.1, 0.2]
    assert frame["stderr"].tolist() == averages.stderr.tolist()
    assert frame["draws"].tolist() == [3, 3]


@pytest.mark.parametrize("activation", [nn.Tanh(), Spikes()])
@pytest.mark.parametrize(("noise", "invariant"), [("filter", True), ("magnitude", True), ("absolute", False)])
def test_filters_rescaled_before_a_batchnorm_change_the_rise_under_absolute_noise_alone(activation, noise, invariant):
    plain, rescaled = (convolutional(activation, factor) for factor in (1.0, 3.0))
    assert plain.value() == pytest.approx(rescaled.value(), rel=1e-12)
    before, after = (
        average_rise(objective, radii=[0.1, 0.5], draws=4, noise=noise).value for objective in (plain, rescaled)
    )
    assert np.allclose(before, after, rtol=1e-6) == invariant


@pytest.mark.parametrize(
    "measure",
    [
        lambda o: average_rise(o, radii=[0.1], draws=2),
        lambda o: worst_rise(o, radius=0.1, steps=2),
        lambda o: noise_borne(o, draws=2),
    ],
)
def test_weights_come_back_bit_for_bit_and_bad_objectives_are_refused(measure):
    objective, *_ = quadratic()
    before = objective.parameters.vector()
    measure(objective)
    assert torch.equal(objective.parameters.vector(), before)
    calls = []

    def failing(output, target):
        calls.append(1)
        if len(calls) == 6:
            raise KeyError("in the middle of a moved point")
        return squares(output, target)

    objective.loss = failing
    with pytest.raises(ValueError, match="the loss fails on a batch: KeyError"):
        measure(objective)
    assert torch.equal(objective.parameters.vector(), before)
    objective.loss = lambda output, target: squares(output, target).mean()
    with pytest.raises(ValueError, match="reduction='none'"):
        measure(objective)
    objective.loss = lambda output, target: squares(output, target) * float("nan")
    with pytest.raises(ValueError, match="not finite"):
        measure(objective)
