"""The table of shapes against surfaces whose widths, rises and minima are known."""

import numpy as np
import pandas as pd
import pytest

from analysis.surface.shapes import minima, shapes

IDENTITY = {"checkpoint": "ckpt.pt", "network": "net", "data": "digits", "method": "sdt", "training": "sdt", "seed": 0}


def surface(values, alphas, betas, **more) -> pd.DataFrame:
    """A table surface of one plane (or line: one beta)."""
    alpha, beta = np.meshgrid(alphas, betas, indexing="ij")
    points = {"alpha": alpha.ravel(), "beta": beta.ravel(), "value": values.ravel(), "rise_stderr": 0.01}
    return pd.DataFrame({**IDENTITY, "loss": "sdt", "split": "train", "kind": "plane", "draw": 0, **points, **more})


AXIS = np.linspace(-1, 1, 41)
BOWL = 0.25 + 4 * AXIS[:, None] ** 2 + 4 * AXIS[None, :] ** 2


def test_a_bowl_s_numbers_are_its_closed_forms():
    row = shapes(surface(BOWL, AXIS, AXIS)).iloc[0]
    assert row["centre"] == 0.25
    assert row["doubling_radius"] == pytest.approx(0.25, rel=0.02)
    assert row["half_width"] == pytest.approx(np.sqrt(0.5 / 4), rel=0.02)
    assert row["mean_rise"] == pytest.approx(1, rel=0.01)
    assert row["doubling_reached"]
    assert row["half_width_reached"]
    assert row["roughness"] < 1e-12
    assert (row["minima"], row["significant_minima"], row["persistence"], row["infinite"]) == (1, 1, 0, 0)


def test_minima_below_the_error_are_counted_apart():
    dented = BOWL.copy()
    dented[30, 30] -= 1.5
    dented[5, 5] -= 0.7
    tables = [surface(dented, AXIS, AXIS), surface(dented, AXIS, AXIS, rise_stderr=0.3, draw=1)]
    found = shapes(pd.concat(tables))
    assert found["minima"].tolist() == [3, 3]
    assert found["significant_minima"].tolist() == [3, 2]
    assert found["threshold"].tolist() == [0.02, 0.6]


def test_the_merge_tree_says_where_each_minimum_lies_and_where_it_meets_a_lower_one():
    valley = np.array([[9.0, 0, 5, 1, 9], [9, 9, 9, 2, 0.5]])  # along one row: 0 meets 1 at 5, and 1 meets 0.5 at 1
    tables = [surface(valley, np.array([-1.0, 1]), np.arange(5.0)), surface(np.full((3, 1), np.inf), AXIS[:3], [0.0])]
    tree = minima(pd.concat([tables[0], tables[1].assign(draw=1)]))
    assert tree[["draw", "minimum", "parent"]].to_numpy().tolist() == [[0, 0, -1], [0, 1, 0]]
    assert tree["birth"].tolist() == [0, 0.5]
    assert tree["death"].tolist() == [np.inf, 5]
    assert tree[["alpha", "beta"]].to_numpy().tolist() == [[-1, 1], [1, 4]]
    assert tree[["saddle_alpha", "saddle_beta", "persistence"]].to_numpy()[1].tolist() == [-1, 2, 4.5]
    assert np.isnan(tree[["saddle_alpha", "saddle_beta"]].to_numpy(float)[0]).all()
    assert minima(tables[1]).empty


def test_each_loss_split_kind_and_draw_has_a_row_of_its_own():
    tables = [surface(BOWL, AXIS, AXIS, loss=loss, draw=draw) for loss in ("sdt", "tet") for draw in (0, 1)]
    tables.append(surface(BOWL[:, 20:21], AXIS, np.zeros(1), kind="line"))
    found = shapes(pd.concat(tables))
    assert len(found) == 5
    assert found["mean_rise"].to_numpy() == pytest.approx(1, rel=0.01)


def test_the_images_of_a_surface_are_the_most_that_a_point_took():
    assert "images" not in shapes(surface(BOWL, AXIS, AXIS))
    counts = np.where(AXIS[:, None] * AXIS[None, :] > 0.9, 150, 50)
    assert shapes(surface(BOWL, AXIS, AXIS, images=counts.ravel()))["images"].tolist() == [150]


def test_infinite_points_are_counted_and_bound_the_basin():
    steep = np.where(BOWL > 1.25, np.inf, BOWL)
    row = shapes(surface(steep, AXIS, AXIS)).iloc[0]
    assert row["infinite"] == np.isinf(steep).sum() > 0
    assert row["half_width"] == pytest.approx(np.sqrt(0.5 / 4), rel=0.02)
    assert row["minima"] == 1


def test_a_grid_without_its_centre_or_too_small_has_no_such_numbers():
    off = shapes(surface(BOWL[:40], AXIS[:40] + 0.01, AXIS)).iloc[0]
    assert np.isnan(off[["centre", "doubling_radius", "half_width", "mean_rise"]].astype(float)).all()
    assert off["minima"] == 1
    small = shapes(surface(BOWL, AXIS / 10, AXIS / 10)).iloc[0]
    assert np.isnan(small["mean_rise"])


def test_a_level_that_is_not_reached_says_so():
    row = shapes(surface(BOWL / 100, AXIS, AXIS)).iloc[0]
    assert not row["half_width_reached"]
    assert row["half_width"] > 1


def test_a_surface_without_a_finite_value_has_no_minimum():
    row = shapes(surface(np.full_like(BOWL, np.inf), AXIS, AXIS)).iloc[0]
    assert (row["minima"], row["infinite"]) == (0, BOWL.size)
    assert np.isnan(row["persistence"])
