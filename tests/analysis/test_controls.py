"""What controls say of made-up values: every verdict against a recomputation by other means, at its limits."""

import itertools

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analysis.controls import compared, forced, halves, moved
from analysis.controls.answers import Measured, change
from tables.controls import wide
from tables.interval import independent

HEAD = {"measure": "m", "title": "a measure", "loss": "sdt", "side": "flatness", "unit": "loss"}


def put(**sides) -> Measured:
    """A measure with values by label, seeds from 0."""
    return Measured(HEAD, {name: pd.Series(values, dtype=float) for name, values in sides.items()})


BASE = [1.0, 1.2, 0.9, 1.1, 1.3]


@pytest.mark.parametrize(("shift", "verdict"), [(-0.2, "passed"), (0.0, "undecided"), (0.2, "failed")])
def test_flatter_by_construction_has_to_be_called_flatter(shift, verdict):
    rng = np.random.default_rng(0)
    other = np.array(BASE) + shift + rng.normal(0, 0.02, 5)
    found = compared.flatter(put(base=BASE, sam=other), "base", "sam")
    expected = stats.ttest_rel(other, BASE)
    low, high = expected.confidence_interval(0.95)
    assert (found.verdict, found.n, found.unit) == (verdict, 5, "loss")
    assert (found.value, found.low, found.high) == pytest.approx((np.mean(other) - np.mean(BASE), low, high))
    assert found.p == pytest.approx(expected.pvalue)


def test_pairs_are_of_one_seed_and_of_finite_values_and_three_at_least():
    one, other = pd.Series([1.0, 2, 3, 4, 5], [0, 1, 2, 3, 4]), pd.Series([9.0, 1.5, 2.4, np.inf], [9, 1, 2, 3])
    found = change(one, other)
    assert found is not None
    assert (found.n, found.value) == (2, pytest.approx(-0.55))
    assert "fewer than 3 pairs" in found.why
    assert "1 of 3 pairs with a value that isn't finite" in found.why
    assert compared.flatter(Measured(HEAD, {"base": one, "sam": other}), "base", "sam").verdict == "undecided"
    assert change(one, pd.Series([1.0], [7])) is None
    assert compared.flatter(put(base=BASE), "base", "sam").verdict == "undecided"


def test_differences_without_any_spread_decide_nothing():
    found = compared.flatter(put(base=BASE, sam=[value - 0.5 for value in BASE]), "base", "sam")
    assert (found.verdict, found.why) == ("undecided", "no spread")


@pytest.mark.parametrize(("shift", "verdict"), [(0.3, "passed"), (0.0, "undecided"), (-0.3, "failed")])
def test_memorised_labels_may_not_look_flatter(shift, verdict):
    noise = np.array([0.02, -0.01, 0.01, -0.02, 0.0])
    measure, gap = put(b=BASE, r=BASE + noise + shift), put(b=BASE, r=BASE + noise + 3)
    right = put(r=[0.99, 1.0, 0.98, 1.0, 1.0])
    assert compared.memorised(measure, "b", "r", gap, right).verdict == verdict
    unlearned = compared.memorised(measure, "b", "r", gap, put(r=[0.3] * 5))
    assert (unlearned.verdict, unlearned.why[:25]) == ("undecided", "not memorised: 30% of the")
    small = compared.memorised(measure, "b", "r", put(b=BASE, r=BASE + noise), right)
    assert (small.verdict, small.why) == ("undecided", "the gap isn't decidedly larger with random labels")


@pytest.mark.parametrize(
    ("curvature", "gap", "verdict"),
    [
        (1, 1, "passed"),
        (-1, -1, "passed"),
        (1, -1, "failed"),
        (-1, 1, "failed"),
        (0, 1, "undecided"),
        (1, 0, "undecided"),
    ],
)
def test_the_gap_follows_or_goes_the_other_way(curvature, gap, verdict):
    noise = np.array([0.02, -0.01, 0.01, -0.02, 0.005])
    measure = put(less=BASE, more=BASE + noise + 0.4 * curvature)
    found = compared.follows(measure, put(less=BASE, more=BASE - noise + 0.4 * gap), "less", "more")
    assert found.verdict == verdict
    assert found.why.startswith(f"gap {np.mean(0.4 * gap - noise):+.3g} (")


def test_tau_is_kendall_s():
    rng = np.random.default_rng(1)
    for _ in range(20):
        x, y = rng.integers(0, 4, 6).astype(float), rng.normal(size=6).round(1)
        expected = stats.kendalltau(x, y).statistic
        assert forced.tau(x, y) == pytest.approx(expected, nan_ok=True)


RADII = {0.0: "a", 0.05: "b", 0.1: "c", 0.2: "d"}


def test_falling_with_rho_is_the_mean_tau_of_seeds_with_their_spread():
    rng = np.random.default_rng(2)
    table = rng.normal(0, 1, (6, 4)) - np.arange(4)
    found = forced.falls(put(**dict(zip("abcd", table.T, strict=True))), RADII)
    each = [stats.kendalltau(list(RADII), row).statistic for row in table]
    half = stats.t.ppf(0.975, 5) * np.std(each, ddof=1) / np.sqrt(6)
    assert found.value == pytest.approx(np.mean(each))
    assert (found.low, found.high) == pytest.approx((max(-1, np.mean(each) - half), np.mean(each) + half))
    assert (found.verdict, found.n, found.unit) == ("passed", 6, "τ")
    up = forced.falls(put(**dict(zip("abcd", -table.T, strict=True))), RADII)
    assert (up.verdict, up.value) == ("failed", pytest.approx(-found.value))


def test_seeds_that_all_say_the_same_are_decided_by_p():
    rows = [-np.arange(4.0) * scale for scale in (1, 2, 3)]
    found = forced.falls(put(**dict(zip("abcd", np.transpose(rows), strict=True))), RADII)
    assert found.value == -1
    assert np.isnan(found.low)
    assert found.p == pytest.approx(2 / 24**3)
    assert (found.verdict, found.why) == ("passed", "all seeds say the same: decided by p")
    one = forced.falls(put(**{name: [float(-at)] for at, name in enumerate("abcd")}), RADII)
    assert one.verdict == "undecided"


def test_p_is_that_of_every_deal_of_every_seed():
    rng = np.random.default_rng(3)
    x = np.array([0.0, 0.1, 0.2])
    rows = [rng.normal(size=3), np.array([1.0, 1.0, 2.0])]
    seen = sum(forced.tau(x, row) for row in rows)
    deals = [
        sum(stats.kendalltau(x, order).statistic for order in orders)
        for orders in itertools.product(*(list(itertools.permutations(row)) for row in rows))
    ]
    expected = np.mean(np.abs(deals) >= abs(seen) - 1e-9)
    assert forced.chance([x, x], rows) == pytest.approx(expected)


@pytest.mark.parametrize(("sign", "verdict"), [(1, "passed"), (-1, "failed")])
def test_the_gap_falls_with_the_measure_within_seeds_or_it_rises(sign, verdict):
    rng = np.random.default_rng(4)
    order = np.arange(4.0) + rng.normal(0, 0.6, (7, 4))
    measure = put(**dict(zip("abcd", order.T, strict=True)))
    gap = put(**dict(zip("abcd", (sign * np.arange(4.0) + rng.normal(0, 0.6, (7, 4))).T + 100, strict=True)))
    found = forced.followed(measure, gap, RADII)
    pairs = zip(np.column_stack([gap.of(name) for name in "abcd"]), order, strict=True)
    assert found.value == pytest.approx(np.mean([stats.kendalltau(one, other).statistic for one, other in pairs]))
    assert found.verdict == verdict


@pytest.mark.parametrize("count", [6, 7, 8])
def test_the_share_of_splits_is_that_of_a_loop_over_them(count):
    values = np.random.default_rng(count).standard_t(2, count)
    seen, splits = [], set()
    for first in itertools.combinations(range(count), count // 2):
        other = tuple(sorted(set(range(count)) - set(first)))
        if (other, first) in splits:
            continue
        splits.add((first, other))
        found = independent(values[list(first)], values[list(other)])
        seen.append(abs(found.mean) > found.half)
    assert len(halves.halves(count)) == len(seen)
    assert float(halves.share(values, halves.halves(count))) == pytest.approx(np.mean(seen))


def test_the_null_is_passed_by_noise_and_failed_by_what_splits_find_too_often():
    assert halves.of_one_method(put(x=np.random.default_rng(0).normal(size=8)), "x").verdict == "passed"
    usual = halves.usual(8)
    assert 0.02 < usual.mean() < 0.06
    found = halves.of_one_method(put(x=np.random.default_rng(0).normal(size=8)), "x")
    assert found.p == pytest.approx((1 + (usual >= found.value - 1e-9).sum()) / 2001)
    rare = [halves.of_one_method(put(x=row), "x") for row in np.random.default_rng(5).normal(size=(400, 8))]
    assert np.mean([one.verdict == "failed" for one in rare]) <= 0.03
    split = halves.of_one_method(put(x=[0.0, 0.001, 0.002, 0.003, 1, 1.001, 1.002, 1.003]), "x")
    assert split.value > 0


def test_too_few_seeds_make_no_halves():
    found = halves.of_one_method(put(x=BASE), "x")
    assert (found.verdict, found.why) == ("undecided", "6 seeds or more make two halves, there are 5")
    assert halves.of_one_method(put(x=[3.0] * 8), "x").why == "no spread"
    assert halves.of_one_method(put(), "x").n == 0
    twice = Measured(HEAD, {"x": pd.Series(np.arange(8.0), [0, 1, 2, 3, 0, 1, 2, 3])})
    assert halves.of_one_method(twice, "x").why == "two networks have one seed, so they differ in more than that"


@pytest.mark.parametrize(
    ("after", "claims", "verdict", "why"),
    [
        ([2.0, 4.0], "invariant", "passed", ""),
        ([2.0 * (1 + 9e-5), 4.0], "invariant", "passed", ""),
        ([2.0, 4.0 * (1 + 2e-4)], "invariant", "failed", "and claims to be invariant"),
        ([6.0, 4.0], "changes", "failed", "it says so itself"),
        ([2.0, 4.0], "changes", "passed", ""),
        ([np.nan, np.inf], "invariant", "undecided", "not measured before and after"),
    ],
)
def test_what_moves_is_what_moves_by_more_than_rounding(after, claims, verdict, why):
    before = pd.Series([2.0, 4.0, 5.0], ["a", "b", "c"])
    found = moved.moved(before, pd.Series(after, ["a", "b"]), control="rescaled", claims=claims)
    assert (found.verdict, found.why) == (verdict, why)
    if verdict != "undecided":
        factors = np.array(after) / [2.0, 4.0]
        assert (found.value, found.low, found.high) == (np.median(factors), factors.min(), factors.max())
        assert found.n == 2


def test_the_wide_view_says_what_levels_say_together():
    def row(title, control, verdict, unit="loss", value=1.0):
        head = {"network": "n", "data": "d", "method": "sdt", "title": title, "control": control}
        return head | {"verdict": verdict, "unit": unit, "value": value}

    rows = [
        row("a", "sam", "passed"), row("a", "sam", "undecided"), row("b", "sam", "failed"), row("b", "sam", "passed"),
        row("a", "confident", "failed", "factor", 2.0), row("a", "confident", "failed", "factor", 0.25),
        row("b", "confident", "passed", "factor"), row("c", "confident", "undecided", "factor", np.nan),
    ]  # fmt: skip
    found = wide(pd.DataFrame(rows)).set_index("title")[["sam", "confident"]].to_dict("index")
    assert found == {
        "a": {"sam": "passed 1/2", "confident": "failed (×2, ×0.25)"},
        "b": {"sam": "failed 1/2", "confident": "passed"},
        "c": {"sam": "", "confident": "undecided"},
    }
