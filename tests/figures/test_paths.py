"""Pictures of paths, barriers and trajectories hold the numbers of their tables."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from scipy import stats

from figures.pictures import paths, surfaces, trajectory
from tables.reading import TableError
from tests.drawing import caption_of

pytestmark = pytest.mark.filterwarnings("error")


def places(line):
    return np.asarray(line.get_xydata(), dtype=float).T


def interval(values):
    half = stats.t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values))
    return np.mean(values) - half, np.mean(values) + half


# paths


def test_a_path_is_the_mean_over_pairs(tables, figure):
    lines = paths.paths(figure, tables["path"])
    assert set(lines) == {
        ("sdt", "tet", column, path) for column in ("sdt", "tet", "accuracy") for path in ("line", "sdt", "tet")
    }
    rows = tables["path"].query("split == 'train' and loss == 'tet' and kind == 'line'")
    line = lines["sdt", "tet", "tet", "line"]
    np.testing.assert_allclose(line.get_ydata(), rows.groupby("t")["value"].mean())
    rows = tables["path"].query("split == 'train' and loss == 'tet' and kind == 'bezier' and fitted == 'sdt'")
    np.testing.assert_allclose(
        lines["sdt", "tet", "accuracy", "sdt"].get_ydata(), 100 * rows.groupby("t")["accuracy"].mean()
    )
    assert "over pairs of networks, n = 3. BatchNorm's statistics taken anew" in caption_of(figure)
    assert figure.axes[0].get_ylim() == figure.axes[1].get_ylim()


def test_of_one_pair_the_band_is_over_images(tables, figure):
    paths.paths(figure, tables["path"].query("seed == 0"))
    band = figure.axes[0].collections[0].get_paths()[0].vertices[:, 1]
    rows = tables["path"].query("seed == 0 and split == 'train' and loss == 'sdt' and kind == 'line'")
    assert band.max() == pytest.approx((rows["value"] + 2 * rows["stderr"]).max())
    assert "two standard errors over examples, n = 1" in caption_of(figure)


def test_one_pair_beside_several_has_no_band(tables, figure):
    rows = tables["path"]
    more = rows.query("seed == 0").assign(method="third", checkpoint="runs/third-0")
    paths.paths(figure, pd.concat([rows, more], ignore_index=True))
    for ax in figure.axes:
        heights = [one.get_paths()[0].vertices for one in ax.collections if one.get_paths()]
        assert ("third" in ax.get_title()) is not any(np.isfinite(one).all() and len(one) > 3 for one in heights)
    assert "95 % t-band over pairs of networks, n = 1–3" in caption_of(figure)


def test_ways_with_batchnorm_are_not_mixed(tables, figure):
    other = tables["path"].assign(statistics="interpolated", value=9.0)
    both = paths.paths(figure, pd.concat([tables["path"], other]))
    assert places(both["sdt", "tet", "sdt", "line"])[1].max() < 1
    paths.paths(Figure(), other)
    assert "BatchNorm's statistics taken anew" in caption_of(figure)


def test_barriers_have_intervals_over_pairs_on_both_splits(tables, figure):
    markers = paths.barriers(figure, tables["barrier"])
    assert len(markers) == 2 * 3 * 2  # losses, paths, splits
    name = "SDT to TET, SDT loss, straight line"
    values = tables["barrier"].query("split == 'test' and loss == 'sdt' and kind == 'line'")["barrier"]
    marker = markers[name, "test"]
    ((at,), (height,)) = places(marker)
    assert at == pytest.approx(values.mean())
    bars = [places(line) for line in figure.axes[0].lines if len(places(line)[0]) == 2]
    ends = [across for across, up in bars if up[0] == height]
    np.testing.assert_allclose(ends[0], interval(values))
    labels = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert labels[round(height)] == name


def test_paths_without_a_finite_value_are_refused(tables, figure):
    with pytest.raises(TableError, match="no finite value of value"):
        paths.paths(figure, tables["path"].assign(value=np.nan))
    with pytest.raises(TableError, match="no finite value of barrier"):
        paths.barriers(figure, tables["barrier"].assign(barrier=np.inf))


# trajectories


def drawn(figure, tables, **changed):
    frames = tables | changed
    return trajectory.trajectory(figure, frames["surface_path"], frames["surface"], frames["surface_axes"])


def test_a_trajectory_lies_on_its_own_plane(tables, figure):
    filled = drawn(figure, tables)
    assert set(filled) == {"sdt", "tet"}
    np.testing.assert_array_equal(filled["sdt"].levels, filled["tet"].levels)
    steps = tables["surface_path"].query("method == 'tet' and seed == 0")
    walked = figure.axes[1].lines[0].get_xydata()
    np.testing.assert_allclose(walked, steps[["alpha", "beta"]])
    assert figure.axes[1].get_title() == "trained with TET, seed 0"
    assert figure.axes[1].get_xlabel() == "α (90 % of squared distance)"
    assert figure.axes[1].get_ylabel() == "β (6 % of squared distance)"


def test_what_lies_off_the_plane_is_drawn_below_it(tables, figure):
    drawn(figure, tables)
    steps = tables["surface_path"].query("method == 'sdt' and seed == 0")
    whole, off = figure.axes[2].lines
    np.testing.assert_allclose(whole.get_ydata(), steps["distance"])
    np.testing.assert_allclose(off.get_ydata(), steps["off_plane"])
    assert figure.axes[2].get_ylim() == figure.axes[3].get_ylim()
    assert "Off it by at most 0.1 ‖w‖" in caption_of(figure)


def test_without_planes_along_trajectories_there_is_no_picture(tables, figure):
    random = tables["surface"].query("directions == 'random'")
    with pytest.raises(TableError, match="no run has both a path and a plane"):
        drawn(figure, tables, surface=random)
    with pytest.raises(TableError, match="no run has both a path and a plane"):
        drawn(figure, tables, surface=random.drop(columns="directions"))


def test_planes_along_trajectories_are_in_no_mean_over_seeds(tables, figure):
    with_them = surfaces.planes(figure, tables["surface"])
    without = surfaces.planes(Figure(figsize=(7, 6)), tables["surface"].query("directions == 'random'"))
    for key, one in with_them.items():
        np.testing.assert_array_equal(one.levels, without[key].levels)
    assert max(figure.axes[0].get_xlim()) == 1.0
    assert "1 draw of filter-normalised random directions" in caption_of(figure)
    with pytest.raises(TableError, match="no plane but along trajectories"):
        surfaces.planes(figure, tables["surface"].query("directions == 'trajectory'"))


def test_an_infinite_point_has_its_sign(tables, figure):
    frame = tables["surface"].query("directions == 'random' and kind == 'plane'").reset_index(drop=True)
    frame.loc[(frame["alpha"] == 1) & (frame["beta"] == -1), "value"] = np.inf
    surfaces.planes(figure, frame)
    assert "4 infinite points: ∞, in the last colour" in caption_of(figure)
    for ax in (figure.axes[place] for place in (0, 1, 3, 4)):  # rises, two a row
        (sign,) = (line for line in ax.lines if line.get_marker() == r"$\infty$")
        assert sign.get_xydata().tolist() == [[1, -1]]
