"""One rule for intervals: SciPy's, and the same in the comparison and in sentences."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from analysis.compare.difference import difference
from figures.style import methods
from figures.words import gaps
from tables.interval import independent, paired, student

SIDE = st.dictionaries(st.integers(0, 9), st.floats(-5, 5).map(lambda value: round(value, 3)), min_size=1, max_size=6)


@pytest.mark.parametrize("dof", [1, 2, 3, 9, 31, 57, 200, 1001])
def test_student_is_scipys_quantile(dof):
    assert student(dof) == pytest.approx(stats.t.ppf(0.975, dof), rel=1e-9)


def test_one_seed_has_no_quantile():
    with pytest.raises(ValueError, match="at least two seeds, got 1"):
        student(0)


@given(SIDE, SIDE)
def test_the_comparison_and_a_sentence_tell_the_same_interval(reference, method):
    one, other = (pd.Series(side, dtype=float) for side in (reference, method))
    with methods.facing("a", "b"):
        told = gaps.between(one, other)
    row = difference(one, other)
    for name in ("difference", "low", "high", "n"):
        assert getattr(told, name) == pytest.approx(row[name], nan_ok=True)
    assert (told.reference, told.method) == pytest.approx((row["reference_mean"], row["method_mean"]))


def test_equal_differences_have_no_interval_and_no_difference_has_an_empty_one():
    values = np.array([0.91, 0.92, 0.94])
    for found in (paired(values, values + 0.01), independent(values[:1].repeat(3), values[1:2].repeat(2))):
        assert np.isnan(found.half)
    assert paired(values, values).half == 0


@pytest.mark.parametrize("sizes", [(2, 5), (5, 2), (4, 4)])
def test_independent_groups_have_welch_s_freedom_and_a_pooled_deviation(sizes):
    rng = np.random.default_rng(0)
    one, other = (rng.normal(size=size) * scale for size, scale in zip(sizes, (1, 5), strict=True))
    found, test = independent(one, other), stats.ttest_ind(other, one, equal_var=False)
    assert (found.n, found.freedom) == (min(sizes), pytest.approx(test.df))
    assert found.mean / found.error == pytest.approx(test.statistic)
    squares = sum(((side - side.mean()) ** 2).sum() for side in (one, other))
    assert found.deviation == pytest.approx(np.sqrt(squares / (sum(sizes) - 2)))
