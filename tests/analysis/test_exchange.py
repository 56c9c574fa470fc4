"""Deals of subjects: against every permutation that keeps who shares a seed and who a method."""

import math
from itertools import permutations, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from analysis.compare.exchange import exchanges

CELLS = list(product("abc", range(4)))
some = st.lists(st.sampled_from(CELLS), min_size=1, max_size=6, unique=True)


def labels(cells):
    return [method for method, _ in cells], [seed for _, seed in cells]


def keepers(cells, of_methods):
    """Every permutation after which subjects share a seed, and a method, where they did before."""
    sides = [np.array(side) for side in labels(cells)]
    same = [side[:, None] == side for side in sides]
    for order in map(list, permutations(range(len(cells)))):
        kept = all((one[np.ix_(order, order)] == one).all() for one in same)
        if kept and (of_methods or (sides[0][order] == sides[0]).all()):
            yield tuple(order)


@given(some)
def test_deals_of_seeds_are_all_that_keep_who_shares_what(cells):
    found = exchanges(*labels(cells), of_methods=False, most=720, seed=0)
    assert found.exhaustive
    assert sorted(map(tuple, found.order.tolist())) == sorted(keepers(cells, False))


@given(some)
def test_deals_of_methods_too_are_a_group_of_such(cells):
    """A group is what makes a test of them exact; the identity is in it."""
    found = exchanges(*labels(cells), of_methods=True, most=720, seed=0).order
    deals = set(map(tuple, found.tolist()))
    assert len(deals) == len(found)
    assert deals <= set(keepers(cells, True))
    assert all(tuple(one[other]) in deals for one in found for other in found)
    assert deals >= set(keepers(cells, False))


@pytest.mark.parametrize(
    ("cells", "number"),
    [
        (list(product("ab", range(3))), 2 * 6),
        (list(product("abc", range(2))), 6 * 2),
        (list(product("a", range(5))), 120),
        (list(product("abcd", [7])), 24),
        ([("a", 0), ("a", 1), ("a", 2), ("b", 3), ("b", 4), ("b", 5)], 2 * 6 * 6),
        ([("a", 0), ("a", 1), ("a", 2), ("b", 0), ("b", 1)], 2),
        ([("a", 0), ("a", 1), ("a", 2), ("b", 1), ("b", 2), ("b", 3)], 2 * 2),
    ],
)
def test_how_many_there_are(cells, number):
    assert len(exchanges(*labels(cells), of_methods=True, most=720, seed=0).order) == number


def test_more_than_asked_for_are_drawn_evenly():
    cells = list(product("ab", range(6)))
    found = exchanges(*labels(cells), of_methods=True, most=1400, seed=3)
    assert not found.exhaustive
    assert found.order.shape == (1400, 12)
    assert (np.sort(found.order, 1) == np.arange(12)).all()
    assert ((found.order[:, :6] + 6) % 12 == found.order[:, 6:]).all()  # the same seeds, of the other method
    assert stats.chisquare(np.bincount(found.order[:, 2], minlength=12)).pvalue > 1e-4


def test_p_is_never_0():
    few, many = (exchanges("a" * n, range(n), of_methods=True, most=200, seed=0) for n in (5, 9))
    assert few.p(1) == 1 / math.factorial(5)
    assert (many.p(0), many.p(200)) == (1 / 201, 1)


def test_a_subject_that_is_there_twice_is_refused():
    with pytest.raises(ValueError, match="two subjects of method a have seed 1"):
        exchanges("aab", [1, 1, 1], of_methods=True, most=10, seed=0)
