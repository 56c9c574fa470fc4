"""Rank correlations: τ against scipy, p against every permutation, its size by simulation, the rows of a comparison."""

import tracemalloc
from itertools import permutations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from analysis.compare.agreement import FEW, agreement, agreements, untied
from analysis.compare.correlation import METHOD, correlations, kendall, rank_correlation


def of_all(x, y):
    whole = np.zeros(len(x), int)
    return kendall(x, y, whole, whole)[0]


@given(st.integers(3, 9), st.integers(0, 2**32 - 1))
def test_kendall_is_scipy_s_ties_included(n, seed):
    x, y = np.random.default_rng(seed).integers(0, 4, (2, n)).astype(float)
    expected = stats.kendalltau(x, y).statistic
    assert of_all(x, y) == pytest.approx(expected, nan_ok=True)


@given(st.integers(1, 2 * FEW), st.integers(1, 8), st.integers(0, 2**32 - 1), st.booleans())
def test_what_is_sorted_is_what_a_pass_over_pairs_counts(n, different, seed, few):
    """To the last bit, whole and without each part, with ties, infinite values, and pairs of a group alone."""
    with pytest.MonkeyPatch.context() as patched:
        for module in ("agreement", "correlation"):
            patched.setattr(f"analysis.compare.{module}.FEW", 2 * FEW if few else 0)
        check_against_pairs(n, different, seed)


def check_against_pairs(n, different, seed):
    generator = np.random.default_rng(seed)
    x, *deals = generator.choice([-np.inf, np.inf, *range(different)], (4, n))
    groups, parts = generator.integers(0, 3, n), np.unique(generator.integers(0, 4, n), return_inverse=True)[1]
    signed = [np.sign(np.nan_to_num(side, posinf=99, neginf=-99)[:, None] - side.clip(-99, 99)) for side in (x, *deals)]
    pairs = groups[:, None] == groups
    assert (agreement(x, deals[0], groups) == (signed[0] * signed[1] * pairs).sum(1)).all()
    assert (agreements(x, np.array(deals), groups) == [(signed[0] * one * pairs).sum() for one in signed[1:]]).all()
    assert (untied(x, groups) == (signed[0] ** 2 * pairs).sum(1)).all()

    def tau(some):
        ours, theirs = (one[some][:, some] * pairs[some][:, some] for one in signed[:2])
        with np.errstate(invalid="ignore"):
            return (ours * theirs).sum() / np.sqrt((ours**2).sum() * (theirs**2).sum())

    whole, left_out = kendall(x, deals[0], groups, parts)
    np.testing.assert_array_equal([whole, *left_out], [tau(parts != part) for part in range(-1, parts.max() + 1)])


def test_many_subjects_are_not_held_pair_by_pair():
    """5000 subjects: their pairs would be 200 MB."""
    x, y = np.random.default_rng(0).normal(size=(2, 5000))
    labels = np.repeat(["a", "b"], 2500), np.tile(np.arange(2500), 2)
    tracemalloc.start()
    found = rank_correlation(x, y, *labels, within=True, resamples=3, seed=0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    halves = [stats.kendalltau(x[half], y[half]).statistic for half in (slice(2500), slice(2500, None))]
    assert found.tau == pytest.approx(np.mean(halves))
    assert peak < 20e6


def test_infinite_values_are_ranked():
    x, y = np.array([1.0, np.inf, 2.0, np.inf]), np.array([4.0, 1.0, 3.0, 2.0])
    assert of_all(x, y) == pytest.approx(stats.kendalltau(np.minimum(x, 9), y).statistic)


def among(x, y, methods, seeds, *, within=False, resamples=1000):
    labels = np.array(list(methods)), np.array(seeds)
    return rank_correlation(np.array(x, float), np.array(y, float), *labels, within=within, resamples=resamples, seed=1)


def test_within_a_method_only_its_own_pairs_count():
    """Both methods fall, the second lies above the first: τ among all is positive, within it is −1."""
    x, y = [1, 2, 3, 11, 12, 13], [3, 2, 1, 13, 12, 11]
    whole, within = (among(x, y, "aaabbb", [0, 1, 2] * 2, within=one).tau for one in (False, True))
    assert whole == pytest.approx(3 / 15)
    assert within == -1


@pytest.mark.parametrize("ties", [False, True])
def test_p_of_one_method_is_the_share_of_permutations_as_far_from_zero(ties):
    x, y = np.array([1.0, 2, 3, 4, 5, 6]), np.array([2.0, 1, 4, 3, 6, 6 if ties else 5])
    taus = np.array([stats.kendalltau(x, deal).statistic for deal in permutations(y)])
    exact = (np.abs(taus) >= abs(stats.kendalltau(x, y).statistic) - 1e-12).mean()
    assert among(x, y, "aaaaaa", range(6)).p == pytest.approx(exact)
    assert among(x, y, "aaaaaa", range(6), resamples=700).p == pytest.approx(exact, abs=4 * np.sqrt(exact / 700))


@pytest.mark.parametrize(("methods", "within"), [(2, True), (2, False), (3, True), (3, False)])
def test_p_of_several_is_over_rows_and_columns_dealt(methods, within):
    """Seeds of all methods alike; methods too, if there are three and all pairs count."""
    x, y = np.random.default_rng(methods).normal(size=(2, methods, 4))

    def tau(gaps):
        if within:
            return sum(stats.kendalltau(*pair).statistic for pair in zip(x, gaps, strict=True))
        return stats.kendalltau(x.ravel(), gaps.ravel()).statistic

    rows = permutations(range(methods)) if methods > 2 and not within else [range(methods)]
    taus = [tau(y[list(row)][:, list(columns)]) for row in rows for columns in permutations(range(4))]
    labels = np.repeat(["a", "b", "c"][:methods], 4), [*range(4)] * methods
    found = among(x.ravel(), y.ravel(), *labels, within=within)
    assert found.p == pytest.approx((np.abs(taus) >= abs(taus[0]) - 1e-12).mean())
    assert (found.n, found.seeds) == (4 * methods, 4)


def test_methods_without_a_seed_in_common_are_dealt_apart():
    x = [1, 2, 3, 4, 5, 6]
    assert among(x, x, "aaabbb", range(6), within=True).p == pytest.approx(2 / 36)  # in order, or both in reverse
    assert among(x, [1, 1, 1, 4, 5, 6], "aaabbb", range(6), within=True).p == pytest.approx(2 / 6)
    assert among(x, x, "aaabbb", [0, 1, 2] * 2, within=True).p == pytest.approx(2 / 6)  # shared: together


def test_a_seed_that_a_method_lacks_is_dealt_only_among_its_like():
    x = [1, 2, 3, 4, 5, 6, 7]
    found = among(x, x, "aaaabbb", [0, 1, 2, 3, 0, 1, 2], within=True)
    assert found.p == pytest.approx(1 / 6)
    assert np.isfinite([found.low, found.high]).all()


@pytest.mark.parametrize(("within", "shift"), [(True, 0.0), (False, 0.0), (False, 1.0)])
def test_p_rejects_no_more_than_it_says_where_subjects_of_a_seed_correlate(shift, within):
    """A null of seed and method effects: two methods, at one standard deviation in both."""
    generator, times, methods = np.random.default_rng(7), 300, np.repeat(["a", "b"], 5)
    of_seed, own = generator.normal(size=(2, times, 1, 5)), generator.normal(size=(2, times, 2, 5))
    both = np.sqrt(0.9) * of_seed + np.sqrt(0.1) * own + shift * np.array([[0.0], [1.0]])
    found = [
        among(x, y, methods, [*range(5)] * 2, within=within).p for x, y in both.reshape(2, times, 10).swapaxes(0, 1)
    ]
    assert np.mean(np.array(found) <= 0.05) <= 0.07
    assert np.mean(np.array(found) <= 0.2) <= 0.25


def test_of_more_methods_the_methods_are_what_is_counted():
    """Eight methods of three seeds whose gap follows the method: three seeds alone have a p of 1/6 at the least."""
    x = np.repeat(np.arange(8), 3) + np.tile([0.1, 0.2, 0.3], 8)
    labels = np.repeat(list("abcdefgh"), 3), [*range(3)] * 8
    assert among(x, x, *labels).p == pytest.approx(1 / 1001)
    assert among(x, x, *labels, within=True).p >= 1 / 6


def test_a_constant_has_neither_tau_nor_interval_nor_p():
    found = among(np.ones(4), range(4), "aaaa", range(4))
    assert np.isnan([found.tau, found.p, found.low, found.high]).all()
    assert found.interval == "degenerate"


def test_one_seed_has_a_tau_and_no_interval_over_seeds():
    found = among([1, 2, 3, 4], [1, 2, 3, 4], "abcd", [5] * 4)
    assert (found.tau, found.interval, found.p) == (1, "degenerate", pytest.approx(2 / 24))
    assert np.isnan([found.low, found.high]).all()


def test_all_in_order_is_an_interval_with_a_width():
    found = among([*range(5)] * 2, [*range(5)] * 2, "aaaaabbbbb", [*range(5)] * 2, within=True)
    assert (found.tau, found.high, found.interval) == (1, 1, "")
    assert 0 < found.low < 0.5
    assert found.p == pytest.approx(2 / 120)


def values(*, methods=("sdt", "tet"), n: int = 6) -> pd.DataFrame:
    rows = []
    for method in methods:
        for seed in range(n):
            head = {"checkpoint": f"{method}-{seed}", "group": method, "seed": seed}
            for measure, loss, value, flatness in (
                ("sharpness", "sdt", float(seed), True),
                ("noise", "sdt", float(seed * 7 % 5), True),
                ("gap_in_loss", "sdt", seed + 0.1, False),
                ("accuracy_lost[weight_noise,up to 0.4]", "", -float(seed), False),
            ):
                side = "flatness" if flatness else "robustness"
                rows.append(head | {"measure": measure, "title": measure, "loss": loss, "value": value, "side": side})
    return pd.DataFrame(rows)


def test_what_robustness_costs_stands_beside_the_gap_and_p_is_adjusted_over_measures():
    found = correlations(values(), resamples=2000, seed=0)
    rows = {(row["measure"], row["gap"], row["among"]): row for row in found}
    cost = "accuracy_lost[weight_noise,up to 0.4]"
    assert {gap for _, gap, _ in rows} == {"loss", cost}
    sdt, within = rows["sharpness", cost, "sdt"], rows["sharpness", cost, "within"]
    assert sdt["tau"] == within["tau"] == -1
    assert within["p"] == sdt["p"] == pytest.approx(2 / 720)  # the same six seeds twice are six
    sharpness, noise = (rows[measure, "loss", "sdt"] for measure in ("sharpness", "noise"))
    assert sharpness["p_adjusted"] == pytest.approx(2 * sharpness["p"])
    assert noise["p_adjusted"] == pytest.approx(noise["p"])
    assert (sdt["n"], within["n"], within["seeds"], within["interval"]) == (6, 12, 6, "")


@pytest.mark.parametrize(
    ("methods", "n", "expected"),
    [
        (("one", "two"), 1, set()),
        (("one", "two"), 2, {"all", "within"}),
        (("one",), 3, {"all"}),
        (("one", "two", "drei, λ = 0.1"), 1, {"all"}),
        (("one", "two", "drei, λ = 0.1"), 3, {"all", "within", "one", "two", "drei, λ = 0.1"}),
    ],
)
def test_among_whom(methods, n, expected):
    assert {row["among"] for row in correlations(values(methods=methods, n=n), resamples=50, seed=0)} == expected


def test_seeds_that_one_method_lacks_are_no_obstacle():
    table = values(methods=("a", "b", "c"))
    table = table[~((table[METHOD] == "b") & (table["seed"] > 2)) & ~((table[METHOD] == "c") & (table["seed"] == 0))]
    rows = [row for row in correlations(table, resamples=500, seed=0) if row["measure"] == "sharpness"]
    counts = {row["among"]: (row["n"], row["seeds"]) for row in rows}
    assert counts == {"all": (14, 6), "within": (14, 6), "a": (6, 6), "b": (3, 3), "c": (5, 5)}
    assert all(0 < row["p"] <= 1 and row["low"] <= row["tau"] <= row["high"] for row in rows)


def test_a_method_called_all_is_refused():
    with pytest.raises(ValueError, match="a method can't be called within"):
        correlations(values(methods=("sdt", "within")), resamples=5, seed=0)
