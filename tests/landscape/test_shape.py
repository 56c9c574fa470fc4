"""Numbers of a surface against closed forms: cones, paraboloids, and noise of known size."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from landscape.surfaces import mean_rise, radius_at_rise, roughness

AXIS = np.linspace(-1, 1, 41)
LINE = np.zeros(1)


def paraboloid(a: float, b: float) -> np.ndarray:
    """0.5 + a α² + b β²."""
    return 0.5 + a * AXIS[:, None] ** 2 + b * AXIS[None, :] ** 2


@given(st.floats(0.5, 4), st.floats(0.05, 0.4))
def test_a_parabola_s_radius_is_the_root_of_rise_over_curvature(a, rise):
    found = radius_at_rise(paraboloid(a, 0)[:, :1], AXIS, LINE, rise)
    assert found.reached == (a > rise)
    assert found.value == pytest.approx(min(np.sqrt(rise / a), 1), abs=5e-3)


def test_a_line_with_unequal_slopes_has_the_mean_of_both_sides():
    values = np.where(AXIS > 0, AXIS, -2 * AXIS)[:, None]
    assert radius_at_rise(values, AXIS, LINE, 0.4).value == pytest.approx((0.4 + 0.2) / 2)


def test_an_ellipse_has_the_radius_of_a_circle_of_its_area():
    found = radius_at_rise(paraboloid(1, 4), AXIS, AXIS, 0.25)
    assert found.reached
    assert found.value == pytest.approx(np.sqrt(0.5 * 0.25), rel=0.01)


def test_another_basin_does_not_count():
    values = np.minimum(paraboloid(9, 9), 0.5 + 9 * ((AXIS[:, None] - 0.8) ** 2 + AXIS[None, :] ** 2))
    alone = radius_at_rise(paraboloid(9, 9), AXIS, AXIS, 0.25)
    assert radius_at_rise(values, AXIS, AXIS, 0.25).value == pytest.approx(alone.value)


def test_a_level_that_is_not_reached_gives_a_lower_bound_and_says_so():
    assert radius_at_rise(paraboloid(1, 1), AXIS, AXIS, 3.0) == (pytest.approx(2 / np.sqrt(np.pi), rel=0.05), False)
    assert radius_at_rise(paraboloid(1, 0)[:, :1], AXIS, LINE, 3.0) == (1, False)


def test_an_infinite_loss_bounds_the_radius_at_the_last_finite_point():
    values = np.where(np.abs(AXIS) < 0.48, 0.0, np.inf)[:, None]
    assert radius_at_rise(values, AXIS, LINE, 1.0) == (pytest.approx(0.45), True)


@given(st.floats(0, 4), st.floats(0, 4), st.floats(0.1, 1))
def test_the_mean_rise_over_a_circle_is_half_the_trace(a, b, radius):
    assert mean_rise(paraboloid(a, b), AXIS, AXIS, radius) == pytest.approx((a + b) / 2 * radius**2, abs=5e-3)
    assert mean_rise(paraboloid(a, b)[:, 20:21], AXIS, LINE, radius) == pytest.approx(a * radius**2, abs=3e-3)


def test_the_roughness_of_noise_is_its_standard_deviation():
    noise = 0.3 * np.random.default_rng(0).standard_normal((101, 101))
    assert roughness(noise) == pytest.approx(0.3, rel=0.03)
    assert roughness(noise[:, :1]) == pytest.approx(0.3, rel=0.3)


def test_the_roughness_of_a_smooth_surface_vanishes_as_the_cube_of_the_spacing():
    coarse, fine = (np.sin(3 * np.linspace(-1, 1, count))[:, None] for count in (41, 81))
    assert roughness(coarse) / roughness(fine) == pytest.approx(8, rel=0.1)


def test_the_roughness_of_steps_stays():
    coarse, fine = (np.floor(7.3 * np.linspace(-1, 1, count))[:, None] for count in (41, 81))
    assert roughness(fine) > 0.6 * roughness(coarse) > 0.1


def test_too_few_points_have_no_roughness():
    assert np.isnan(roughness(np.zeros((3, 3))))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: radius_at_rise(paraboloid(1, 1), AXIS, AXIS, 0.0), "rise must be positive"),
        (lambda: mean_rise(paraboloid(1, 1), AXIS, AXIS, 1.5), "where the surface is known"),
        (lambda: mean_rise(paraboloid(1, 1)[:40], AXIS[:40] + 0.01, AXIS, 0.5), "odd number of points"),
    ],
)
def test_what_has_no_answer_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
