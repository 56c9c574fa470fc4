"""Means, intervals and how they are drawn, against hand-computed numbers and scipy."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from scipy import stats

from figures.style.bands import counted, curve, handles, over_seeds, remark
from figures.style.look import fit_percent
from figures.style.methods import looks
from figures.style.paired import beside

# at x = 1: seed 0 draws 1 and 3, seed 1 draws 4 and 4, seed 2 draws 3; at x = 2: seeds have 5, 7 and 6, once each
FRAME = pd.DataFrame(
    {
        "x": [1, 1, 1, 1, 1, 2, 2, 2],
        "seed": [0, 0, 1, 1, 2, 0, 1, 2],
        "draw": [0, 1, 0, 1, 0, 0, 0, 0],
        "y": [1.0, 3, 4, 4, 3, 5, 7, 6],
    }
)
HALF = 4.302652729911275 / 3**0.5  # t·s/√n: Student's 97.5 % quantile with two degrees of freedom, s = 1


def test_draws_are_averaged_within_a_seed_before_seeds_are():
    table = over_seeds(FRAME, ["x"], "y").set_index("x")
    assert (table["mean"][1], table["n"][1]) == (3.0, 3)  # of 2, 4 and 3, not of 1, 3, 4, 4, 3 with n = 5
    assert table["mean"][2] == 6.0
    np.testing.assert_allclose(table["high"], table["mean"] + HALF)
    np.testing.assert_allclose(table["low"], table["mean"] - HALF)


@given(st.lists(st.floats(-1e3, 1e3), min_size=3, max_size=12))
def test_the_interval_is_scipys(values):
    frame = pd.DataFrame({"x": 0, "seed": range(len(values)), "y": values})
    row = over_seeds(frame, ["x"], "y").iloc[0]
    half = stats.t.ppf(0.975, len(values) - 1) * stats.sem(values)
    np.testing.assert_allclose(
        [row["low"], row["high"]], [np.mean(values) - half, np.mean(values) + half], rtol=1e-9, atol=1e-9
    )


def test_infinite_values_are_in_no_mean_and_are_counted():
    frame = pd.DataFrame({"x": 0, "seed": range(5), "y": [1.0, 3.0, np.inf, -np.inf, np.nan]})
    row = over_seeds(frame, ["x"], "y").iloc[0]
    assert row[["mean", "n", "above", "below"]].tolist() == [2.0, 2, 1, 1]


def test_n_is_a_range_where_seeds_are_missing():
    assert counted([5, 5]) == "n = 5"
    assert counted([3, 0, 5]) == "n = 3–5"
    assert counted([]) == "n = 0"


def test_the_curve_is_the_mean_and_the_band_the_interval():
    drawn = curve(Figure().subplots(), FRAME, "x", "y", "tet")
    assert np.asarray(drawn.line.get_xydata()).tolist() == [[1, 3], [2, 6]]
    assert drawn.line.get_color() == looks()["tet"].colour
    assert drawn.band is not None
    corners = {tuple(corner) for corner in np.round(drawn.band.get_paths()[0].vertices, 9)}
    assert {
        (1.0, round(3 - HALF, 9)),
        (1.0, round(3 + HALF, 9)),
        (2.0, round(6 - HALF, 9)),
        (2.0, round(6 + HALF, 9)),
    } <= corners


def test_one_seed_has_points_and_no_band():
    drawn = curve(Figure().subplots(), FRAME[FRAME["seed"] == 0], "x", "y", "sdt")
    assert drawn.band is None
    assert np.asarray(drawn.line.get_ydata()).tolist() == [2, 5]
    assert drawn.line.get_marker() == looks()["sdt"].marker
    assert handles([drawn])[0].get_label() == "SDT, n = 1"
    assert remark([drawn]) == "Fewer than three seeds: no band."


def test_two_seeds_have_a_mean_and_no_band():
    """Of two the interval is 12.7 standard errors to either side: accuracies above 100 %."""
    two = over_seeds(FRAME[FRAME["seed"] < 2], ["x"], "y")
    assert two["mean"].tolist() == [3, 6]
    assert two[["low", "high"]].isna().all(axis=None)
    drawn = curve(Figure().subplots(), FRAME[FRAME["seed"] < 2], "x", "y", "sdt")
    assert drawn.band is None
    assert remark([drawn]) == "Fewer than three seeds: no band."


def test_no_percentage_beyond_the_possible_is_shown():
    ax = Figure().subplots()
    ax.set_ylim(-30, 140)
    fit_percent(ax)
    assert ax.get_ylim() == (-2, 102)
    ax.set_ylim(90, 101)
    fit_percent(ax)
    assert ax.get_ylim() == (90, 101)


def test_infinite_values_are_drawn_on_the_edge_and_said():
    frame = FRAME.assign(y=[1.0, 3, 4, 4, 3, np.inf, 7, 7])
    ax = Figure().subplots()
    drawn = curve(ax, frame, "x", "y", "sdt")
    (head,) = drawn.edge
    assert np.asarray(head.get_xdata()).tolist() == [2]
    assert head.get_marker() == "^"
    assert math.isclose(head.get_transform().transform((2, 0.985))[1], ax.transAxes.transform((0, 0.985))[1])
    assert np.asarray(drawn.line.get_ydata()).tolist() == [3, 7]
    assert "1 infinite value," in remark([drawn])


def test_the_legend_names_each_training_once_with_the_n_of_all_panels():
    axes = Figure().subplots(1, 2)
    parts = (FRAME, FRAME[FRAME["seed"] == 0])
    curves = [curve(ax, part, "x", "y", "sdt") for ax, part in zip(axes, parts, strict=True)]
    assert [handle.get_label() for handle in handles(curves)] == ["SDT, n = 1–3"]


def test_the_looks_differ_in_colour_marker_dash_and_lightness():
    sdt, tet = looks()["sdt"], looks()["tet"]
    assert len({sdt.marker, tet.marker}) == len({sdt.dash, tet.dash}) == 2
    red, green, blue = ([int(look.colour[i : i + 2], 16) for look in (sdt, tet)] for i in (1, 3, 5))
    grey = 0.2126 * np.array(red) + 0.7152 * np.array(green) + 0.0722 * np.array(blue)
    assert abs(grey[0] - grey[1]) > 50


@pytest.mark.parametrize("seeds", [(0, 1, 2, 3, 4), (5, 6, 7, 8, 9)], ids=["paired", "apart"])
def test_a_band_beside_the_reference_is_scipys_interval_of_the_difference(seeds):
    """Of pairs where seeds are the same, else Welch's; laid where the method's mean is."""
    rng = np.random.default_rng(0)
    one, shift = rng.normal(10, 3, 5), rng.normal(1, 0.1, 5)  # what is paired spreads much less than either
    reference = pd.DataFrame({"x": 1.0, "seed": range(5), "y": one})
    method = pd.DataFrame({"x": 1.0, "seed": seeds, "y": one + shift})
    row = beside(pd.DataFrame({"x": [1.0]}), method, reference, "x", "y").iloc[0]
    test = stats.ttest_rel(one + shift, one) if seeds[0] == 0 else stats.ttest_ind(one + shift, one, equal_var=False)
    low, high = test.confidence_interval(0.95)
    np.testing.assert_allclose([row["low"], row["high"]], [one.mean() + low, one.mean() + high], rtol=1e-9)
