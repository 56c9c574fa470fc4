import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from analysis.timesteps.calibration import calibration


def found(confidence, right, **settings):
    settings = {"generator": np.random.default_rng(0)} | settings
    return calibration(np.asarray(confidence, dtype=float), np.asarray(right, dtype=bool), **settings)


def test_by_hand():
    # Two bins: 0.5 belongs to the lower one. (2/4)|1/2 − 0.45| + (2/4)|1 − 0.8| = 0.125.
    assert found([0.4, 0.5, 0.6, 1.0], [True, False, True, True], bins=2).ece == pytest.approx(0.125)


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=30), st.integers(1, 20))
def test_it_is_guo_et_als_sum_over_bins(images, bins):
    confidence, right = (np.array(one) for one in zip(*images, strict=True))
    total = 0.0
    for k in range(1, bins + 1):
        low, high = (k - 1) / bins, k / bins
        inside = (np.ceil(confidence * bins) == k) | ((k == 1) & (confidence == 0))
        assert ((confidence[inside] >= low - 1e-9) & (confidence[inside] <= high + 1e-9)).all()
        if inside.any():
            total += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    assert found(confidence, right, bins=bins, resamples=2).ece == pytest.approx(total, abs=1e-12)


def test_the_null_is_the_binomials_mean_deviation_where_all_confidences_are_equal():
    # One occupied bin: E|Bin(n, c)/n − c|.
    n, c = 40, 0.7
    expected = stats.binom(n, c).expect(lambda k: abs(k / n - c))
    one = found(np.full(n, c), np.ones(n), resamples=20_000)
    assert one.null == pytest.approx(expected, rel=0.02)
    assert one.ece == pytest.approx(0.3)


def test_the_error_is_that_of_the_mean_excess_where_all_bins_err_the_same_way():
    draw = np.random.default_rng(1)
    confidence = draw.uniform(0.8, 1.0, 400)
    right = draw.random(400) < 0.4
    one = found(confidence, right, resamples=2000)
    excess = confidence - right
    assert one.ece == pytest.approx(excess.mean())
    assert one.stderr == pytest.approx(excess.std() / 20, rel=0.05)


def test_of_a_calibrated_network_the_ece_is_its_null_and_of_an_overconfident_one_it_is_not():
    draw = np.random.default_rng(2)
    confidence = draw.uniform(0.3, 1.0, 2000)
    calibrated = found(confidence, draw.random(2000) < confidence)
    over = found(confidence, draw.random(2000) < confidence - 0.2)
    assert abs(calibrated.ece - calibrated.null) < 3 * calibrated.stderr
    assert over.ece - over.null > 10 * over.stderr
    assert over.ece == pytest.approx(0.2, abs=0.04)


@pytest.mark.parametrize("settings", [{"bins": 0}, {"resamples": 1}])
def test_no_bins_and_no_resamples_are_refused(settings):
    with pytest.raises(ValueError, match="at least 1 bin and 2 resamples, got"):
        found([0.5], [True], **settings)
