"""Rank correlations: τ against scipy, the bootstrap against resamples written out, p against every permutation."""

from itertools import permutations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from analysis.compare.correlation import correlations, kendall, rank_correlation
from analysis.compare.measures import IDENTITY


@given(st.integers(3, 9), st.integers(0, 2**32 - 1))
def test_kendall_is_scipy_s_ties_included(n, seed):
    x, y = np.random.default_rng(seed).integers(0, 4, (2, n)).astype(float)
    expected = stats.kendalltau(x, y).statistic
    assert float(kendall(x, y)) == pytest.approx(expected, nan_ok=True)


@given(st.integers(0, 2**32 - 1))
def test_counts_are_repeated_values(seed):
    generator = np.random.default_rng(seed)
    x, y = generator.integers(0, 5, (2, 6)).astype(float)
    counts = generator.multinomial(6, np.full(6, 1 / 6), 3).astype(float)
    found = kendall(x, y, True, counts)
    for one, tau in zip(counts.astype(int), found, strict=True):
        expected = stats.kendalltau(np.repeat(x, one), np.repeat(y, one)).statistic
        assert tau == pytest.approx(expected, nan_ok=True)


def test_infinite_values_are_ranked():
    x, y = np.array([1.0, np.inf, 2.0, np.inf]), np.array([4.0, 1.0, 3.0, 2.0])
    assert float(kendall(x, y)) == pytest.approx(stats.kendalltau(np.minimum(x, 9), y).statistic)


def test_within_groups_only_their_own_pairs_count():
    """Both groups fall, the second lies above the first: τ among all is positive, within it is −1."""
    x, y = np.array([1.0, 2, 3, 11, 12, 13]), np.array([3.0, 2, 1, 13, 12, 11])
    strata = np.array([0, 0, 0, 1, 1, 1])
    whole, within = (rank_correlation(x, y, one, resamples=200, seed=0)["tau"] for one in (0 * strata, strata))
    assert whole == pytest.approx(3 / 15)
    assert within == -1


@pytest.mark.parametrize("ties", [False, True])
def test_p_is_the_share_of_permutations_as_far_from_zero(ties):
    x, y = np.array([1.0, 2, 3, 4, 5, 6]), np.array([2.0, 1, 4, 3, 6, 6 if ties else 5])
    taus = np.array([stats.kendalltau(x, deal).statistic for deal in permutations(y)])
    exact = (np.abs(taus) >= abs(stats.kendalltau(x, y).statistic) - 1e-12).mean()
    found = rank_correlation(x, y, np.zeros(6, int), resamples=20000, seed=1)["p"]
    assert found == pytest.approx(exact, abs=4 * np.sqrt(exact / 20000))


@pytest.mark.parametrize(
    ("y", "exact"),
    [
        ([1.0, 2, 3, 4, 5, 6], 2 / 36),  # both groups in order, or both in reverse
        ([1.0, 1, 1, 4, 5, 6], 2 / 6),  # the first group's values stay with it, and say nothing
    ],
)
def test_p_within_deals_within(y, exact):
    x, strata = np.array([1.0, 2, 3, 4, 5, 6]), np.array([0, 0, 0, 1, 1, 1])
    found = rank_correlation(x, np.array(y), strata, resamples=20000, seed=1)["p"]
    assert found == pytest.approx(exact, abs=4 * np.sqrt(exact / 20000))


def test_the_interval_is_that_of_resampled_checkpoints():
    generator = np.random.default_rng(4)
    x, y = generator.normal(size=(2, 12))
    found = rank_correlation(x, y + x, np.zeros(12, int), resamples=2000, seed=0)
    places = generator.integers(12, size=(1000, 12))
    taus = [stats.kendalltau(x[place], (y + x)[place]).statistic for place in places]
    expected = np.nanquantile(taus, [0.025, 0.975])
    assert found["low"] == pytest.approx(expected[0], abs=0.08)
    assert found["high"] == pytest.approx(expected[1], abs=0.08)
    assert found["n"] == 12


def test_a_constant_has_neither_tau_nor_p():
    found = rank_correlation(np.ones(4), np.arange(4.0), np.zeros(4, int), resamples=50, seed=0)
    assert np.isnan([found["tau"], found["p"], found["low"]]).all()


def values(n: int = 6) -> pd.DataFrame:
    rows = []
    for training in ("sdt", "tet"):
        for seed in range(n):
            head = dict(zip(IDENTITY, (f"{training}-{seed}", "net", "digits", training, seed), strict=True))
            for measure, loss, value, flatness in (
                ("sharpness", "sdt", float(seed), True),
                ("noise", "sdt", float(seed * 7 % 5), True),
                ("generalization gap in loss (test - train)", "sdt", seed + 0.1, False),
                ("accuracy lost to weight noise up to 0.4", "", -float(seed), False),
            ):
                rows.append(
                    head | {"measure": measure, "loss": loss, "value": value, "flatness": flatness, "complexity": False}
                )
    return pd.DataFrame(rows)


def test_what_robustness_costs_stands_beside_the_gap_and_p_is_adjusted_over_measures():
    found = correlations(values(), resamples=2000, seed=0)
    rows = {(row["measure"], row["gap"], row["among"]): row for row in found}
    cost = "accuracy lost to weight noise up to 0.4"
    assert {gap for _, gap, _ in rows} == {"loss", cost}
    sdt, within = rows["sharpness", cost, "sdt"], rows["sharpness", cost, "within"]
    assert sdt["tau"] == within["tau"] == -1
    assert within["p"] < sdt["p"] < 0.05
    sharpness, noise = (rows[measure, "loss", "sdt"] for measure in ("sharpness", "noise"))
    assert sharpness["p_adjusted"] == pytest.approx(2 * sharpness["p"])
    assert noise["p_adjusted"] == pytest.approx(noise["p"])


def test_fewer_than_three_checkpoints_have_no_row():
    assert correlations(values(1), resamples=50, seed=0) == []
    assert {row["among"] for row in correlations(values(2), resamples=50, seed=0)} == {"all", "within"}
