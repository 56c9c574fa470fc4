"""ψ, Ψ, Î, K, sign errors and partial τ: against tables counted by hand, and their papers' formulas written out."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from analysis.generalization.environments import coupled, environments
from analysis.generalization.granulated import granulated, psi
from analysis.generalization.information import cells_of, information, least, sets
from analysis.generalization.pairs import pairs_of
from analysis.generalization.ranks import deal, p_values, tau

from . import naive
from .sweeps import FACTORS, size, sweep

SEEDS = st.integers(0, 2**32 - 1)
FEW = settings(max_examples=15)  # the papers' loops are slow
TWO = {"learning_rate": ("0.1", "0.2"), "batch_size": ("16", "32")}
SPLIT = {"learning_rate": ("0.1", "0.2", "0.4"), "batch_size": ("16", "32")}


def drawn(seed: int, *, ties: bool = False):
    """A sweep with a random gap, and a random measure."""
    rng = np.random.default_rng(seed)
    values = rng.integers(0, 12, (2, size())) if ties else rng.normal(size=(2, size()))
    gap, measure = values.astype(float)
    return sweep(gap, {"m": measure}), measure


def psis(one, measure):
    of = pairs_of(one)
    found = {at: psi(of.signs(measure), of.signs(one.gaps["loss"]), of, at) for at in range(of.levels.shape[1])}
    return {name: found[at] for at, name in enumerate(one.levels)}


def informations(one, measure):
    of = pairs_of(one)
    names, gap = list(one.levels), of.signs(one.gaps["loss"])
    found = {some: information(of.signs(measure), cells_of(of, some, gap)) for some in sets(len(names))}
    return {tuple(names[at] for at in some): values for some, values in found.items()}, least(found)[0][0]


def errors(one, measure, weights=None):
    of = pairs_of(one)
    weigh = np.ones(len(of.first)) if weights is None else weights
    return of, environments(of.signs(measure), of.signs(one.gaps["loss"]), weigh, coupled(of, one.settings))


# by hand


def test_psi_counted_by_hand():
    """Gaps 1 2 | 4 3 and measures 1 2 | 3 4 (learning rate across, batch size within): of two contexts one agrees.

    Learning rate: (16: 1 → 4, up; 1 → 3, up) and (32: 2 → 3, up; 2 → 4, up) both agree, ψ = 1. Batch size: (0.1: up,
    up) agrees, (0.2: gap 4 → 3, measure 3 → 4) doesn't, ψ = 0. Ψ = ½.
    """
    one = sweep([1, 2, 4, 3], factors=TWO, seeds=1)
    found = psis(one, np.array([1.0, 2, 3, 4]))
    assert [float(found[name].leaving[0]) for name in TWO] == [1, 0]
    assert [found[name].contexts for name in TWO] == [2, 2]
    assert granulated(dict(enumerate(found.values())))[0] == 0.5


def test_a_factor_of_three_levels_counted_by_hand():
    """One context of three: gaps 1 2 3, measures 2 1 3: two of three pairs agree, τ = 1/3; the other agrees in all."""
    one = sweep([1, 4, 2, 5, 3, 6], factors=SPLIT, seeds=1)
    found = psis(one, np.array([2.0, 4, 1, 5, 3, 6]))["learning_rate"]
    assert found.leaving[0] == pytest.approx((1 / 3 + 1) / 2)
    assert found.pairs == 6


def test_information_counted_by_hand():
    """Four networks, gaps 1 2 3 4, measures 1 2 4 3: five of six pairs agree.

    Nothing given: p(+,+) = p(−,−) = 5/12, p(+,−) = p(−,+) = 1/12, so Î = 1 − H(1/6)/log 2. Given the learning rate: the
    four pairs across it (each of one cell, all with the larger gap at 0.2) have no entropy; of the two within it (0.1:
    agrees, 0.2: doesn't) each cell has both orders, and the measure gives the gap's in each: Î = 1.
    """
    one = sweep([1, 2, 3, 4], factors=TWO, seeds=1)
    found, _ = informations(one, np.array([1.0, 2, 4, 3]))
    lost = -(5 / 6 * np.log(5 / 6) + 1 / 6 * np.log(1 / 6)) / np.log(2)
    assert found[()][0] == pytest.approx(1 - lost)
    assert found["learning_rate",][0] == pytest.approx(1)
    assert np.isnan(found["learning_rate", "batch_size"][0])  # each pair is a cell of its own


def test_sign_errors_counted_by_hand():
    """Two settings of two seeds: gaps 1 2 against 3 4, measures 1 4 against 2 3: pairs + + − −, the error ½."""
    one = sweep([1, 2, 3, 4], factors={"learning_rate": ("0.1", "0.2")}, seeds=2)
    found = errors(one, np.array([1.0, 4, 2, 3]))[1]
    assert (found.error.tolist(), found.pairs.tolist(), found.effective.tolist()) == ([0.5], [4], [4])
    weighted = errors(one, np.array([1.0, 4, 2, 3]), np.array([0, 1.0, 1, 3, 3, 0]))[1]
    assert weighted.error == pytest.approx([6 / 8])
    assert weighted.effective == pytest.approx([64 / 20])


# by the papers' formulas


@FEW
@given(SEEDS, st.booleans())
def test_psi_is_jiang_s(seed, ties):
    one, measure = drawn(seed)
    measure = np.round(measure) if ties else measure
    for name, found in psis(one, measure).items():
        assert found.leaving[0] == pytest.approx(naive.psi(one, measure, name), abs=1e-6)


@FEW
@given(SEEDS, st.booleans())
def test_information_is_jiang_s(seed, ties):
    one, measure = drawn(seed, ties=ties)
    found, smallest = informations(one, measure)
    for given_, values in found.items():
        assert values[0] == pytest.approx(naive.information(one, measure, given_), abs=1e-9, nan_ok=True)
    assert smallest == pytest.approx(naive.k(one, measure), abs=1e-9)


@FEW
@given(SEEDS, st.booleans())
def test_sign_errors_are_dziugaite_s(seed, ties):
    one, measure = drawn(seed, ties=ties)
    of, found = errors(one, measure, (pairs_of(one).signs(one.gaps["loss"]) != 0).astype(float))
    expected = naive.sign_errors(one, measure)
    words = one.levels.apply(tuple, axis=1).tolist()
    for pair, error in zip(found.example, found.error, strict=True):
        ends = frozenset({words[of.first[pair]], words[of.second[pair]]})
        assert error == pytest.approx(expected[ends], abs=1e-6)
    assert len(found.error) + found.left_out == 12 * 4 // 2


@FEW
@given(SEEDS, st.booleans())
def test_tau_is_scipy_s_and_leaves_out_whole_seeds(seed, ties):
    one, measure = drawn(seed, ties=ties)
    of, gap = pairs_of(one), one.gaps["loss"]
    found = tau(of, of.signs(measure), of.signs(gap))
    kept = [np.ones(len(gap), bool), *(one.seeds != left for left in range(3))]
    for value, some in zip(found, kept, strict=True):
        assert value == pytest.approx(stats.kendalltau(measure[some], gap[some]).statistic, abs=1e-6)


@FEW
@given(SEEDS)
def test_what_is_left_out_is_what_the_rest_alone_would_give(seed):
    one, measure = drawn(seed)
    kept = one.seeds != 1
    rest, own = one.chosen(kept), measure[kept]
    for name, found in psis(one, measure).items():
        assert found.leaving[2] == pytest.approx(psis(rest, own)[name].leaving[0], abs=1e-6)
    alone = informations(rest, own)[0]
    for some, values in informations(one, measure)[0].items():
        assert values[2] == pytest.approx(alone[some][0], abs=1e-9, nan_ok=True)
    assert errors(one, measure)[1].mean[2] == pytest.approx(errors(rest, own)[1].mean[0], abs=1e-6)


@FEW
@given(SEEDS)
def test_partial_tau_given_one_is_kendall_s_and_given_two_is_that_applied_again(seed):
    one, x = drawn(seed)
    y, rng = one.gaps["loss"], np.random.default_rng(seed + 1)
    z, w = rng.normal(size=(2, len(x))) + x
    values = {"x": x, "y": y, "z": z, "w": w}
    of = pairs_of(one)
    signs = {name: of.signs(some) for name, some in values.items()}
    t = {(a, b): stats.kendalltau(values[a], values[b]).statistic for a, b in combinations(values, 2)}

    def without(xy, xz, yz):
        return (xy - xz * yz) / np.sqrt((1 - xz**2) * (1 - yz**2))

    one_given = {(a, b): without(t[a, b], t[min(a, "z"), max(a, "z")] if a != "w" else t["z", "w"],
                                 t["z", "w"] if b == "w" else t[b, "z"]) for a, b in (("x", "y"), ("x", "w"), ("y",
                                 "w"))}  # fmt: skip
    assert tau(of, signs["x"], signs["y"], signs["z"])[0] == pytest.approx(one_given["x", "y"], abs=1e-6)
    both = tau(of, *(signs[name] for name in "xyzw"))[0]
    assert both == pytest.approx(without(*one_given.values()), abs=1e-5)


def test_tau_given_the_measure_itself_is_none():
    one, x = drawn(0)
    of = pairs_of(one)
    assert np.isnan(tau(of, of.signs(x), of.signs(one.gaps["loss"]), of.signs(x))).all()


# measures that are known


@pytest.mark.parametrize(("turn", "expected"), [(1, 1), (-1, -1)])
@FEW
@given(seed=SEEDS, ties=st.booleans())
def test_the_gap_itself_and_its_negative(turn, expected, seed, ties):
    one, _ = drawn(seed, ties=ties)
    gap = one.gaps["loss"]
    of, known = pairs_of(one), (pairs_of(one).signs(gap) != 0).astype(float)
    assert tau(of, of.signs(turn * gap), of.signs(gap))[0] == pytest.approx(expected)
    found = {at: one_ for at, one_ in enumerate(psis(one, turn * gap).values()) if one_}
    assert granulated(found)[0] == pytest.approx(expected)
    assert informations(one, turn * gap)[1] == pytest.approx(1)
    assert set(np.round(errors(one, turn * gap, known)[1].error, 9)) == {(1 - expected) / 2}


def test_what_only_follows_a_factor_tells_nothing_once_that_is_given():
    rng = np.random.default_rng(0)
    rates = np.repeat([0.1, 0.2, 0.4], 2 * 3)
    measure = np.tile(rates, 2)
    one = sweep(measure + 0.01 * rng.random(size()), {"m": measure})
    found, _ = informations(one, measure)
    assert found[()][0] > 0.5
    assert found["learning_rate",][0] == pytest.approx(0)


def test_noise_has_a_k_near_zero_and_less_than_that_of_the_gap_dealt_anew():
    rng = np.random.default_rng(3)
    found = []
    for _ in range(20):
        one = sweep(rng.normal(size=size(seeds=5)), seeds=5)
        found.append(informations(one, rng.normal(size=size(seeds=5)))[1])
    assert np.mean(found) < 0.02


def test_without_a_seed_in_common_contexts_have_all_seeds():
    """Networks of seeds of their own: pairs are those of any seed that differ in one factor alone."""
    one = sweep([1, 2, 3, 4], factors=TWO, seeds=1)
    apart = type(one)(**{**one.__dict__, "seeds": np.arange(4)})
    found = psis(apart, np.array([1.0, 2, 3, 4]))
    assert [float(found[name].leaving[0]) for name in TWO] == [1, 1]


# p


def test_p_is_over_settings_and_seeds_dealt_as_wholes():
    one = sweep(range(6), {"m": range(6)}, factors={"learning_rate": ("0.1", "0.2", "0.4")}, seeds=2)
    of, gap = pairs_of(one), one.gaps["loss"]
    dealt = deal(one.settings, one.seeds, most=100, seed=0)
    taus = np.array([stats.kendalltau(gap[order], gap).statistic for order in dealt.order])
    assert len(dealt.order) == 12  # 3! · 2!
    expected = (np.abs(taus) >= 1 - 1e-9).mean()
    (found,) = p_values(gap, of.signs(gap)[None], of, one.settings, deals=100, seed=0)
    assert found == pytest.approx(expected)


def test_within_methods_only_their_own_pairs_count():
    one, measure = drawn(5)
    of = pairs_of(one, within=True)
    signs = of.signs(measure), of.signs(one.gaps["loss"])
    agreed = [
        naive.sign(a["measure"] - b["measure"]) * naive.sign(a["gap"] - b["gap"])
        for a, b in combinations(naive.networks(one, measure), 2)
        if a["levels"]["method"] == b["levels"]["method"]
    ]
    assert tau(of, *signs)[0] == pytest.approx(np.mean(agreed))
    assert psi(*signs, of, list(FACTORS).index("method")) is None
