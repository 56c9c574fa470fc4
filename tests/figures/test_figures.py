"""Each picture's artists hold the numbers of the table, checked against means taken the slow way."""

from contextlib import suppress

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import same_color, to_rgba
from matplotlib.figure import Figure
from matplotlib.text import Text
from scipy import stats

from figures.pictures import (
    density,
    energy,
    flatness,
    momentum,
    planes,
    radius,
    scalability,
    spectra,
    surface_lines,
    surfaces,
    training,
)
from figures.pictures.surfaces import Panel
from figures.style import contours
from figures.style import look as style
from figures.style.bands import FAINT
from figures.style.methods import looks
from tables.reading import TableError, read
from tests.figure_tables import LOSSES, complete, made_up, write

pytestmark = pytest.mark.filterwarnings("error")


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """Every made-up table, read back as figures read them; three seeds a side."""
    folder = write(tmp_path_factory.mktemp("figures"), made_up(seeds=3))
    return {name: read(folder, name) for name in made_up(seeds=1)}


@pytest.fixture
def figure():
    with style.paper():
        yield Figure(figsize=(7, 4), layout="constrained")


def chosen(frame, **values):
    for column, value in values.items():
        frame = frame[frame[column] == value]
    return frame


def by_hand(frame, x, y):
    """Mean over seeds of the mean over everything else, and half the interval: one point at a time."""
    points = []
    for at in sorted(set(frame[x])):
        here = frame[frame[x] == at]
        seeds = [np.mean(here.loc[here["seed"] == seed, y]) for seed in sorted(set(here["seed"]))]
        half = stats.t.ppf(0.975, len(seeds) - 1) * np.std(seeds, ddof=1) / np.sqrt(len(seeds))
        points.append((at, np.mean(seeds), half))
    return np.array(points).T


def against(frame, other, x, y):
    """The mean over seeds of the differences, and half its interval: one point at a time, pair by pair."""
    points = []
    for at in sorted(set(frame[x])):
        sides = [one[one[x] == at].groupby("seed")[y].mean() for one in (other, frame)]
        pairs = sides[1] - sides[0]
        half = stats.t.ppf(0.975, len(pairs) - 1) * pairs.std(ddof=1) / np.sqrt(len(pairs))
        points.append((at, sides[0].mean() + pairs.mean(), half))
    return np.array(points).T


def assert_curve(one, frame, x, y, scale=1.0, other=None):
    """The means over seeds, and their band; beside another method, that of the differences."""
    at, mean, half = by_hand(frame, x, y)
    np.testing.assert_allclose(one.line.get_xydata().T, [at, scale * mean])
    if other is not None:
        _, mean, half = against(frame, other, x, y)
    np.testing.assert_allclose(one.table["high"] - one.table["low"], 2 * scale * half, atol=1e-12)
    heights = one.band.get_paths()[0].vertices[:, 1]
    np.testing.assert_allclose(
        [heights.min(), heights.max()], scale * np.array([(mean - half).min(), (mean + half).max()])
    )


def xs(line):
    return np.asarray(line.get_xdata(), dtype=float)


def ys(line):
    return np.asarray(line.get_ydata(), dtype=float)


def caption_of(figure):
    return figure.get_supxlabel().replace("\n", " ").replace("\u00a0", " ")


# surfaces


def test_two_methods_stand_beside_each_other_and_their_difference_on_shared_levels(tables, figure):
    panels = surfaces.planes(figure, tables["surface"])
    expected = {Panel("rise", training, loss) for training in LOSSES for loss in LOSSES}
    assert set(panels) == expected | {Panel("difference", "tet", loss) for loss in LOSSES}
    for kind, colours in (("rise", "viridis"), ("difference", "PuOr_r")):
        ones = [one for panel, one in panels.items() if panel.kind == kind]
        for one in ones:
            np.testing.assert_array_equal(one.levels, ones[0].levels)
            assert one.get_cmap().name == colours
            assert (one.norm.vmin, one.norm.vmax) == (ones[0].norm.vmin, ones[0].norm.vmax)
    titles = [ax.get_title().replace("\u00a0", " ") for ax in figure.axes[:3]]
    assert titles == ["trained with SDT (n = 3)\nSDT loss", "trained with TET (n = 3)\nSDT loss", "TET − SDT\nSDT loss"]
    words = [ax.get_xlabel() for ax in figure.axes if ax.get_label() == "<colorbar>"]
    assert words == ["rise on training examples (nats)", "difference of rises (nats)"]


def surface_rows(values):
    """Rows of corners of a plane and its centre: ``values`` by (seed, draw), to which α + 10 β is added."""
    places = [(a, b) for a in (-1.0, 0.0, 1.0) for b in (-1.0, 0.0, 1.0)]
    rows = [(s, d, a, b, v + (a + 10 * b) * (1 + s)) for s, d, v in values for a, b in places]
    return pd.DataFrame(rows, columns=["seed", "draw", "alpha", "beta", "value"])


def test_a_rise_is_from_the_weights_seed_by_seed_and_the_mean_over_draws_then_seeds():
    one = planes.plane(surface_rows([(0, 0, 1.0), (0, 1, 3.0), (1, 0, 6.0)]))
    np.testing.assert_allclose(one.mean, 1.5 * np.array([[-11, -10, -9], [-1, 0, 1], [9, 10, 11]]))
    np.testing.assert_allclose(one.seeds[1], 2 * one.seeds[0])
    assert one.lowest == (-1.0, -1.0)
    assert (one.draws, one.centred) == (2, True)


def test_a_grid_without_the_weights_rises_from_its_lowest_point():
    frame = surface_rows([(0, 0, 1.0)]).query("alpha != 0 and beta != 0")
    one = planes.plane(frame)
    assert not one.centred
    assert one.mean.min() == 0.0


def test_a_difference_is_decided_where_its_interval_leaves_zero_out():
    """Differences of 1, 1 ± a little, at one point; of −1, 0, 1 elsewhere."""
    rows = surface_rows([(seed, 0, 0.0) for seed in range(3)]).assign(value=0.0)
    other = rows.assign(value=rows["seed"] - 1.0)
    other.loc[(other["alpha"] == 1) & (other["beta"] == 1), "value"] = [0.9, 1.0, 1.1]
    other.loc[(other["alpha"] == 0) & (other["beta"] == 0), "value"] = 0.0
    mean, decided = planes.apart(planes.plane(rows), planes.plane(other))
    assert mean[2, 2] == pytest.approx(1.0)
    assert np.argwhere(decided).tolist() == [[2, 2]]
    assert not planes.apart(planes.plane(rows.query("seed < 2")), planes.plane(other.query("seed < 2")))[1].any()


def test_what_is_not_decided_is_hatched(tables, figure):
    surfaces.planes(figure, tables["surface"])
    hatched = [one for ax in figure.axes for one in ax.collections if getattr(one, "hatches", [None]) != [None]]
    rows = chosen(tables["surface"], kind="plane", loss="sdt")
    one, other = (planes.plane(chosen(rows, method=name)) for name in ("sdt", "tet"))
    assert bool(hatched) is bool((~planes.apart(one, other)[1]).any())


def test_more_than_two_methods_have_a_row_each_and_one_has_its_losses(tables):
    many = surfaces.arranged(["sdt", "tet", "sam"], ["sdt", "tet"], column=False)
    assert [[panel and panel.kind for panel in line] for line in many] == [
        ["rise", None, "rise", None],
        ["rise", "difference", "rise", "difference"],
        ["rise", "difference", "rise", "difference"],
    ]
    assert [len(line) for line in surfaces.arranged(["sdt", "tet", "sam"], ["sdt", "tet"], column=True)] == [2] * 6
    assert surfaces.arranged(["sdt"], ["sdt", "tet"], column=False) == [
        [Panel("rise", "sdt", "sdt"), Panel("rise", "sdt", "tet")]
    ]


def test_the_minimum_is_marked_where_the_mean_is_lowest(tables, figure):
    surfaces.planes(figure, tables["surface"])
    rows = chosen(tables["surface"], kind="plane", method="tet", loss="sdt")
    at = rows.groupby(["alpha", "beta"])["value"].mean().idxmin()
    (cross,) = (line for line in figure.axes[1].lines if line.get_marker() == "x")
    assert cross.get_xydata().tolist() == [list(at)]


@given(st.floats(1e-6, 1e6), st.floats(1.5, 1e6))
def test_levels_of_rises_are_geometric_and_within_the_values(low, factor):
    levels = contours.geometric(np.geomspace(low, low * factor, 500))
    assert 2 <= len(levels) <= 12
    steps = levels[1:] / levels[:-1]
    assert steps.min() > 1.4
    assert steps.max() < 10.1
    if len(levels) > 2:
        assert levels[0] >= low * 0.999
        assert levels[-1] <= low * factor * 1.001


@given(st.floats(1e-6, 1e6))
def test_levels_of_differences_are_symmetric(size):
    levels = contours.symmetric(np.linspace(-size, size / 3, 500))
    np.testing.assert_allclose(levels, -levels[::-1])
    assert 3 <= len(levels) <= 11


def test_smoothing_keeps_the_grids_points_and_leaves_what_is_not_finite_alone():
    at = np.linspace(-1, 1, 9)
    values = at[:, None] ** 2 + np.sin(at)[None, :]
    fine = contours.smooth(at, at, values, fewest=9)
    np.testing.assert_allclose(fine[2], values, atol=1e-12)
    alphas, betas, more = contours.smooth(at, at, values)
    np.testing.assert_allclose(more, betas[:, None] ** 2 + np.sin(alphas)[None, :], atol=2e-4)
    values[0, 0] = np.inf
    assert contours.smooth(at, at, values)[2] is values


def test_levels_are_the_papers_where_they_fit():
    np.testing.assert_allclose(contours.ladder(np.linspace(0.02, 9.7, 1000)), np.arange(0.1, 9.7, 0.5))


def test_levels_adapt_to_a_shallow_surface_and_start_at_a_fifth_of_the_step():
    np.testing.assert_allclose(contours.ladder(np.linspace(0.0, 0.9, 1000)), [0.04, 0.24, 0.44, 0.64, 0.84])


@given(st.floats(0, 100), st.floats(1e-3, 1e4))
def test_levels_lie_within_the_data_and_are_neither_few_nor_many(low, extent):
    values = np.linspace(low, low + extent, 500)
    levels = contours.ladder(values)
    assert 5 <= len(levels) <= 24
    assert levels[0] >= low - 1e-9
    assert levels[-1] <= values.max() + 1e-9
    np.testing.assert_allclose(np.diff(levels), levels[1] - levels[0])


def test_a_flat_surface_and_an_infinite_point_are_drawn(tables, figure):
    frame = tables["surface"].assign(value=0.5)
    frame.loc[chosen(frame, kind="plane").index[7], "value"] = np.inf
    panels = surfaces.planes(figure, frame)
    assert {panel for panel in panels if panel.kind == "rise"} == {Panel("rise", a, b) for a in LOSSES for b in LOSSES}
    assert "1 infinite point" in caption_of(figure)


def test_a_method_that_was_not_measured_on_a_loss_leaves_its_panel_empty(tables, figure):
    frame = tables["surface"]
    panels = surfaces.planes(figure, chosen(frame, method="sdt"))
    assert set(panels) == {Panel("rise", "sdt", "sdt"), Panel("rise", "sdt", "tet")}
    assert len(figure.axes) == 2 + 1  # and the colours
    figure.clear()
    surfaces.planes(figure, frame[(frame["method"] == "sdt") | (frame["loss"] == "sdt")])
    assert [ax.texts[0].get_text() for ax in figure.axes[4:6]] == ["nothing measured"] * 2


def test_a_plane_of_one_line_is_refused(tables, figure):
    with pytest.raises(TableError, match="at least 2 by 2 points, got 1 by 11"):
        surfaces.planes(figure, chosen(tables["surface"], beta=0.0))


def test_lines_are_means_with_bands_over_seeds_on_one_scale(tables, figure):
    curves = surface_lines.lines(figure, tables["surface"])
    rows = chosen(tables["surface"], kind="line")
    for loss in LOSSES:
        own, other = (chosen(rows, loss=loss, method=name) for name in ("tet", "sdt"))
        assert_curve(curves[loss, "tet"], own, "alpha", "value", other=other)
        assert curves[loss, "sdt"].band is None  # what the other is compared with
    own, other = (chosen(rows, method=name) for name in ("tet", "sdt"))
    assert_curve(curves["accuracy", "tet"], own, "alpha", "accuracy", scale=100, other=other)
    assert figure.axes[0].get_ylim() == figure.axes[1].get_ylim()
    assert "2 filter-normalised random directions" in caption_of(figure)


# spectra


def test_eigenvalues_are_points_of_seeds_hollow_where_not_converged(tables, figure):
    points = spectra.eigenvalues(figure, tables["hessian"])["hessian", "sdt", "tet"]
    rows = chosen(tables["hessian"], operator="hessian", loss="sdt", method="tet")
    np.testing.assert_allclose(np.asarray(points.get_offsets())[:, 1], rows["eigenvalue"])
    hollow = np.asarray(points.get_facecolor())[:, 3] == 0
    assert hollow.tolist() == [converged is False for converged in rows["converged"]]
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == ["1", "2", "3", "4", "5", "−2", "−1"]
    assert "12 not converged" in caption_of(figure)  # rank −2 of 6 networks, 2 losses, of the formal Hessian


def test_only_raw_coordinates_of_eigenvalues_are_drawn(tables, figure):
    raw = tables["hessian"].assign(coordinates="raw")
    other = raw.assign(coordinates="filter", eigenvalue=1e3 + raw["eigenvalue"])
    plain = spectra.eigenvalues(figure, tables["hessian"])
    mixed = spectra.eigenvalues(figure, pd.concat([raw, other], ignore_index=True))
    assert set(plain) == set(mixed)
    for key, artist in plain.items():
        np.testing.assert_array_equal(artist.get_offsets(), mixed[key].get_offsets())
    with pytest.raises(TableError, match="no row in raw coordinates"):
        spectra.eigenvalues(figure, other)


def test_only_raw_coordinates_of_a_density_are_drawn(tables, figure):
    raw = tables["density"].assign(coordinates="raw")
    other = raw.assign(coordinates="filter", node=1e3 + raw["node"])
    values = tables["hessian"].assign(coordinates="raw")
    far = values.assign(coordinates="filter", eigenvalue=9e9)
    plain = density.density(figure, tables["density"], tables["hessian"])
    said = [text.get_text() for text in figure.axes[0].texts]
    figure.clear()
    mixed = density.density(figure, pd.concat([raw, other]), pd.concat([values, far]))
    assert [text.get_text() for text in figure.axes[0].texts] == said
    for key, line in plain.items():
        np.testing.assert_array_equal(line.get_xydata(), mixed[key].get_xydata())
    with pytest.raises(TableError, match="no row in raw coordinates"):
        density.density(figure, other, values)


def test_fisher_matrices_have_panels_of_their_own(tables, figure):
    frame = tables["hessian"].replace({"operator": {"gauss_newton": "fisher", "hessian": "empirical_fisher"}})
    spectra.eigenvalues(figure, frame)
    assert {ax.get_title().split(",")[0] for ax in figure.axes} == {"Fisher", "empirical Fisher"}


def test_bars_are_the_means_of_eigenvalues(tables, figure):
    spectra.eigenvalues(figure, tables["hessian"])
    rows = chosen(tables["hessian"], operator="hessian", loss="sdt", method="sdt", rank=1)
    bars = [line for line in figure.axes[0].lines if line.get_marker() == "_"]
    ranks = sorted(set(tables["hessian"]["rank"]))  # ascending, as in the mean's table
    assert ys(bars[0])[ranks.index(1)] == pytest.approx(rows["eigenvalue"].mean())


def test_the_share_above_is_the_weight_of_the_nodes_above():
    found = density.above(np.array([-1.0, 0.5, 7.0]), np.array([0.2, 0.7, 0.1]), np.array([-2.0, 0.5, 1.0, 7.0]))
    np.testing.assert_allclose(found, [1.0, 0.1, 0.1, 0.0])  # above, not at


def test_the_share_of_large_eigenvalues_is_the_mean_over_probes_then_seeds(tables, figure):
    frame = chosen(tables["density"], operator="hessian")
    frame = frame[(frame["seed"] > 0) | (frame["probe"] == 0)]  # seed 0 has one probe only
    line = density.density(figure, frame, tables["hessian"])["hessian", "tet", "sdt"]
    rows = chosen(frame, loss="tet", method="sdt")
    at = xs(line)[250]
    seeds = []
    for seed in range(3):
        probes = []
        for probe in range(2 if seed else 1):
            mine = chosen(rows, seed=seed, probe=probe)
            probes.append(sum(w for n, w in zip(mine["node"], mine["weight"], strict=True) if n > at))
        seeds.append(np.mean(probes))
    assert ys(line)[250] == pytest.approx(np.mean(seeds))
    assert (figure.axes[0].get_xscale(), figure.axes[0].get_yscale()) == ("log", "log")
    faint = [one for one in figure.axes[0].lines if one.get_alpha() == density._FAINT]
    assert len(faint) >= 2  # below −λ, of both methods
    assert "faint: below −λ" in caption_of(figure)


def test_the_largest_eigenvalue_and_its_quotient_to_the_fifth_are_printed(tables, figure):
    density.density(figure, tables["density"], tables["hessian"])
    rows = chosen(tables["hessian"], operator="hessian", loss="sdt", method="tet")
    first, fifth = (chosen(rows, rank=rank).set_index("seed")["eigenvalue"] for rank in (1, 5))
    said = [text.get_text() for text in figure.axes[0].texts]
    assert said[1] == f"TET: λ₁ = {first.mean():.3g}, λ₁/λ₅ = {(first / fifth).mean():.2g}"
    figure.clear()
    density.density(figure, tables["density"], tables["hessian"].query("rank != 5"))
    assert figure.axes[0].texts[1].get_text() == f"TET: λ₁ = {first.mean():.3g}"


# radius


def test_curvature_is_its_absolute_mean_with_hollow_markers_where_negative(tables, figure):
    frame = chosen(tables["radius"], direction="top", loss="sdt").copy()
    frame["second_difference"] = frame["second_difference"].abs()
    first = frame["radius"] == frame["radius"].min()
    frame.loc[first, "second_difference"] = -40.0 - frame.loc[first, "seed"]
    curves = radius.radii(figure, frame)
    one = curves["top", "sdt", "tet"]
    assert ys(one.line)[0] == pytest.approx(41.0)  # |mean of −40, −41, −42|
    ax = figure.axes[0]
    hollow = [line for line in ax.lines if line.get_linestyle() == "None" and line.get_markerfacecolor() == "white"]
    assert sorted(tuple(ys(line)) for line in hollow) == [(41.0,), (41.0,)]
    assert ax.get_xscale() == ax.get_yscale() == "log"


def test_the_formal_curvature_is_a_horizontal_line(tables, figure):
    radius.radii(figure, tables["radius"])
    levels = {
        (line.get_color(), line.get_ydata()[0]) for line in figure.axes[0].lines if len(set(line.get_ydata())) == 1
    }
    for name, look in looks().items():
        formal = chosen(tables["radius"], direction="top", method=name)["formal"].mean()
        assert any(colour == look.colour and level == pytest.approx(formal) for colour, level in levels)


def test_where_no_sign_is_decided_curves_are_faint_and_the_panel_is_shaded(tables, figure):
    frame = chosen(tables["radius"], direction="top", loss="sdt").copy()
    frame["second_difference"] = 5.0 + 0.1 * frame["seed"]
    first = frame["radius"] == frame["radius"].min()
    frame.loc[first, "second_difference"] = 40.0 * (frame.loc[first, "seed"] - 1.0)  # −40, 0, 40
    one = radius.radii(figure, frame)["top", "sdt", "tet"]
    ax = figure.axes[0]
    assert np.isnan(ys(one.line)[0])
    assert np.isfinite(ys(one.line)[1:]).all()
    (shaded,) = ax.patches
    at = np.sort(radius.on_ladder(frame)["at"].unique())
    assert shaded.get_x() == pytest.approx(at[0])
    assert shaded.get_x() + shaded.get_width() == pytest.approx(np.sqrt(at[0] * at[1]))
    figure.clear()
    frame.loc[first & (frame["method"] == "sdt"), "second_difference"] = 40.0 + frame["seed"]
    radius.radii(figure, frame)
    assert not figure.axes[0].patches  # one of them is decided


def test_an_interval_that_contains_zero_reaches_the_bottom():
    table = pd.DataFrame({"mean": [2.0, -2.0, 0.0], "low": [-1.0, -3.0, -1.0], "high": [5.0, -1.0, 1.0]})
    found = radius.absolute(table)
    np.testing.assert_allclose(found["mean"], [2, 2, np.nan])
    np.testing.assert_allclose(found["high"], [5, 3, 1])
    np.testing.assert_allclose(found["low"], [0, 1, 0], atol=1e-9)


@pytest.mark.parametrize("shared", ["radius", "relative_radius"])
def test_curves_are_averaged_over_the_radii_that_seeds_share(shared):
    other = {"radius": "relative_radius", "relative_radius": "radius"}[shared]
    rows = pd.DataFrame({shared: [0.1, 1.0, 0.1, 1.0], other: [1.0, 10.0, 1.2, 12.0], "seed": [0, 0, 1, 1]})
    expected = [1.1, 11.0, 1.1, 11.0] if shared == "radius" else [0.1, 1.0, 0.1, 1.0]
    np.testing.assert_allclose(radius.on_ladder(rows)["at"], expected)


# timesteps


@pytest.mark.parametrize(
    ("draw", "column"), [(scalability.cumulative, "accuracy_cumulative"), (scalability.at_step, "accuracy_at_step")]
)
def test_accuracy_against_timesteps_in_percent(tables, figure, draw, column):
    curves = draw(figure, tables["timesteps"])
    for split in ("train", "test"):
        own, other = (chosen(tables["timesteps"], method=name, split=split) for name in ("tet", "sdt"))
        assert_curve(curves["tet", split, 4], own, "timesteps", column, scale=100, other=other)
    assert curves["sdt", "train", 4].line.get_alpha() < 1 == curves["sdt", "test", 4].line.get_alpha()
    assert [4, 4] in [list(line.get_xdata()) for line in figure.axes[0].lines]  # the trained T
    named = [text.get_text() for text in figure.legends[0].get_texts()]
    assert named == ["SDT, n = 3", "TET, n = 3", "faint: train"]
    assert "test 1497, train 300" in caption_of(figure)


def test_networks_trained_at_another_t_have_a_curve_of_their_own(tables, figure):
    frame = pd.concat([tables["timesteps"], tables["timesteps"].assign(trained_timesteps=2.0)])
    curves = scalability.cumulative(figure, frame)
    assert {key[2] for key in curves} == {2, 4}
    assert "trained at T = 2, 4" in caption_of(figure)


# momentum


def test_step_statistics_are_of_the_loss_trained_with(tables, figure):
    curves = momentum.statistics(figure, tables["momentum"])
    assert set(curves) == {(column, training) for column in momentum.COLUMNS for training in LOSSES}
    for (column, name), one in curves.items():
        rows, other = (chosen(tables["momentum"], method=who, loss=who).query("timestep > 0") for who in (name, "sdt"))
        if name == "tet":
            assert_curve(one, rows, "timestep", column, other=other)
        else:
            np.testing.assert_allclose([xs(one.line), ys(one.line)], by_hand(rows, "timestep", column)[:2])
            assert one.band is None


def test_shares_and_coherence_have_their_reference_lines(tables, figure):
    momentum.statistics(figure, tables["momentum"])
    panels = {ax.get_title(): ax for ax in figure.axes}
    level = {
        title: [line.get_ydata()[0] for line in panels[title].lines if list(line.get_xdata()) == [0, 1]]
        for title in ("share of whole gradient", "coherence over batches")
    }
    np.testing.assert_allclose(level["share of whole gradient"], [1 / 4])
    np.testing.assert_allclose(level["coherence over batches"], [np.sqrt(0.1 / 1.9)], rtol=1e-5)


def test_the_whole_gradient_stands_beside_its_steps(tables, figure):
    momentum.statistics(figure, tables["momentum"])
    panel = next(ax for ax in figure.axes if ax.get_title() == "gradient norm")
    rows, other = (chosen(tables["momentum"], method=name, loss=name, timestep=0) for name in ("tet", "sdt"))
    _, (mean,), (half,) = against(rows, other, "timestep", "gradient_norm")
    bar = panel.containers[1]
    assert ys(bar[0])[0] == pytest.approx(mean)
    np.testing.assert_allclose(bar[2][0].get_segments()[0][:, 1], [mean - half, mean + half])
    assert [label.get_text() for label in figure.axes[-1].get_xticklabels()] == ["1", "2", "3", "4", "all"]


def test_where_the_loss_trained_with_is_not_among_the_rows_the_first_loss_is_drawn(tables, figure):
    rows = chosen(tables["momentum"], method="sdt", loss="tet")
    curves = momentum.statistics(figure, rows)
    assert_curve(curves["gain", "sdt"], rows[rows["timestep"] > 0], "timestep", "gain")
    assert momentum.trained(rows) == "the TET loss"
    assert "trained with" in momentum.trained(tables["momentum"])


def test_descent_has_a_panel_a_direction_with_the_line_at_one(tables, figure):
    curves = momentum.descent(figure, tables["descent"])
    rows = chosen(tables["descent"], method="sdt", loss="sdt", direction="momentum")
    assert_curve(curves["momentum", "sdt"], rows, "relative_step", "ratio")
    assert [ax.get_title() for ax in figure.axes[:3]] == ["gradient", "momentum", "gradient of step 1"]
    for ax in figure.axes:
        assert not ax.patches  # all is decided here
        assert ax.get_xscale() == "log"
        assert any(list(line.get_ydata()) == [1, 1] for line in ax.lines)


def test_where_ratios_may_be_0_or_1_nothing_is_said_of_them(tables, figure):
    frame = chosen(tables["descent"], direction="gradient").copy()
    wild = frame["relative_step"] == frame["relative_step"].min()
    frame.loc[wild, "ratio"] = 0.5 + 9.0 * (frame.loc[wild, "seed"] - 1.0)
    curves = momentum.descent(figure, frame)
    one = curves["gradient", "tet"]
    assert np.isnan(ys(one.line)[0])
    assert np.isfinite(ys(one.line)[1:]).all()
    assert np.isfinite(one.table["mean"]).all()
    (shaded,) = figure.axes[0].patches
    assert shaded.get_x() == pytest.approx(frame["relative_step"].min())
    (whole,) = (
        line
        for line in figure.axes[0].lines
        if (line.get_alpha() or 1) < 1 and line.get_color() == looks()["tet"].colour
    )
    np.testing.assert_allclose(ys(whole), one.table["mean"])


def test_large_ratios_go_on_a_logarithmic_scale(tables, figure):
    momentum.descent(figure, tables["descent"].assign(ratio=-100.0))
    low, high = figure.axes[0].get_ylim()
    assert figure.axes[0].get_yscale() == "symlog"
    assert low < -100
    assert high > 1


def test_directions_are_thinned_from_first_to_last():
    names = [f"step-{t}" for t in range(1, 11)] + ["momentum", "gradient"]
    assert momentum.directions(names) == ["gradient", "momentum", "step-1", "step-4", "step-7", "step-10"]
    assert momentum.directions(["step-2", "gradient"]) == ["gradient", "step-2"]


# energy, training


def test_energy_is_that_of_the_whole_network_with_intervals_both_ways(tables, figure):
    bars = energy.accuracy(figure, tables["energy"])["tet"]
    rows, other = (chosen(tables["energy"], method=name, layer="total") for name in ("tet", "sdt"))
    _, joules, wide = against(rows, other, "timesteps", "joules")
    _, accuracy, high = against(rows, other, "timesteps", "accuracy")
    np.testing.assert_allclose(bars[0].get_xydata().T, [1e9 * joules, 100 * accuracy])
    across, up = (np.array(one.get_segments()) for one in bars[2])
    np.testing.assert_allclose(np.ptp(across[:, :, 0], axis=1), 2e9 * wide)
    np.testing.assert_allclose(np.ptp(up[:, :, 1], axis=1), 200 * high)
    assert [text.get_text() for text in figure.axes[0].texts] == ["1", "2", "3", "4"] * 2
    assert figure.axes[0].get_xlabel() == "energy per example (nJ)"


def test_the_caption_of_energy_has_the_other_convention_at_the_trained_t(tables, figure):
    rows = tables["energy"].assign(trained_timesteps=2)
    energy.accuracy(figure, rows)
    said = "".join(text.get_text() for text in figure.findobj(Text)).replace("\n", " ").replace("\u00a0", " ")
    means = [
        1e9 * chosen(rows, training=one, layer="total", timesteps=2)["joules_by_rate"].mean() for one in ("sdt", "tet")
    ]
    expected = f"{means[0]:.3g} nJ (SDT) and {means[1]:.3g} nJ (TET) at T = 2."
    assert f"Firing rates times the synapses of pooled maps, as papers reckon: {expected}" in said


def test_the_caption_of_an_older_table_of_energy_has_one_convention(tables, figure):
    energy.accuracy(figure, tables["energy"].drop(columns="joules_by_rate"))
    assert not [text for text in figure.findobj(Text) if "Firing rates" in text.get_text()]


@pytest.mark.parametrize(
    ("joules", "name"), [([2.0], "J"), ([3e-3, np.inf], "mJ"), ([0.0, 5e-6], "µJ"), ([7e-9], "nJ"), ([1e-14], "pJ")]
)
def test_the_unit_of_energy_suits_the_median(joules, name):
    assert energy.unit(pd.Series(joules))[0] == name


def test_training_curves_are_faint_for_training_and_dashes_are_the_methods(tables, figure):
    curves = training.history(figure, tables["history"])
    rows, other = (chosen(tables["history"], method=name) for name in ("tet", "sdt"))
    assert_curve(curves["tet", "test", "tet"], rows, "epoch", "test_loss_tet", other=other)
    assert_curve(curves["sdt", "train", "tet"], rows, "epoch", "train_loss_sdt", other=other)
    assert_curve(curves["accuracy", "test", "tet"], rows, "epoch", "test_accuracy", scale=100, other=other)
    for split, faint in (("test", False), ("train", True)):
        for name in LOSSES:
            line = curves["sdt", split, name].line
            assert (line.get_alpha() == FAINT) is faint
            assert line.get_linestyle() == ("-" if name == "sdt" else "--")
    assert [ax.get_yscale() for ax in figure.axes] == ["log", "log", "linear"]
    assert "different epochs" not in caption_of(figure)


def test_training_curves_go_as_far_as_every_seed_of_the_training(tables, figure):
    """One TET network ended an epoch before the others, as networks trained to a loss do; SDT's went on."""
    frame = tables["history"]
    one, last = chosen(frame, method="tet")["checkpoint"].iloc[0], frame["epoch"].max()
    frame = frame[(frame["checkpoint"] != one) | (frame["epoch"] < last)]
    curves = training.history(figure, frame)
    assert np.max(curves["sdt", "test", "tet"].line.get_xdata()) == last - 1
    assert np.max(curves["sdt", "test", "sdt"].line.get_xdata()) == last
    assert "Seeds ended at different epochs: drawn as far as all went." in caption_of(figure)


# flatness


def row(measure, sdt, tet, low, high, flatter="", trust="", side="flatness", method="tet"):
    values = {"measure": measure, "title": measure, "loss": "sdt", "side": side, "timesteps": "4"}
    values |= {"reference": "sdt", "method": method, "reference_mean": sdt, "method_mean": tet}
    values |= {"difference": tet - sdt, "low": low, "high": high}
    return values | {"n": 5.0, "flatter": flatter, "trust": trust}


FLATNESS = pd.DataFrame(
    [
        row("sharper", 1.0, 3.0, 1.0, 3.0, "sdt", "not converged"),  # +2/2 = 1
        row("same", 2.0, 2.2, -1.0, 1.4, "", "interval contains zero; not converged"),
        row("flatter", 30.0, 10.0, -25.0, -15.0, "tet"),  # −20/20 = −1
        row("accuracy", 0.9, 0.95, 0.01, 0.09, side="generalization"),
    ]
)


def test_rows_are_sorted_relative_and_about_flatness_only(figure):
    table = flatness.relative(FLATNESS)
    assert table["measure"].tolist() == ["flatter", "same", "sharper"]
    np.testing.assert_allclose(table["x"], [-1.0, 0.2 / 2.1, 1.0])
    np.testing.assert_allclose(table["left"], [-1.25, -1.0 / 2.1, 0.5])
    np.testing.assert_allclose(table["right"], [-0.75, 1.4 / 2.1, 1.5])


def test_a_row_whose_mean_is_negative_lies_on_its_side_too():
    table = flatness.relative(pd.DataFrame([row("negative", -4.0, -2.0, 1.0, 3.0, "sdt")]))
    np.testing.assert_allclose(table[["x", "left", "right"]], [[2 / 3, 1 / 3, 1.0]])


def test_markers_are_coloured_by_who_is_flatter_and_hollow_without_trust(figure):
    markers = flatness.forest(figure, FLATNESS)
    flat, same, sharp = (markers[f"{name}, SDT loss", "tet"] for name in ("flatter", "same", "sharper"))
    assert same_color(flat.get_color(), looks()["tet"].colour)
    assert same_color(sharp.get_color(), looks()["sdt"].colour)
    assert same_color(same.get_color(), style.GREY)
    assert [one.get_markerfacecolor() == "white" for one in (flat, same, sharp)] == [False, True, True]
    assert [ys(one)[0] for one in (flat, same, sharp)] == [0, 1, 2]
    ax = figure.axes[0]
    assert (ax.get_title(loc="left"), ax.get_title(loc="right")) == ("← TET flatter", "SDT flatter →")
    assert [text.get_text() for text in ax.texts] == ["", "a b", "b"]
    assert "a: interval contains zero; b: not converged" in caption_of(figure)


def test_every_method_has_a_panel_beside_the_reference_and_rows_are_shared(figure):
    other = [row("same", 2.0, 1.0, -1.5, -0.5, "sam", method="sam"), row("new", 2.0, 1.9, -0.2, 0.0, method="sam")]
    markers = flatness.forest(figure, pd.concat([FLATNESS, pd.DataFrame(other)]))
    assert len(figure.axes) == 2
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == [
        f"{name}, SDT loss" for name in ("flatter", "same", "sharper", "new")
    ]
    heights = [ys(markers["same, SDT loss", method])[0] for method in ("tet", "sam")]
    assert heights == [1, 1]
    assert xs(markers["same, SDT loss", "sam"])[0] == pytest.approx(-1 / 1.5)
    assert figure.axes[1].get_title() == "← sam flatter\nSDT flatter →"


def test_an_interval_beyond_the_panel_ends_in_an_arrowhead(figure):
    flatness.forest(figure, pd.DataFrame([row("wild", 1.0, 1.0, -9.0, 9.0)]))
    ax = figure.axes[0]
    limit = ax.get_xlim()[1]
    heads = {line.get_marker(): line.get_xdata()[0] for line in ax.lines if line.get_marker() in "<>"}
    assert heads == {"<": -limit, ">": limit}


def test_rows_without_a_finite_difference_are_counted_not_drawn(figure):
    frame = pd.concat([FLATNESS, pd.DataFrame([row("lost", np.nan, np.inf, np.nan, np.nan)])])
    assert len(flatness.forest(figure, frame)) == 3
    assert "1 without a finite value" in caption_of(figure)
    with pytest.raises(TableError, match="no row on flatness"):
        flatness.forest(figure, frame.tail(1))


# everywhere


@pytest.mark.parametrize(
    ("values", "scale"),
    [([1, 2, 3], "linear"), ([1e-3, 1, 10], "log"), ([-1, 1e-3, 10], "symlog"), ([np.nan], "linear")],
)
def test_the_scale_suits_the_values(values, scale):
    ax = Figure().subplots()
    assert style.fit_scale(ax, values) == scale == ax.get_yscale()


def test_both_methods_keep_their_colours_in_every_picture(tables, figure):
    curves = momentum.statistics(figure, tables["momentum"])
    for (_, name), one in curves.items():
        assert to_rgba(one.line.get_color()) == to_rgba(looks()[name].colour)
    assert {text.get_text() for text in figure.legends[0].get_texts()} >= {"SDT, n = 3", "TET, n = 3"}


@pytest.mark.slow(keep=1)
@pytest.mark.parametrize("seeds", [1, 2])
def test_broken_numbers_crash_no_picture(seeds):
    from figures.pictures.catalogue import PICTURES

    rng = np.random.default_rng(seeds)
    frames = complete(seeds=seeds)
    keys = ["alpha", "beta", "radius", "relative_radius", "relative_step", "step", "seed", "n", "t", "strength"]
    for picture in PICTURES:
        frame, *others = (frames[name].copy() for name in (picture.table, *picture.beside))
        for column in frame.select_dtypes("float").columns.difference(keys):
            for broken in (np.nan, np.inf, -np.inf, 0.0):
                frame.loc[rng.random(len(frame)) < 0.06, column] = broken
        with style.paper(), suppress(TableError):  # nothing left to draw is said, and no crash
            picture.draw(Figure(figsize=(picture.width, picture.height), layout="constrained"), frame, *others)
