"""Crossover and verdict: by hand where the band is given, by simulation where it is estimated."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.compare.band import Band
from analysis.compare.crossover import Crossover, Range, _crossover, decided, unsupported, verdict, zeros

RADII = np.linspace(0.1, 1, 10)


def banded(mean, half, radii=None):
    mean, radii = np.array(mean, dtype=float), np.arange(1.0, len(mean) + 1) if radii is None else radii
    return Band(radii, mean, mean - half, mean + half, 2.0, 0.5, 5, 0.95)


def said(mean, half):
    found = banded(mean, half)
    return decided(found), _crossover(found, decided(found))


def test_flatter_within_sharper_beyond_and_undecided_between():
    ranges, at = said([-3, -1, 1, 3], 0.5)
    assert ranges == (Range(1.0, 2.25, "method"), Range(2.25, 2.75, ""), Range(2.75, 4.0, "reference"))
    assert at == Crossover(2.5, 2.25, 2.75, certain=True)


def test_a_mean_that_keeps_its_sign_has_no_crossover():
    assert said([1, 2, 3], 0.5) == ((Range(1.0, 3.0, "reference"),), None)
    ranges, at = said([1, 2, 3], 2.0)
    assert ranges == (Range(1.0, 2.0, ""), Range(2.0, 3.0, "reference"))
    assert at is None


def test_a_crossover_without_a_decided_side_is_open_there():
    assert said([-0.1, 0.1, 3], 0.5)[1] == Crossover(1.5, 0.0, 2 + (0.5 - 0.1) / (3 - 0.1), certain=False)
    assert said([-3, -0.1, 0.1], 0.5)[1] == Crossover(2.5, 1 + (3 - 0.5) / (3 - 0.1), float("inf"), certain=False)
    assert said([-0.1, 0.1], 0.5)[1] == Crossover(1.5, 0.0, float("inf"), certain=False)


def test_the_first_certain_crossing_is_taken_before_an_uncertain_one():
    """Near the weights the mean wavers about zero; the sign is decided once, farther out."""
    ranges, at = said([0.1, -0.1, 0.1, 3, -3], 0.5)
    assert [each.flatter for each in ranges] == ["", "reference", "", "method"]
    assert at is not None
    assert (at.radius, at.certain) == (4.5, True)
    _, first = said([0.1, -0.1, 0.1, -0.1], 0.5)
    assert first == Crossover(1.5, 0.0, float("inf"), certain=False)


def test_a_dip_between_two_sides_of_one_sign_is_not_certain():
    ranges, at = said([3, -0.1, 3], 0.5)
    assert [each.flatter for each in ranges] == ["reference", "", "reference"]
    assert at is not None
    assert not at.certain


def test_a_band_without_width_crosses_at_a_point():
    ranges, at = said([-1, 1], 0.0)
    assert ranges == (Range(1.0, 1.5, "method"), Range(1.5, 2.0, "reference"))
    assert at == Crossover(1.5, 1.5, 1.5, certain=True)
    assert said([0, 0, 0], 0.0) == ((Range(1.0, 3.0, ""),), None)


@given(st.lists(st.integers(-3, 3), min_size=2, max_size=8))
def test_zeros_are_found_as_by_looking_at_a_fine_grid(heights):
    radii, values = np.arange(1.0, len(heights) + 1), np.array(heights, dtype=float)
    fine = np.linspace(radii[0], radii[-1], 997 * (len(radii) - 1) + 1)
    signs = np.sign(np.interp(fine, radii, values))
    kept = np.flatnonzero(np.abs(np.interp(fine, radii, values)) > 1e-9)
    expected = [(fine[a] + fine[b]) / 2 for a, b in pairwise(kept) if signs[a] * signs[b] < 0]
    assert zeros(radii, values) == pytest.approx(expected, abs=2e-3)


@given(st.lists(st.floats(-3, 3), min_size=2, max_size=8), st.floats(0, 2))
def test_ranges_join_and_each_is_what_the_band_says_at_every_radius_in_it(heights, half):
    found = banded(heights, half)
    ranges = decided(found)
    assert (ranges[0].low, ranges[-1].high) == (found.radii[0], found.radii[-1])
    assert all(one.high == other.low and one.flatter != other.flatter for one, other in pairwise(ranges))
    for radius in np.random.default_rng(0).uniform(found.radii[0], found.radii[-1], 50):
        low, high = (np.interp(radius, found.radii, edge) for edge in (found.low, found.high))
        side = "reference" if low > 0 else "method" if high < 0 else ""
        around = [each.flatter for each in ranges if each.low - 1e-9 <= radius <= each.high + 1e-9]
        assert side in around


@pytest.mark.parametrize("pairs", [3, 5, 10])
def test_intervals_of_the_crossover_hold_it_and_certain_ones_are_rarely_false(pairs):
    """A true crossing at 0.62 and correlated noise: of 300 experiments at most 5 % place it elsewhere."""
    generator = np.random.default_rng(pairs)
    alike = np.exp(-0.5 * ((RADII[:, None] - RADII) / 0.3) ** 2) + 1e-9 * np.eye(10)
    noise = generator.standard_normal((300, pairs, 10)) @ np.linalg.cholesky(alike).T * 0.15
    truth = np.interp(RADII, [0.1, 0.4, 0.8, 1], [0.1, 0.22, -0.18, -0.5])
    crossing = zeros(RADII, truth)
    found = [verdict(RADII, np.zeros((pairs, 10)), truth + each, draws=500) for each in noise]
    wrong = [
        at.certain and not at.low <= crossing[0] <= at.high
        for at in (each.crossover for each in found)
        if at is not None
    ]
    assert len(crossing) == 1
    assert np.mean(wrong) <= 0.05 + 2 * (0.05 * 0.95 / 300) ** 0.5
    if pairs == 10:
        assert np.mean([each.crossover is not None and each.crossover.certain for each in found]) > 0.5


def test_without_any_difference_a_side_is_named_in_one_experiment_of_twenty():
    noise = np.random.default_rng(0).standard_normal((300, 5, 10)).cumsum(2)
    named = [bool(verdict(RADII, np.zeros((5, 10)), each, draws=1000).sides) for each in noise]
    assert np.mean(named) <= 0.05 + 2 * (0.05 * 0.95 / 300) ** 0.5


def test_exchanging_the_methods_exchanges_the_sides():
    generator = np.random.default_rng(0)
    one = generator.normal(size=(5, 10)) * 0.05 + RADII
    other = one + 0.3 * (RADII - 0.5) + generator.normal(size=(5, 10)) * 0.02
    forth, back = verdict(RADII, one, other), verdict(RADII, other, one)
    exchanged = {"method": "reference", "reference": "method", "": ""}
    assert [exchanged[each.flatter] for each in forth.ranges] == [each.flatter for each in back.ranges]
    assert forth.crossover == back.crossover
    assert forth.sides == ("method", "reference")


def test_the_sentence_says_each_stretch():
    one = np.zeros((4, 4))
    radii = np.array([1.0, 2, 3, 4])
    noise = 0.01 * np.random.default_rng(0).standard_normal((4, 4))
    found = verdict(radii, one, np.array([1.0, 1, -1, -1]) + noise)
    text = found.sentence("tet", "sdt")
    assert text.startswith("tet against sdt: sharper from 1 to 2.")
    assert ", undecided to 2." in text
    assert text.endswith(", flatter to 4")
    nothing = verdict(radii, one, 100 * noise - 100 * noise.mean(0))
    assert nothing.sentence("tet", "sdt") == "tet and sdt: undecided from 1 to 4"


def test_what_the_scale_of_logits_doesnt_bear_out_is_named():
    radii, noise = np.array([1.0, 2, 3, 4]), 0.001 * np.random.default_rng(0).standard_normal((5, 4))

    def of(*mean):
        return verdict(radii, np.zeros((5, 4)), np.array(mean) + noise)

    assert unsupported(of(1, 1, 1, 1), of(2, 2, 2, 2)) == ()
    assert unsupported(of(1, 1, 1, 1), of(-1, -1, -1, -1)) == (Range(1.0, 4.0, "reference"),)
    (part,) = unsupported(of(1, 1, -1, -1), of(1, 1, 1, 1))
    assert part.flatter == "method"
    assert (part.low, part.high) == (pytest.approx(2.5, abs=0.01), 4)
    (part,) = unsupported(of(1, 1, 1, 1), of(1, 1, 1, -1))
    assert (part.low, part.high, part.flatter) == (pytest.approx(3.5, abs=0.01), 4, "reference")


def test_curves_that_dont_pair_are_refused():
    with pytest.raises(ValueError, match="in pairs at the same radii"):
        verdict(RADII, np.zeros((5, 10)), np.zeros((4, 10)))
    with pytest.raises(ValueError, match="at least 2 pairs"):
        verdict(RADII, np.zeros((1, 10)), np.zeros((1, 10)))
