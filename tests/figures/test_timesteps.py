"""Pictures of what a network says with more or fewer steps hold their tables' numbers."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from figures.page.plates import plates
from figures.pictures import agreement, anytime, calibration, energy, scalability, ways
from figures.style import look as style
from tables.reading import TableError
from tables.rows import most_trained
from tests.drawing import caption_of

pytestmark = pytest.mark.filterwarnings("error")


@pytest.fixture
def several(tables):
    """Networks trained at two T, the later ones better from T = 3."""
    early = tables["timesteps"].assign(trained_timesteps=2.0)
    early["accuracy_cumulative"] -= 0.01 * (early["timesteps"] > 2)
    early["checkpoint"] += "-2"
    return pd.concat([tables["timesteps"], early], ignore_index=True)


def plain(frame, training):
    """Test rows of one training, as trained."""
    return frame.query(f"method == '{training}' and split == 'test' and statistics == 'trained'")


# networks trained at several T


def test_each_training_has_a_panel_and_each_trained_t_a_curve(several, figure):
    curves = scalability.cumulative(figure, several)
    assert set(curves) == {(training, "test", trained) for training in ("sdt", "tet") for trained in (2, 4)}
    for (training, _, trained), one in curves.items():
        rows = plain(several, training).query(f"trained_timesteps == {trained}")
        means = 100 * rows.groupby("timesteps")["accuracy_cumulative"].mean()
        np.testing.assert_allclose(one.line.get_ydata(), means)
    assert [ax.get_title() for ax in figure.axes] == ["SDT, n = 3", "TET, n = 3"]
    assert figure.axes[0].get_ylim() == figure.axes[1].get_ylim()
    assert figure.get_figwidth() == style.PAGE
    markers = {curves["tet", "test", trained].line.get_marker() for trained in (2, 4)}
    assert len(markers) == 2


def test_rings_join_networks_tested_at_the_t_they_were_trained_at(several, figure):
    scalability.cumulative(figure, several)
    for ax, training in zip(figure.axes, ("sdt", "tet"), strict=True):
        (rings,) = (line for line in ax.lines if line.get_linestyle() == ":")
        rows = plain(several, training).query("timesteps == trained_timesteps")
        expected = 100 * rows.groupby("timesteps")["accuracy_cumulative"].mean()
        assert list(rings.get_xdata()) == [2, 4]
        np.testing.assert_allclose(rings.get_ydata(), expected)


def test_one_training_at_several_t_is_one_panel(several, figure):
    scalability.at_step(figure, several.query("method == 'tet'"))
    assert [ax.get_title() for ax in figure.axes] == ["TET, n = 3"]


def test_rows_measured_in_another_way_are_not_averaged_in(tables, figure):
    curves = scalability.cumulative(figure, tables["timesteps"])
    rows = plain(tables["timesteps"], "tet")
    expected = 100 * rows.groupby("timesteps")["accuracy_cumulative"].mean()
    np.testing.assert_allclose(curves["tet", "test", 4].line.get_ydata(), expected)


# other ways


def test_ways_are_differences_paired_by_network(tables, figure):
    curves = ways.ways(figure, tables["timesteps"])
    assert set(curves) == {("statistics anew", "sdt"), ("statistics anew", "tet")}
    table = curves["statistics anew", "sdt"].table
    # The made-up gain is 1 % of e^−T and 0.1 % a seed: 0, 0.1 and 0.2 points.
    np.testing.assert_allclose(table["mean"], np.exp(-table["timesteps"]) + 0.1)
    half = stats.t.ppf(0.975, 2) * 0.1 / np.sqrt(3)
    np.testing.assert_allclose(table["high"] - table["mean"], half)


def test_recut_streams_have_a_look_of_their_own(tables, figure):
    rows = tables["timesteps"].assign(frames="truncated")
    again = rows[rows["statistics"] == "trained"].assign(frames="recut")
    both = rows[rows["statistics"] != "trained"].assign(frames="recut")
    curves = ways.ways(figure, pd.concat([rows, again, both]))
    assert {name for name, _ in curves} == {"statistics anew", "cut anew", "both"}
    np.testing.assert_allclose(curves["cut anew", "tet"].line.get_ydata(), 0, atol=1e-12)
    dashes = {str(vars(one.line)["_dash_pattern"]) for (_, method), one in curves.items() if method == "sdt"}
    assert len(dashes) == 3


def test_a_table_without_other_ways_is_refused(tables, figure):
    one = tables["timesteps"].query("statistics == 'trained'")
    for frame in (one, one.drop(columns=["statistics", "frames"])):
        with pytest.raises(TableError, match="no rows with statistics taken anew"):
            ways.ways(figure, frame)


# agreement and calibration


def test_agreement_and_settling_are_shares_of_test_images(tables, figure):
    curves = agreement.agreement(figure, tables["timesteps"])
    for column in ("agreement_cumulative", "agreement_at_step", "settling"):
        rows = plain(tables["timesteps"], "sdt")
        np.testing.assert_allclose(
            curves[column, "sdt"].line.get_ydata(), 100 * rows.groupby("timesteps")[column].mean()
        )
    assert "On 1497 test examples; trained at T = 4; final: with T = 8." in caption_of(figure)


def test_calibration_stands_beside_its_null(tables, figure):
    curves = calibration.calibration(figure, tables["timesteps"])
    rows = plain(tables["timesteps"], "tet")
    np.testing.assert_allclose(curves["ece", "tet"].line.get_ydata(), 100 * rows.groupby("timesteps")["ece"].mean())
    np.testing.assert_allclose(curves["overconfidence", "tet"].line.get_ydata(), -5)
    nulls = [line for line in figure.axes[0].lines if line.get_linestyle() == ":"]
    assert [set(line.get_ydata()) for line in nulls] == [{1.0}, {1.0}]
    assert "15 bins of equal width" in caption_of(figure)


@pytest.mark.parametrize(("draw", "column"), [(agreement.agreement, "settling"), (calibration.calibration, "ece_null")])
def test_a_table_without_their_columns_is_refused(draw, column, tables, figure):
    with pytest.raises(TableError, match=f"lacks the column {column}"):
        draw(figure, tables["timesteps"].drop(columns=column))


def test_networks_of_several_trained_t_are_not_averaged(several, figure):
    curves = agreement.agreement(figure, several[several["method"] == "sdt"])
    assert (curves["settling", "sdt"].table["n"] == 3).all()
    rows = pd.DataFrame({"trained_timesteps": [2.0, 4, 4, np.nan, np.inf, np.inf, np.inf]})
    assert most_trained(rows)[0] == 4
    assert len(most_trained(rows)[1]) == 2
    with pytest.raises(TableError, match="no finite value of trained_timesteps"):
        most_trained(rows.iloc[3:])


# anytime


def test_points_are_means_over_seeds_at_each_threshold(tables, figure):
    curves = anytime.anytime(figure, tables["anytime"], tables["timesteps"])
    rows = tables["anytime"].query("method == 'tet' and split == 'test'").groupby("threshold")
    for column in ("accuracy", "gain"):
        line = curves[column, "tet"].line
        np.testing.assert_allclose(line.get_xdata(), rows["mean_steps"].mean())
        np.testing.assert_allclose(line.get_ydata(), 100 * rows[column].mean())
    fixed = plain(tables["timesteps"], "tet").groupby("timesteps")["accuracy_cumulative"].mean()
    np.testing.assert_allclose(curves["fixed", "tet"].line.get_ydata(), 100 * fixed)
    assert "threshold, 0 … 1, at T = 8 at the latest" in caption_of(figure)


# energy


def test_the_twin_without_spikes_is_a_line_near_the_points_and_a_number_in_the_caption(tables, figure):
    frame = tables["energy"].assign(twin_joules=5e-7)
    energy.accuracy(figure, frame)
    lines = [list(line.get_xdata()) for line in figure.axes[0].lines if line.get_linestyle() == "--"]
    assert [500, 500] in [pytest.approx(one) for one in lines if len(one) == 2]
    assert "Without spikes (line): 500 nJ." in caption_of(figure)


def test_a_twin_far_from_the_points_is_only_told(tables, figure):
    energy.accuracy(figure, tables["energy"].assign(twin_joules=1e-4))
    assert figure.axes[0].get_xlim()[1] < 2000
    assert "Without spikes: 1e+05 nJ." in caption_of(figure)


def test_energy_is_of_networks_of_one_trained_t(tables, figure):
    frame = tables["energy"].assign(trained_timesteps=4.0)
    other = frame.assign(trained_timesteps=2.0, joules=1.0).query("seed == 0")
    bars = energy.accuracy(figure, pd.concat([frame, other]))["tet"]
    rows = frame.query("method == 'tet' and layer == 'total'")
    np.testing.assert_allclose(bars[0].get_xydata()[:, 0], 1e9 * rows.groupby("timesteps")["joules"].mean())
    assert "trained at T = 4" in caption_of(figure)


def test_a_picture_that_was_not_asked_for_is_no_news(tables):
    frame = scalability.as_trained(tables["timesteps"])
    made, missing = plates({"timesteps": frame})
    assert "scalability-ways" not in {one.name for one in made}
    assert not [line for line in missing if "statistics or frames taken anew" in line]
