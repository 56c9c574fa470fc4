"""Counts of rows: verdicts by scipy, nulls written out flip by flip and draw by draw, size and power by simulation."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from analysis.compare.counts import HEADLINES, effective_number, paired_count, unpaired_count

FAMILIES = np.repeat([0, 1, 2, 3], [8, 16, 8, 8])
seeds = st.integers(0, 2**32 - 1)


def families(n, seed, *, shared=0.4, family=0.5, own=0.1):
    """40 rows by n: as in measures of flatness, all have something in common, those of a family nearly everything."""
    generator = np.random.default_rng(seed)
    common, kin = generator.normal(size=n), generator.normal(size=(4, n))[FAMILIES]
    return shared**0.5 * common + family**0.5 * kin + own**0.5 * generator.normal(size=(40, n))


def correlations():
    same = FAMILIES[:, None] == FAMILIES
    return 0.4 + 0.5 * same + 0.1 * np.eye(40)


def most(sides):
    return np.maximum((sides > 0).sum(-1), (sides < 0).sum(-1))


def sides(test):
    """Verdicts from scipy's intervals."""
    interval = test.confidence_interval()
    return (interval.low > 0).astype(int) - (interval.high < 0)


def student(values):
    return sides(stats.ttest_1samp(values, 0, axis=-1, nan_policy="omit"))


def welch(reference, method):
    return sides(stats.ttest_ind(method, reference, axis=-1, equal_var=False))


@given(st.integers(2, 9), st.booleans(), seeds)
def test_rows_are_called_by_scipy_s_intervals(n, paired, seed):
    generator = np.random.default_rng(seed)
    method = generator.normal(generator.normal(0, 2, (12, 1)), 1, (12, n))
    reference = generator.normal(0, 1, (12, 4))
    found = paired_count(method, draws=9) if paired else unpaired_count(reference, method, draws=9)
    expected = student(method) if paired else welch(reference, method)
    assert (found.above, found.below) == ((expected > 0).sum(), (expected < 0).sum())
    assert found.rows == 12


@pytest.mark.parametrize("n", [8, 9])
def test_flips_are_all_flips_of_what_is_left_without_the_mean(n):
    differences = families(n, n)[::4] + 0.7
    residuals = differences - differences.mean(1, keepdims=True)
    null = most(student(np.array(list(product([1, -1], repeat=n)))[:, None] * residuals))
    found = paired_count(differences)
    assert found.how == "all sign flips"
    assert found.samples == 2 ** (n - 1)
    for side, p in ((found.above, found.p_above), (found.below, found.p_below)):
        assert p == pytest.approx((1 + (null >= side).sum() / 2) / (1 + 2 ** (n - 1)))
    assert found.percentile == np.quantile(null, 0.95, method="inverted_cdf")
    assert found.stderr == 0


def test_beyond_fourteen_pairs_flips_are_a_sample_of_them():
    differences, called = families(14, 0), np.where(np.arange(40) < 6, 1, 0)
    lacking = np.concatenate([differences, np.full((40, 1), np.nan)], axis=1)  # a pair that no row has
    every, some = paired_count(differences, called=called), paired_count(lacking, called=called, draws=20000, seed=1)
    assert (every.how, some.how) == ("all sign flips", "sign flips")
    assert 0.01 < every.p_above < 0.5
    assert some.p_above == pytest.approx(every.p_above, abs=4 * some.stderr)
    assert some.independent == pytest.approx(every.independent)


@pytest.mark.parametrize("n", [3, 5])
def test_draws_have_the_residuals_correlations_and_student_s_freedom(n):
    differences = families(n, 12)[::4] + 1
    generator = np.random.default_rng(0)
    normal = generator.multivariate_normal(np.zeros(10), np.corrcoef(differences), (4000, n)).transpose(0, 2, 1)
    null = most(student(normal))
    found = paired_count(differences, draws=20000)
    assert found.how == "draws"
    for count in range(1, 11):
        share = (null >= count).mean()
        called = np.where(np.arange(10) < count, 1, 0)
        p = paired_count(differences, called=called, draws=20000).p_above
        assert p == pytest.approx(share, abs=4 * np.sqrt(share * (1 - share) * (1 / 4000 + 1 / 20000)) + 1e-3)


def test_draws_without_pairs_are_welch_s_with_each_group_s_spread():
    scale = np.linspace(0.2, 5, 10)[:, None]
    reference, method = families(4, 3)[::4] * scale, families(3, 4)[::4] / scale
    spreads = reference.std(1, ddof=1), method.std(1, ddof=1)
    groups = (reference, method)
    parts = [(one - one.mean(1, keepdims=True)) / s[:, None] for one, s in zip(groups, spreads, strict=True)]
    pooled = np.hstack(parts) @ np.hstack(parts).T
    pooled /= np.sqrt(np.outer(np.diag(pooled), np.diag(pooled)))
    generator = np.random.default_rng(0)
    normal = generator.multivariate_normal(np.zeros(10), pooled, (4000, 7)).transpose(0, 2, 1)
    drawn = [part * spread[:, None] for part, spread in zip(np.split(normal, [4], axis=2), spreads, strict=True)]
    null = most(welch(*drawn))
    for count in range(1, 11):
        share = (null >= count).mean()
        called = np.where(np.arange(10) < count, -1, 0)
        p = unpaired_count(reference, method, called=called, draws=20000).p_below
        assert p == pytest.approx(share, abs=4 * np.sqrt(share * (1 - share) * (1 / 4000 + 1 / 20000)) + 1e-3)


@pytest.mark.slow(keep=1)
@pytest.mark.parametrize("n", [3, 5, 10])
def test_chance_is_taken_for_more_in_at_most_seven_of_a_hundred(n):
    found = [paired_count(families(n, seed), draws=199) for seed in range(300)]
    rejected = [min(one.p_above, one.p_below) <= 0.05 for one in found]
    assert 0.01 <= np.mean(rejected) <= 0.07


def test_chance_without_pairs_likewise():
    found = [unpaired_count(families(4, seed), families(3, 1000 + seed), draws=199) for seed in range(300)]
    assert 0.01 <= np.mean([min(one.p_above, one.p_below) <= 0.05 for one in found]) <= 0.07


def test_counted_as_independent_rows_chance_would_be_taken_for_more():
    """Why the correlations: the binomial's p, 40 rows of 2.5 % a side, is below 5 % far too often."""
    counts = most(student(np.array([families(5, seed) for seed in range(300)])))
    binomial = 2 * stats.binom.sf(counts - 1, 40, 0.025)
    assert np.mean(binomial <= 0.05) > 0.12


@pytest.mark.parametrize(("n", "effect"), [(5, 2.0), (5, 12.0), (8, 1.5), (8, 12.0)])
def test_what_most_rows_show_is_found_however_large_it_is(n, effect):
    """Flips of the differences themselves would miss the largest: one pair turned round is still called everywhere."""
    shown = effect * (np.arange(40) < 32)[:, None]
    found = [paired_count(families(n, seed) + shown, draws=299) for seed in range(50)]
    assert np.mean([one.p_above <= 0.05 for one in found]) >= 0.9


def test_why_differences_themselves_are_not_flipped():
    """All flips of them, exact under the null, leave 18 of 256 as called as what was found: nothing could be lower."""
    differences = families(8, 0) + 50
    flipped = np.array(list(product([1, -1], repeat=8)))[:, None] * differences
    assert (most(student(flipped)) >= 40).sum() == 18
    assert paired_count(differences).p_above < 0.02


@given(st.integers(2, 9), seeds)
def test_the_order_of_rows_does_not_matter(n, seed):
    differences = families(n, seed)[::3] + 0.5
    differences[0, 0] = np.nan
    order = np.random.default_rng(seed).permutation(len(differences))
    one, other = (paired_count(rows, draws=99) for rows in (differences, differences[order]))
    assert one.independent == pytest.approx(other.independent, nan_ok=True)
    assert [getattr(one, name) for name in ("above", "below", "p_above", "p_below", "percentile")] == [
        getattr(other, name) for name in ("above", "below", "p_above", "p_below", "percentile")
    ]


@given(st.integers(2, 9), st.booleans(), seeds)
def test_turned_round_the_sides_swap(n, paired, seed):
    method, reference = families(n, seed)[::3] + 0.5, families(4, seed + 1)[::3]
    one, other = (
        paired_count(sign * method, draws=99) if paired else unpaired_count(sign * reference, sign * method, draws=99)
        for sign in (1, -1)
    )
    assert (one.above, one.below, one.p_above, one.p_below) == (other.below, other.above, other.p_below, other.p_above)


@given(st.sampled_from([5, 9]), st.floats(1e-3, 1e3), seeds)
def test_units_do_not_matter(n, scale, seed):
    differences = families(n, seed)[::3]
    units = np.random.default_rng(seed).choice([1, scale], (len(differences), 1))
    one, other = paired_count(differences, draws=99), paired_count(differences * units, draws=99)
    assert (one.above, one.below, one.p_above) == (other.above, other.below, other.p_above)


@pytest.mark.parametrize("n", [5, 9])
@pytest.mark.parametrize("filling", [np.nan, np.inf])
def test_rows_without_an_interval_are_as_if_not_there(n, filling):
    differences = families(n, 1) + 1
    empty = np.full((3, n), filling)
    empty[:, 0] = 1.0
    assert paired_count(np.vstack([empty, differences])) == paired_count(differences)


def test_rows_that_lack_a_pair_are_called_by_those_they_have():
    differences = families(9, 2) + 0.4
    differences[::2, 0] = np.nan
    found, expected = paired_count(differences), student(differences)
    assert (found.above, found.below, found.how) == ((expected > 0).sum(), (expected < 0).sum(), "all sign flips")
    differences[0, 1:] = [1, np.nan, 2, *[np.nan] * 5]
    assert paired_count(differences, draws=99).how == "draws"  # flips of two pairs are too few


def test_a_row_without_spread_hangs_together_with_none():
    """Chance may call it as often as any: with nothing else there, a twentieth of the time."""
    for n, error in ((5, 0.007), (9, 0.03)):  # flips of one row are not exactly t
        found = paired_count(np.full((1, n), 2.0), draws=20000)
        assert (found.above, found.below) == (1, 0)
        assert found.p_above == pytest.approx(0.05, abs=error)
    assert paired_count(np.zeros((3, 5)), draws=99).p_above == 1


def test_one_row_s_p_is_not_below_what_its_interval_allows():
    """A count says only that the row was called, which chance does in 5 %."""
    for n in (3, 5, 7):
        found = paired_count(np.arange(n) + np.full((1, n), 100.0), draws=20000)
        assert found.p_above == pytest.approx(0.05, abs=0.007)


def test_verdicts_made_otherwise_are_counted_as_given():
    differences, called = families(5, 4), np.where(np.arange(40) < 9, -1, 0)
    found = paired_count(differences, called=called)
    assert (found.above, found.below) == (0, 9)
    assert found.p_above == 1
    assert found.p_below < 0.2


def test_nothing_called_is_no_evidence():
    found = paired_count(np.array([[1.0, -1, 2, -2, 0.5]] * 4))
    assert (found.above, found.below, found.p_above, found.p_below) == (0, 0, 1, 1)


def test_the_effective_number_is_that_of_the_eigenvalues():
    """With so many subjects that the correction is nothing: λ of the true correlations."""
    eigenvalues = np.linalg.eigvalsh(correlations())
    expected = eigenvalues.sum() ** 2 / (eigenvalues**2).sum()
    assert paired_count(families(4000, 0), draws=1).independent == pytest.approx(expected, rel=0.05)
    assert unpaired_count(families(4000, 1)[:, :99], families(4000, 2), draws=1).independent == pytest.approx(
        expected, rel=0.05
    )


def test_few_pairs_do_not_cap_the_effective_number():
    """Uncorrected it could not exceed the degrees of freedom: 4 of 40 independent rows, where 5 pairs show them."""
    generator = np.random.default_rng(0)
    found = [paired_count(generator.normal(size=(40, 5)), draws=1).independent for _ in range(100)]
    assert np.median(found) > 30
    assert 2 < np.median([paired_count(families(5, seed), draws=1).independent for seed in range(100)]) < 6


def test_the_effective_number_lies_between_one_and_the_rows():
    assert paired_count(np.outer(np.arange(1.0, 8), np.arange(5.0)), draws=1).independent == pytest.approx(1)
    assert np.isnan(effective_number(np.ones((4, 2)) / 2**0.5, 1.0))


def test_few_pairs_say_nothing_of_how_rows_hang_together():
    """Correlations of three pairs make rows worth 8 look like 40: no number is better. Five pairs have one."""
    generator = np.random.default_rng(1)
    for pairs, known in ((2, False), (3, False), (4, False), (5, True)):
        assert np.isfinite(paired_count(generator.normal(size=(40, pairs)), draws=9).independent) == known
    sides = generator.normal(size=(2, 40, 3))
    assert np.isfinite(unpaired_count(*sides, draws=9).independent)  # four degrees of freedom
    assert np.isnan(unpaired_count(sides[0, :, :2], sides[1], draws=9).independent)


def test_what_cannot_be_counted_is_refused():
    with pytest.raises(ValueError, match="no row has an interval"):
        paired_count(np.array([[1.0, np.nan], [np.inf, 2.0]]))
    with pytest.raises(ValueError, match="no row has an interval"):
        unpaired_count(np.ones((2, 1)), np.ones((2, 4)))
    with pytest.raises(ValueError, match="row 1 is called"):
        paired_count(np.array([[1.0, 2.0], [1.0, np.nan]]), called=np.array([1, 1]))
    with pytest.raises(ValueError, match="1, -1 or 0"):
        paired_count(np.array([[1.0, 2.0]]), called=np.array([2]))
    with pytest.raises(ValueError, match="draws"):
        paired_count(np.array([[1.0, 2.0]]), draws=0)


def test_a_headline_row_is_there_for_each_side():
    assert set(HEADLINES) == {"flatness", "robustness"}
