"""Pictures of layers, timesteps, robustness, sharpness, and of measures against gaps hold their tables' numbers."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from figures.pictures import correlation, parts, robustness, sharpness
from tables.reading import TableError
from tests.drawing import caption_of

pytestmark = pytest.mark.filterwarnings("error")


# layers and timesteps


def test_layers_stand_in_the_networks_order(tables, figure):
    curves = parts.layers(figure, tables["layers"])
    names = [label.get_text() for label in figure.axes[-1].get_xticklabels()]
    assert names == ["stem.conv1", "body.conv2", "body.head"]
    rows = tables["layers"].query("method == 'tet' and loss == 'sdt' and operator == 'hessian'")
    expected = [rows.loc[rows["layer"] == name, "top_eigenvalue"].mean() for name in names]
    np.testing.assert_allclose(curves["top_eigenvalue", "sdt", "tet"].line.get_ydata(), expected)


@pytest.mark.parametrize(
    ("draw", "table", "key"), [(parts.layers, "layers", "layer"), (parts.steps, "steps", "timestep")]
)
def test_shares_are_of_each_networks_gauss_newton_trace(draw, table, key, tables, figure):
    one = draw(figure, tables[table])["share", "tet", "sdt"]
    rows = tables[table].query("method == 'sdt' and loss == 'tet' and operator == 'gauss_newton'")
    shares = [seed["trace"] / seed["trace"].sum() for _, seed in rows.groupby("seed")]
    np.testing.assert_allclose(one.line.get_ydata(), np.mean([np.array(share) for share in shares], axis=0))
    assert sum(one.line.get_ydata()) == pytest.approx(1)
    assert [ax.get_title() for ax in figure.axes][-1] == "TET loss, Gauss–Newton"


def test_another_matrix_is_named_where_gauss_newton_is_missing(tables, figure):
    parts.steps(figure, tables["steps"].query("operator == 'hessian'"))
    assert [ax.get_title() for ax in figure.axes] == ["TET loss, formal Hessian"] * 2
    reference = [line for line in figure.axes[1].lines if list(line.get_xdata()) == [0, 1]]
    assert reference[0].get_ydata()[0] == 1 / 4


def test_parts_without_a_finite_value_or_in_other_coordinates_are_refused(tables, figure):
    with pytest.raises(TableError, match="no finite value of top_eigenvalue, trace"):
        parts.layers(figure, tables["layers"].assign(top_eigenvalue=np.nan, trace=np.nan))
    with pytest.raises(TableError, match="no row in raw coordinates"):
        parts.steps(figure, tables["steps"].assign(coordinates="filter"))


# robustness


def test_differences_of_the_loss_against_strength_are_means_over_pairs_on_test_images(tables, figure):
    curves = robustness.robustness(figure, tables["robustness"])
    assert {method for _, method in curves} == {"tet"}  # the reference is what it is compared with
    rows = tables["robustness"].query("split == 'test' and loss == 'sdt' and perturbation == 'weight_noise'")
    wide = rows.pivot_table(index=["strength", "seed"], columns="method", values="value")
    pairs = (wide["tet"] - wide["sdt"]).groupby("strength")
    one = curves["weight_noise", "tet"]
    np.testing.assert_allclose(one.line.get_ydata(), pairs.mean())
    half = stats.t.ppf(0.975, 2) * pairs.std() / np.sqrt(3)
    np.testing.assert_allclose(one.table["high"] - one.table["mean"], half)
    assert figure.axes[0].get_ylabel() == "test SDT loss (nats)\nminus SDT's"
    assert "On 200 test examples, 4 draws of everything random" in caption_of(figure)


def test_one_method_s_own_loss_is_drawn(tables, figure):
    rows = tables["robustness"].query("method == 'tet' and split == 'test' and loss == 'sdt'")
    curves = robustness.robustness(figure, rows)
    expected = rows.query("perturbation == 'weight_noise'").groupby("strength")["value"].mean()
    np.testing.assert_allclose(curves["weight_noise", "tet"].line.get_ydata(), expected)
    assert figure.axes[0].get_ylabel() == "test SDT loss (nats)"


def test_bits_run_from_unrounded_weights_to_the_fewest(tables, figure):
    curves = robustness.robustness(figure, tables["robustness"])
    panel = next(ax for ax in figure.axes if ax.get_title() == "rounded weights")
    assert [label.get_text() for label in panel.get_xticklabels()] == ["none", "8", "3"]
    first, *_, last = np.asarray(curves["rounding", "tet"].line.get_ydata(), dtype=float)
    assert first < last
    assert {ax.get_ylim() for ax in figure.axes} == {figure.axes[0].get_ylim()}


@pytest.mark.parametrize("few", ["seed == 0", "seed < 2", "seed == 0 or method != 'tet'"])
def test_draws_make_no_band_where_seeds_are_fewer_than_three(few, tables, figure):
    curves = robustness.robustness(figure, tables["robustness"].query(few))
    assert curves["weight_noise", "tet"].band is None
    assert "Fewer than three seeds: no band." in caption_of(figure)


# sharpness


def test_rises_are_drawn_for_measures_with_several_radii(tables, figure):
    curves = sharpness.sharpness(figure, tables["sharpness"])
    assert {key[0] for key in curves} == {"average", "worst"}
    rows = tables["sharpness"].query("measure == 'worst' and loss == 'tet' and method == 'sdt'")
    line = curves["worst", "tet", "sdt"].line
    np.testing.assert_allclose(line.get_ydata(), rows.groupby("radius")["value"].mean())
    assert [label.get_text() for label in figure.axes[-1].get_xticklabels()] == ["0.05", "0.1", "0.2"]
    assert figure.axes[0].get_xscale() == figure.axes[0].get_yscale() == "log"
    assert figure.axes[2].get_ylim() == figure.axes[3].get_ylim()


def test_settings_are_not_averaged_and_what_is_not_positive_is_counted(tables, figure):
    frame = tables["sharpness"].query("measure == 'worst'").assign(setting="m = 10")
    frame = pd.concat([frame, frame.assign(setting="m = 50", value=9.0)], ignore_index=True)
    frame.loc[0, "value"] = -1.0
    curves = sharpness.sharpness(figure, frame)
    assert {key[0] for key in curves} == {"worst, m = 10", "worst, m = 50"}
    assert set(curves["worst, m = 50", "sdt", "sdt"].line.get_ydata()) == {9.0}
    assert "Not drawn: 1 that are not positive" in caption_of(figure)


def test_sharpness_without_radii_is_refused(tables, figure):
    with pytest.raises(TableError, match="no measure with a radius"):
        sharpness.sharpness(figure, tables["sharpness"].drop(columns="radius"))
    with pytest.raises(TableError, match="no measure has a positive rise at two radii"):
        sharpness.sharpness(figure, tables["sharpness"].query("radius == 0.1"))


# measures against gaps


def test_points_are_checkpoints_measure_across_and_gap_up(tables, figure):
    points = correlation.gap_in_loss(figure, tables["measures"], tables["correlation"])
    assert {name for name, _ in points} == {"top_eigenvalue[hessian]", "average_rise[0.1]"}
    values = tables["measures"].query("method == 'tet'").set_index("checkpoint")
    flat = values[(values["measure"] == "average_rise[0.1]") & (values["loss"] == "sdt")]["value"]
    gap = values[values["measure"] == "gap_in_loss"]["value"]
    expected = np.column_stack([flat, gap.loc[flat.index]])
    np.testing.assert_allclose(points["average_rise[0.1]", "tet"].get_offsets(), expected)


def test_the_forest_has_every_tau_with_its_interval_the_largest_first(tables, figure):
    points = correlation.gap_in_accuracy(figure, tables["measures"], tables["correlation"])
    gaps = tables["measures"].query("method == 'sdt' and measure == 'gap_in_accuracy'")
    heights = np.asarray(points["average_rise[0.1]", "sdt"].get_offsets())[:, 1]
    np.testing.assert_allclose(heights, 100 * gaps["value"])
    forest, *panels = figure.axes
    rows = tables["correlation"].query("gap == 'accuracy' and loss == 'sdt' and among == 'all'")
    rows = rows[rows["measure"].isin({name for name, _ in points})].sort_values("tau", ascending=False)
    marks = {line.get_ydata()[0]: line.get_xdata()[0] for line in forest.lines if line.get_marker() == "o"}
    assert [marks[height] for height in sorted(marks)] == list(rows["tau"])
    bars = [
        list(line.get_xdata()) for line in forest.lines if line.get_color() == "black" and len(line.get_xdata()) == 2
    ]
    assert bars[:2] == rows[["low", "high"]].to_numpy().tolist()
    assert [label.get_text().replace("\n", " ") for label in forest.get_yticklabels()] == list(rows["title"])
    assert panels[0].get_ylabel() == "gap in accuracy (%)"


def test_points_are_of_the_three_strongest(tables, figure):
    values, taus = tables["measures"], tables["correlation"]
    for at in range(4):
        more = values[values["measure"] == "top_eigenvalue[hessian]"]
        values = pd.concat([values, more.assign(measure=f"kind_{at}", title=f"kind {at}")])
        row = taus[taus["measure"] == "top_eigenvalue[hessian]"]
        taus = pd.concat([taus, row.assign(measure=f"kind_{at}", title=f"kind {at}", tau=(-1) ** at * (0.6 + at / 10))])
    points = correlation.gap_in_loss(figure, values, taus)
    assert {name for name, _ in points} == {"kind_1", "kind_2", "kind_3"}


def test_a_tau_without_an_interval_has_no_bar(tables, figure):
    without = tables["correlation"].assign(tau=1.0, low=np.nan, high=np.nan)
    correlation.gap_in_loss(figure, tables["measures"], without)
    forest = figure.axes[0]
    assert not [line for line in forest.lines if line.get_color() == "black" and line.get_marker() == "None"][
        1:
    ]  # zero
    assert "2 of 4 measures of flatness" in caption_of(figure)


def test_one_measure_of_a_kind_is_drawn():
    names = ["trace[hessian]", "trace_filter[hessian]", "trace[gauss_newton]"]
    names += [f"worst_rise[{radius}]" for radius in (0.1, 0.2, 0.5)] + [f"m_sharpness[m = 5,{at}]" for at in (1, 2, 3)]
    chosen = correlation.one_of_each_kind([*names, *(f"measure_{i}" for i in range(20))])
    assert chosen[:4] == ["trace_filter[hessian]", "trace[gauss_newton]", "worst_rise[0.2]", "m_sharpness[m = 5,2]"]
    assert len(chosen) == 12


def test_without_gaps_there_is_no_scatter(tables, figure):
    values = tables["measures"]
    without = values[~values["measure"].str.startswith("gap_in")]
    with pytest.raises(TableError, match="no checkpoint has both"):
        correlation.gap_in_loss(figure, without, tables["correlation"])
