"""The simultaneous band: coverage by simulation, its limits against scipy, and what it is made of."""

import numpy as np
import pytest
from scipy import stats

from analysis.compare.band import band, shrunk_correlation

RADII = np.linspace(0.1, 1, 8)


def correlation(length):
    """Of curves that are alike over ``length``: 0 for independent radii, inf for one number at all radii."""
    if length == 0:
        return np.eye(len(RADII))
    return np.exp(-0.5 * ((RADII[:, None] - RADII) / length) ** 2) + 1e-9 * np.eye(len(RADII))


def drawn(count, pairs, length, seed):
    """So many experiments of differences around zero; their spread grows with the radius."""
    normal = np.random.default_rng(seed).standard_normal((count, pairs, len(RADII)))
    return normal @ np.linalg.cholesky(correlation(length)).T * RADII


@pytest.mark.slow(keep=1)
@pytest.mark.parametrize("pairs", [3, 5, 10])
@pytest.mark.parametrize("length", [0, 0.3, 3])
def test_the_band_holds_the_whole_curve_as_often_as_it_says(pairs, length):
    """At least 95 % of 300 experiments, within what so many can show, and so many draws; and no wider than needed."""
    found = [band(RADII, each, draws=1000, seed=1) for each in drawn(300, pairs, length, seed=pairs)]
    covered = np.mean([((each.low <= 0) & (each.high >= 0)).all() for each in found])
    assert covered >= 0.95 - 3 * (0.95 * 0.05 * (1 / 300 + 1 / 1000)) ** 0.5
    bonferroni = stats.t.ppf(1 - 0.025 / len(RADII), pairs - 1)
    assert np.median([each.critical for each in found]) <= 1.1 * bonferroni


def test_intervals_of_their_own_would_not():
    """The witness of the test above: Student's intervals at each radius miss the curve far more often."""
    differences = drawn(1000, 5, 0.15, seed=0)
    half = stats.t.ppf(0.975, 4) * differences.std(1, ddof=1) / 5**0.5
    assert (np.abs(differences.mean(1)) <= half).all(1).mean() < 0.88


def test_curves_that_are_one_number_have_nearly_students_interval():
    """But for λ, which leaves every radius a part of its own."""
    number = np.random.default_rng(0).standard_normal((20, 1))
    found = band(RADII, number + 0.001 * np.random.default_rng(1).standard_normal((20, 8)))
    assert 1 / 19 <= found.shrinkage < 0.2
    assert stats.t.ppf(0.975, 19) < found.critical < 0.95 * stats.t.ppf((1 + 0.95 ** (1 / 8)) / 2, 19)


def test_independent_radii_have_the_interval_of_the_largest_of_independent_ts():
    differences = np.random.default_rng(0).standard_normal((60, 8))
    found = band(RADII, differences, draws=5000)
    assert found.critical == pytest.approx(stats.t.ppf((1 + 0.95 ** (1 / 8)) / 2, 59), rel=0.03)


def test_two_pairs_count_as_independent_radii():
    found = band(RADII, np.random.default_rng(0).standard_normal((2, 8)), draws=40000)
    assert found.shrinkage == 1
    assert found.critical == pytest.approx(stats.t.ppf((1 + 0.95 ** (1 / 8)) / 2, 1), rel=0.15)


def test_shrinkage_is_its_formula_entry_by_entry():
    differences = drawn(1, 6, 0.5, seed=3)[0]
    z = stats.zscore(differences, ddof=1)
    numerator = denominator = 0.0
    plain = np.corrcoef(differences.T)
    for j in range(8):
        for k in range(8):
            if j != k:
                w = [row[j] * row[k] for row in z]
                numerator += 6 / 5**3 * sum((each - np.mean(w)) ** 2 for each in w)
                denominator += plain[j, k] ** 2
    found, shrinkage = shrunk_correlation(differences)
    assert shrinkage == pytest.approx(max(numerator / denominator, 1 / 5))
    assert found == pytest.approx((1 - shrinkage) * plain + shrinkage * np.eye(8))


def test_the_band_is_centred_on_the_mean_in_units_of_the_standard_error():
    differences = drawn(1, 5, 0.5, seed=1)[0] + 1
    found = band(RADII, differences, seed=2)
    assert found.mean == pytest.approx(differences.mean(0))
    assert (found.high - found.mean) == pytest.approx(found.critical * stats.sem(differences, axis=0))
    assert (found.high + found.low) / 2 == pytest.approx(found.mean)
    again = band(RADII, 1000 * differences, seed=2)
    assert again.critical == pytest.approx(found.critical, rel=1e-9)
    assert found.critical > stats.t.ppf(0.975, 4)


def test_differences_that_agree_by_chance_are_no_narrower_than_images_allow():
    differences = np.full((3, 8), 0.01)
    certain, honest = (band(RADII, differences, least=least) for least in (0.0, 0.02))
    assert certain.low == pytest.approx(certain.high)
    assert (honest.high - honest.low) == pytest.approx(2 * honest.critical * 0.02 / 3**0.5)
    assert (honest.low < 0).all()


@pytest.mark.parametrize(
    ("radii", "differences", "says"),
    [
        (RADII, np.zeros((1, 8)), "at least 2 pairs and 2 radii, got 1 and 8"),
        (RADII[:1], np.zeros((3, 1)), "at least 2 pairs and 2 radii, got 3 and 1"),
        (RADII[:7], np.zeros((3, 8)), "8 radii must ascend"),
        (RADII[::-1], np.zeros((3, 8)), "must ascend from above zero"),
        (RADII - 0.1, np.zeros((3, 8)), "must ascend from above zero"),
        (-RADII[::-1], np.zeros((3, 8)), "must ascend from above zero"),
        (np.array([0.1, np.nan]), np.zeros((3, 2)), "must ascend from above zero"),
        (RADII, np.where(np.arange(8) == 2, np.inf, np.zeros((3, 1))), "radius 0.357143 is not finite"),
    ],
)
def test_what_has_no_band_is_refused(radii, differences, says):
    with pytest.raises(ValueError, match=says):
        band(radii, differences)


def test_a_level_that_is_none_is_refused():
    with pytest.raises(ValueError, match="level must lie between 0 and 1, got 95"):
        band(RADII, np.zeros((3, 8)), level=95.0)
