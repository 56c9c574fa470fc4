"""The heatmaps' cells and the numbers written in them, against means and deviations taken the slow way."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from figures.pictures import pairs
from figures.style import look as style
from tables.reading import TableError
from tests.drawing import caption_of
from tests.figure_tables import LOSSES, STEPS

pytestmark = pytest.mark.filterwarnings("error")


@pytest.fixture
def frame(tables):
    return tables["momentum_pairs"]


@pytest.fixture
def figure():
    with style.paper():
        yield Figure(figsize=(3.4, 2.8), layout="constrained")


def square(values):
    """Rows of one method and n seeds from ``values`` [seed][timestep][other]."""
    rows = [
        {
            "method": "tet",
            "training": "tet",
            "loss": "tet",
            "seed": seed,
            "timestep": t + 1.0,
            "other": s + 1.0,
            "cosine": cosine,
        }
        for seed, matrix in enumerate(values)
        for t, line in enumerate(matrix)
        for s, cosine in enumerate(line)
    ]
    return pd.DataFrame(rows)


def written(ax):
    """What stands in each cell, upper line first: {(timestep, other): text}."""
    cells: dict[tuple[float, float], list[str]] = {}
    for text in sorted(ax.texts, key=lambda one: one.get_va() == "top"):
        x, y = text.get_position()
        cells.setdefault((y + 0.5, x + 0.5), []).append(text.get_text())
    return {place: " ".join(lines) for place, lines in cells.items()}


def test_cells_are_means_over_seeds_of_the_loss_trained_with(frame, figure):
    cells = pairs.cosines(figure, frame)
    assert list(cells) == list(LOSSES)
    for training, mesh in cells.items():
        rows = frame[(frame["method"] == training) & (frame["loss"] == training)]
        for t in range(1, STEPS + 1):
            for s in range(1, STEPS + 1):
                cosines = rows[(rows["timestep"] == t) & (rows["other"] == s)]["cosine"]
                assert len(cosines) == 3
                np.testing.assert_allclose(np.asarray(mesh.get_array())[t - 1, s - 1], sum(cosines) / 3)
    assert [ax.get_title() for ax in figure.axes[:2]] == ["SDT-trained, n = 3", "TET-trained, n = 3"]


def test_timestep_goes_down_and_other_across(figure):
    matrix = [[1.0, 0.2, 0.3], [0.4, 1.0, 0.5], [0.6, 0.7, 1.0]]  # not symmetric, to tell them apart
    (mesh,) = pairs.cosines(figure, square([matrix])).values()
    ax = figure.axes[0]
    np.testing.assert_allclose(mesh.get_array(), matrix)
    assert ax.get_ylim() == (3, 0)
    assert written(ax)[1, 3] == ".30"
    assert (ax.get_ylabel(), ax.get_xlabel()) == ("timestep t", "timestep s")
    for labels in (ax.get_xticklabels(), ax.get_yticklabels()):
        assert [label.get_text() for label in labels] == ["1", "2", "3"]


def test_numbers_are_the_mean_above_the_deviation_between_seeds(figure):
    low, high = [[1.0, -0.3], [0.001, 1.0]], [[1.0, -0.5], [-0.003, 1.0]]
    pairs.cosines(figure, square([low, high]))
    # −0.3 and −0.5: mean −0.4, deviation 0.2/√2; 0.001 and −0.003: −0.001, written without its sign
    assert written(figure.axes[0]) == {(1, 1): "1", (1, 2): "−.40 ±.14", (2, 1): ".00 ±.00", (2, 2): "1"}
    assert "Mean ± standard deviation over seeds." in caption_of(figure)


def test_repeats_in_a_seed_are_one_seed(figure):
    one, other = (square([[[1.0, cosine], [cosine, 1.0]]]) for cosine in (0.1, 0.3))
    (mesh,) = pairs.cosines(figure, pd.concat([one, other])).values()
    np.testing.assert_allclose(mesh.get_array(), [[1, 0.2], [0.2, 1]])
    assert figure.axes[0].get_title() == "TET-trained, n = 1"
    assert written(figure.axes[0])[1, 2] == ".20"
    assert "One seed." in caption_of(figure)


def test_panels_share_the_whole_range_of_a_cosine_with_white_at_zero(frame, figure):
    cells = pairs.cosines(figure, frame)
    for mesh in cells.values():
        assert mesh.get_clim() == (-1, 1)
        assert min(mesh.to_rgba(0.0)[:3]) > 0.95
        np.testing.assert_array_equal(mesh.to_rgba([-1, -0.4, 0.4, 1]), cells["sdt"].to_rgba([-1, -0.4, 0.4, 1]))
    bar = figure.axes[-1]
    assert bar.get_xlabel() == "cos(ḡ(t), ḡ(s))"
    assert bar.get_xlim() == (-1, 1)


# Machado, Oliveira and Fernandes 2009, severity 1: what is seen without long, middle or short cones, in linear RGB
DEFICIENCIES = {
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


def linear(colour):
    """Linear RGB of an sRGB colour (IEC 61966-2-1)."""
    rgb = np.array(to_rgb(colour))
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def lab(rgb):
    """CIE 1976 L*a*b* of linear RGB, white D65: distances are about what the eye tells apart, 2 being just seen."""
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    x, y, z = np.cbrt(np.clip(to_xyz @ rgb, 1e-4, None) / to_xyz.sum(axis=1))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("matrix", DEFICIENCIES.values(), ids=DEFICIENCIES)
def test_the_sign_is_seen_by_the_colour_blind(frame, figure, matrix):
    mesh = pairs.cosines(figure, frame)["sdt"]
    for cosine in (0.3, 0.5, 0.8):
        minus, plus = (lab(np.array(matrix) @ linear(mesh.to_rgba(sign * cosine)[:3])) for sign in (-1, 1))
        assert np.linalg.norm(plus - minus) > 10


def test_numbers_contrast_with_their_cells(figure):
    values = np.append(np.linspace(-1, 1, 90), np.zeros(10)).reshape(10, 10)
    (mesh,) = pairs.cosines(figure, square([values])).values()
    weights = [0.2126, 0.7152, 0.0722]
    for text in figure.axes[0].texts:
        column, row = (int(place) for place in text.get_position())
        pair = [linear(text.get_color()) @ weights, linear(mesh.to_rgba(values[row, column])[:3]) @ weights]
        assert (max(pair) + 0.05) / (min(pair) + 0.05) > 4.5  # WCAG 2.1, level AA


def test_what_is_not_measured_is_grey_and_in_no_mean(figure):
    nan, inf = np.nan, np.inf
    first = [[1.0, nan, 0.4], [nan, nan, nan], [0.4, nan, 1.0]]
    second = [[1.0, nan, inf], [nan, nan, nan], [0.6, nan, 1.0]]
    (mesh,) = pairs.cosines(figure, square([first, second])).values()
    ax = figure.axes[0]
    assert np.ma.getmaskarray(mesh.get_array()).tolist() == np.isnan(first).tolist()
    assert written(ax) == {(1, 1): "1", (1, 3): ".40", (3, 1): ".50 ±.14", (3, 3): "1"}
    assert ax.get_title() == "TET-trained, n = 1–2"
    assert "Grey: not measured." in caption_of(figure)
    red, green, blue, _ = ax.get_facecolor()
    assert 0.3 < red == green == blue < 0.9


def test_one_method_has_one_panel(frame, figure):
    broken = frame.assign(cosine=frame["cosine"].where(frame["method"] == "sdt"))
    for part in (broken, frame[frame["method"] == "sdt"]):
        figure.clear()
        assert list(pairs.cosines(figure, part)) == ["sdt"]
        assert [ax.get_title() for ax in figure.axes] == ["SDT-trained, n = 3", ""]  # and the colours


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([[[1.0]]], "one timestep alone"),
        ([[[1.0, np.nan], [np.nan, 1.0]]], "no finite cosine of two different timesteps"),
    ],
)
def test_no_pair_of_different_timesteps_is_refused(figure, values, said):
    with pytest.raises(TableError, match=said):
        pairs.cosines(figure, square(values))


@pytest.mark.parametrize(("steps", "above"), [(2, False), (4, False), (5, True), (10, True), (12, True)])
@pytest.mark.parametrize("methods", [1, 2])
def test_numbers_and_titles_fit_at_column_width(figure, steps, above, methods):
    both = [square(np.full((2, steps, steps), -0.123))]
    if methods == 2:
        both.append(both[0].assign(method="sdt", training="sdt", loss="sdt"))
    pairs.cosines(figure, pd.concat(both))
    figure.draw_without_rendering()
    page = figure.bbox
    *panels, _ = figure.axes
    tops = {round(ax.get_window_extent().y1) for ax in panels}
    assert len(tops) == (methods if above else 1)
    for ax in panels:
        box = ax.get_window_extent()
        assert box.width == pytest.approx(box.height)
        title = ax.title.get_window_extent()
        assert page.x0 <= title.x0 < title.x1 <= page.x1
        assert title.y1 <= page.y1
        assert len(ax.texts) == (0 if steps > 10 else steps * (2 * steps - 1))
        for text in ax.texts:
            assert text.get_window_extent().width < box.width / steps
            assert text.get_window_extent().height < box.height / steps / 2 + 2 or text.get_text() == "1"
    texts = [figure.axes[0].title, *figure.axes[0].texts, *figure.axes[-1].get_xticklabels()]
    assert min(text.get_fontsize() for text in texts) >= 7
    assert figure.get_figwidth() == style.COLUMN
