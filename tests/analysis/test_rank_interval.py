"""The interval of τ: its variance by simulation, its coverage, and what it says of a few seeds in perfect order."""

from itertools import product

import numpy as np
import pytest

from analysis.compare.correlation import rank_correlation
from analysis.compare.rank_interval import tau_interval

UNKNOWN = np.array([np.nan])  # leaves the deflation at 1


def normal(generator, shape, tau):
    """Pairs of a normal distribution whose τ is so much."""
    rho = np.sin(np.pi * tau / 2)
    first, second = generator.normal(size=(2, *shape))
    return first, rho * first + np.sqrt(1 - rho**2) * second


def copies(tau, methods, seeds, within):
    """τ over pairs of two seeds, of subjects that are what their seed is, many times."""
    x, y = normal(np.random.default_rng(0), (20000, max(seeds) + 1), tau)
    total, number = 0.0, 0
    for i, j in product(range(len(seeds)), repeat=2):
        if seeds[i] != seeds[j] and (methods[i] == methods[j] or not within):
            total += np.sign((x[:, seeds[i]] - x[:, seeds[j]]) * (y[:, seeds[i]] - y[:, seeds[j]]))
            number += 1
    return total / number


@pytest.mark.parametrize(
    ("methods", "seeds", "within"),
    [
        ("aaaaa", [0, 1, 2, 3, 4], False),
        ("aaaaabbbbb", [0, 1, 2, 3, 4] * 2, True),
        ("aaaaabb", [0, 1, 2, 3, 4, 0, 1], True),
        ("aaaaabb", [0, 1, 2, 3, 4, 0, 1], False),
        ("aaaabbbb", [0, 1, 2, 3, 2, 3, 4, 5], False),
        ("aaabbbccc", [0, 1, 2, 3, 4, 5, 6, 7, 8], True),
    ],
)
def test_at_its_ends_tau_is_as_far_as_its_spread_there_lets_it_be(methods, seeds, within):
    for end in tau_interval(0.2, UNKNOWN, methods, seeds, within=within):
        spread = copies(end, methods, seeds, within).std()
        assert abs(0.2 - end) == pytest.approx(1.96 * spread, rel=0.03)


def test_all_pairs_in_order_still_leave_a_width():
    low, high = tau_interval(1.0, np.ones(5), "ab" * 5, np.repeat(range(5), 2).tolist(), within=True)
    assert 0 < low < 0.5
    assert high == 1
    assert tau_interval(-1.0, -np.ones(5), "ab" * 5, np.repeat(range(5), 2).tolist(), within=True) == pytest.approx(
        (-high, -low)
    )


def test_more_seeds_narrow_it_and_more_methods_of_them_do_not():
    def width(methods, seeds):
        cells = list(product(range(methods), range(seeds)))
        low, high = tau_interval(0.4, UNKNOWN, [m for m, _ in cells], [s for _, s in cells], within=True)
        return high - low

    assert width(1, 5) == pytest.approx(width(2, 5)) == pytest.approx(width(8, 5))
    assert width(2, 5) > width(2, 10) > width(2, 40)


@pytest.mark.parametrize(
    ("tau", "methods", "seeds", "within"),
    [(np.nan, "aaa", [0, 1, 2], False), (0.5, "abc", [0, 0, 0], False), (0.5, "abc", [0, 1, 2], True)],
)
def test_without_a_pair_of_seeds_there_is_none(tau, methods, seeds, within):
    assert np.isnan(tau_interval(tau, UNKNOWN, methods, seeds, within=within)).all()


def test_the_jackknife_narrows_it_down_to_that_of_independent_subjects():
    """Of two methods within, independent τ average: half the variance."""
    methods, seeds = "a" * 5 + "b" * 5, [*range(5)] * 2
    spread = np.array([-1.0, 0, 0, 0, 1])
    steady, one, few, many = (
        tau_interval(0.4, 0.4 + size * spread, methods, seeds, within=True) for size in (0, 0.05, 0.18, 9)
    )
    assert many == pytest.approx(tau_interval(0.4, UNKNOWN, methods, seeds, within=True))
    assert steady == pytest.approx(one)
    assert steady[1] - steady[0] < few[1] - few[0] < many[1] - many[0]
    alone = tau_interval(0.4, UNKNOWN, methods, [*range(10)], within=True)  # as if no seed was shared
    assert steady == pytest.approx(alone, abs=1e-6)


@pytest.mark.parametrize(
    ("number", "tau", "within"), [(1, 0.71, True), (2, 0.71, True), (2, 0.71, False), (2, 0.0, False)]
)
def test_it_covers_with_five_seeds_of_methods_that_correlate(number, tau, within):
    """To within three standard errors of 300 times: fewer than 90 % are no accident."""
    generator, times = np.random.default_rng(1), 300
    methods, seeds = np.repeat(range(number), 5), np.tile(range(5), number)
    of_seed, own = normal(generator, (times, 1, 5), tau), normal(generator, (times, number, 5), tau)
    sides = [np.sqrt(0.9) * one + np.sqrt(0.1) * other for one, other in zip(of_seed, own, strict=True)]
    covered = 0
    for x, y in zip(*(side.reshape(times, 5 * number) for side in sides), strict=True):
        found = rank_correlation(x, y, methods, seeds, within=within, resamples=1, seed=0)
        covered += found.low <= tau <= found.high
    assert covered / times > 0.9
