"""Minima, persistence and merge trees against GUDHI, closed forms and the stability theorem."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from landscape.surfaces import topology

GRIDS = arrays(float, st.tuples(st.integers(1, 7), st.integers(1, 7)), elements=st.floats(-100, 100, width=32))


def wells(count: int) -> np.ndarray:
    """(x² − 1)² + y² + x/4 on [−2, 2]²: two wells, the left one deeper, a saddle near x = 0."""
    x, y = np.meshgrid(np.linspace(-2, 2, count), np.linspace(-2, 2, count), indexing="ij")
    return (x**2 - 1) ** 2 + y**2 + x / 4


def critical_values() -> np.ndarray:
    """Of (x² − 1)² + x/4 at the roots of its derivative: left well, saddle, right well."""
    roots = np.sort(np.roots([4, 0, -4, 0.25]).real)
    return (roots**2 - 1) ** 2 + roots / 4


def test_a_double_well_has_two_minima_that_meet_at_the_saddle():
    found = topology(wells(161))
    left, saddle, right = critical_values()
    assert found.count() == 2
    assert found.birth == pytest.approx([left, right], abs=5e-3)
    assert found.death == pytest.approx([np.inf, saddle], abs=5e-3)
    assert found.parent.tolist() == [-1, 0]
    assert found.minimum[0][0] < 80 < found.minimum[1][0]


def test_refining_the_grid_changes_no_count_and_the_persistence_less_and_less():
    truth = critical_values()[1] - critical_values()[2]
    errors = [abs(topology(wells(count)).persistence[1] - truth) for count in (21, 61, 161)]
    assert all(topology(wells(count)).count(0.01) == 2 for count in (21, 61, 161))
    assert errors[2] < errors[1] < errors[0] < 0.1


@given(GRIDS)
def test_it_agrees_with_gudhi(values):
    gudhi = pytest.importorskip("gudhi", reason="GUDHI is an optional extra")
    complex_ = gudhi.CubicalComplex(top_dimensional_cells=values)
    complex_.compute_persistence(homology_coeff_field=2, min_persistence=0)
    theirs = complex_.persistence_intervals_in_dimension(0)
    found = topology(values)
    ours = np.stack([found.birth, found.death], 1)[found.persistence > 0]
    assert np.allclose(np.sort(ours, 0), np.sort(theirs.reshape(-1, 2), 0))


@given(GRIDS, st.integers(0, 2**31))
def test_persistence_moves_by_no_more_than_twice_the_change(values, seed):
    change = np.random.default_rng(seed).uniform(-1, 1, values.shape)
    before, after = (np.sort(topology(v).persistence[1:])[::-1] for v in (values, values + change))
    size = max(len(before), len(after))
    before, after = (np.pad(p, (0, size - len(p))) for p in (before, after))
    assert (np.abs(before - after) <= 2 * np.abs(change).max() + 1e-9).all()


@given(GRIDS)
def test_a_merge_tree_is_a_tree_of_lower_minima(values):
    found = topology(values)
    for number, parent in enumerate(found.parent):
        if parent < 0:
            assert np.isinf(found.death[number])
        else:
            assert found.birth[parent] <= found.birth[number] <= found.death[number]
            assert values[tuple(found.saddle[number])] == found.death[number]
        assert values[tuple(found.minimum[number])] == found.birth[number]


def test_a_plateau_is_one_minimum():
    assert topology(np.zeros((4, 5))).count() == 1


def test_infinite_and_undefined_values_separate():
    found = topology(np.array([[0.0], [np.inf], [1.0], [np.nan], [2.0]]))
    assert found.birth.tolist() == [0, 1, 2]
    assert np.isinf(found.death).all()


def test_the_frame_has_a_row_per_minimum():
    frame = topology(wells(41)).to_frame()
    assert frame["parent"].tolist() == [-1, 0]
    assert frame["persistence"][1] == frame["death"][1] - frame["birth"][1]


def test_values_without_a_finite_one_are_refused():
    with pytest.raises(ValueError, match="a finite one among them"):
        topology(np.full((3, 3), np.inf))
