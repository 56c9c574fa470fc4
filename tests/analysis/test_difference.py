"""Differences: intervals and p against scipy, effects by hand and by simulation, Holm against its definition."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from analysis.compare.difference import Sampling, difference, holm

values = st.lists(st.floats(-5, 5), min_size=3, max_size=8)


@given(values, st.integers(0, 2**32 - 1))
def test_the_paired_interval_and_p_are_scipy_s(sdt, seed):
    tet = np.array(sdt) + np.random.default_rng(seed).normal(size=len(sdt))
    found = difference(pd.Series(sdt), pd.Series(tet))
    test = stats.ttest_rel(tet, sdt)
    expected = test.confidence_interval()
    assert found["paired"]
    assert found["n"] == len(sdt)
    assert (found["low"], found["high"]) == pytest.approx((expected.low, expected.high), rel=1e-6, abs=1e-9)
    assert found["p"] == pytest.approx(test.pvalue, rel=1e-6)
    assert found["difference"] == pytest.approx(found["method_mean"] - found["reference_mean"], abs=1e-9)


def test_seeds_that_do_not_pair_give_welch_s_interval_and_p():
    sdt, tet = pd.Series([1.0, 2.0, 4.0], index=[0, 1, 2]), pd.Series([2.0, 2.5, 7.0, 3.0], index=[5, 6, 7, 8])
    found = difference(sdt, tet)
    test = stats.ttest_ind(tet, sdt, equal_var=False)
    expected = test.confidence_interval()
    assert not found["paired"]
    assert found["n"] == 3
    assert (found["low"], found["high"]) == pytest.approx((expected.low, expected.high))
    assert found["p"] == pytest.approx(test.pvalue)


def test_only_common_seeds_are_paired():
    sdt, tet = pd.Series([1.0, 2.0, 9.0], index=[0, 1, 2]), pd.Series([2.0, 2.5, 3.0], index=[0, 1, 3])
    found = difference(sdt, tet)
    assert (found["n"], found["reference_mean"], found["method_mean"]) == (2, 1.5, 2.25)


def test_one_seed_has_neither_interval_nor_p_nor_effect():
    found = difference(pd.Series([1.0]), pd.Series([3.0]))
    assert found["difference"] == 2
    assert np.isnan([found[name] for name in ("low", "high", "p", "effect")]).all()


def test_nothing_that_differs_has_no_p_and_no_effect():
    found = difference(pd.Series([1.0, 2, 3]), pd.Series([1.0, 2, 3]))
    assert (found["low"], found["high"]) == (0, 0)
    assert np.isnan([found["p"], found["effect"]]).all()


@pytest.mark.parametrize("seeds", [range(3), range(5, 8)])
def test_equal_differences_are_no_certainty(seeds):
    # The second's standard deviation is not 0 but rounding.
    for reference, method in (([1.0, 2, 3], [3.0, 4, 5]), ([0.91, 0.92, 0.94], [0.92, 0.93, 0.95])):
        paired = seeds == range(3)
        left = pd.Series(reference if paired else reference[:1] * 3)
        found = difference(left, pd.Series(method if paired else method[:1] * 3, index=seeds))
        assert found["paired"] is paired
        assert found["difference"] == pytest.approx(method[0] - reference[0])
        assert np.isnan([found[name] for name in ("low", "high", "p", "effect")]).all()
        assert found["spread"] == ""


# Hedges 1981, table 2: the correction at 2, 4, 10 and 20 degrees of freedom.
@pytest.mark.parametrize(("freedom", "correction"), [(2, 0.5642), (4, 0.7979), (10, 0.9228), (20, 0.9619)])
def test_the_paired_effect_is_corrected_for_few_pairs(freedom, correction):
    gaps = pd.Series(np.random.default_rng(freedom).normal(1, 2, freedom + 1))
    found = difference(0 * gaps, gaps)
    assert found["effect_kind"] == "g_z"
    assert found["effect"] == pytest.approx(correction * gaps.mean() / gaps.std(), rel=1e-4)


def test_the_unpaired_effect_is_hedges_g_by_hand():
    sdt, tet = pd.Series([1.0, 3.0], index=[0, 1]), pd.Series([4.0, 6.0, 8.0, 6.0], index=[5, 6, 7, 8])
    found = difference(sdt, tet)
    pooled = np.sqrt((2.0 + 8.0) / (1 + 3))  # sums of squares about the means
    assert found["effect_kind"] == "g"
    assert found["effect"] == pytest.approx(0.7979 * 4 / pooled, rel=1e-4)


@pytest.mark.parametrize("paired", [True, False])
def test_effects_are_unbiased(paired):
    """Over many experiments of 5 a side with a true effect of 0.8; uncorrected they would be 25 % or 11 % too large."""
    draws = np.random.default_rng(0).normal(size=(1500, 2, 5))
    if paired:
        found = [difference(pd.Series(0 * a), pd.Series(0.8 + a))["effect"] for a, _ in draws]
    else:
        found = [difference(pd.Series(a), pd.Series(0.8 + b, index=range(5, 10)))["effect"] for a, b in draws]
    assert np.mean(found) == pytest.approx(0.8, abs=4 * np.std(found) / 1500**0.5)
    assert np.std(found) / 1500**0.5 < 0.03


# what images can resolve


def test_the_interval_is_the_wider_of_seeds_and_images_and_p_the_larger():
    reference, method = pd.Series([1.0, 2.0, 4.0]), pd.Series([2.0, 3.1, 4.9])
    seeds = difference(reference, method)
    for variance, spread in ((0.001, "seeds"), (2.0, "images")):
        found = difference(reference, method, Sampling(variance, 0.5))
        assert (found["spread"], found["sampling_error"]) == (spread, 0.5)
        if spread == "seeds":
            assert {name: found[name] for name in ("low", "high", "p", "effect")} == {
                name: seeds[name] for name in ("low", "high", "p", "effect")
            }
        else:
            normal = stats.norm(found["difference"], np.sqrt(variance / 3))
            assert (found["low"], found["high"]) == pytest.approx(normal.interval(0.95))
            assert found["p"] == pytest.approx(2 * normal.cdf(0))
            assert found["effect"] == pytest.approx(0.5642 * found["difference"] / np.sqrt(variance), rel=1e-4)


@given(values, st.floats(1e-6, 10), st.booleans(), st.integers(0, 2**32 - 1))
def test_images_only_ever_widen_and_p_agrees_with_the_interval(reference, variance, paired, seed):
    size = len(reference)
    method = np.array(reference) + np.random.default_rng(seed).normal(size=size)
    sides = pd.Series(reference), pd.Series(method, index=range(size) if paired else range(size, 2 * size))
    alone, found = difference(*sides), difference(*sides, Sampling(variance, 1.0))
    assert found["low"] <= alone["low"] <= alone["high"] <= found["high"]
    assert found["p"] >= alone["p"]
    assert abs(found["effect"]) <= abs(alone["effect"])
    assert found["high"] - found["difference"] >= 1.959 * np.sqrt(variance / size)
    assert (found["p"] < 0.05) == (not found["low"] <= 0 <= found["high"])


def test_equal_differences_are_judged_by_images():
    found = difference(pd.Series([0.90, 0.91, 0.93]), pd.Series([0.92, 0.93, 0.95]), Sampling(1e-4, 0.01))
    assert found["spread"] == "images"
    assert found["p"] == pytest.approx(2 * stats.norm.sf(0.02 / np.sqrt(1e-4 / 3)))
    assert found["effect"] == pytest.approx(0.5642 * 0.02 / 0.01, rel=1e-4)


def test_unequal_groups_share_the_variance_of_a_pair_evenly():
    sides = pd.Series([1.0, 1.0]), pd.Series([2.0] * 8, index=range(5, 13))
    found = difference(*sides, Sampling(2.0, 1.0))  # each network's own is 1
    assert not found["paired"]
    assert found["high"] - 1 == pytest.approx(1.959964 * np.sqrt(1 / 2 + 1 / 8))


def test_one_pair_has_a_sampling_error_and_no_interval():
    found = difference(pd.Series([1.0]), pd.Series([3.0]), Sampling(0.1, 0.3))
    assert found["sampling_error"] == 0.3
    assert np.isnan([found[name] for name in ("low", "high", "p", "effect")]).all()
    assert found["spread"] == ""


def test_images_that_no_pair_differs_on_resolve_nothing():
    found = difference(pd.Series([1.0, 1, 1]), pd.Series([1.0, 1, 1]), Sampling(0.0, 0.0))
    assert (found["low"], found["high"], found["spread"]) == (0, 0, "seeds")
    assert np.isnan(found["p"])


# many rows


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_is_its_definition(p):
    adjusted = holm(np.array(p))
    for level in (0.01, 0.05, 0.3):
        rejected, ranks = set(), sorted(range(len(p)), key=lambda row: p[row])
        for step, row in enumerate(ranks):
            if p[row] * (len(p) - step) > level:
                break
            rejected.add(row)
        assert rejected == set(np.flatnonzero(adjusted <= level))


@given(st.lists(st.floats(0, 1) | st.sampled_from([0.0, 0.01, 0.011, 0.5, 1.0]), min_size=1, max_size=12))
def test_adjusted_p_values_are_ordered_as_p_values_and_lie_between_them_and_bonferroni_s(p):
    raw, adjusted = np.array(p), holm(np.array(p))
    for one, other in product(range(len(p)), repeat=2):
        assert raw[one] > raw[other] or adjusted[one] <= adjusted[other]
    assert (raw <= adjusted).all()
    assert (adjusted <= np.minimum(len(p) * raw, 1)).all()


def test_holm_leaves_out_what_was_not_tested():
    assert holm(np.array([0.01, np.nan, 0.04, 0.03])) == pytest.approx([0.03, np.nan, 0.06, 0.06], nan_ok=True)
