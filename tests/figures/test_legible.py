"""What can be read and told apart in single pictures: words beside curves, labels on lines, panels of a column."""

from itertools import pairwise

import numpy as np
import pytest
from matplotlib.contour import ContourSet
from matplotlib.figure import Figure
from matplotlib.text import Text

from figures.pictures.catalogue import PICTURES
from figures.style import look as style
from figures.style.contours import differences, rises
from figures.style.fitting import fit
from figures.style.methods import compared
from tests.figure_tables import complete

METHODS = ("sdt", "tet", "tet:mse_weight=0")


@pytest.fixture(scope="module")
def frames():
    return complete(seeds=2, methods=METHODS)


@pytest.fixture
def three():
    with compared(METHODS), style.paper():
        yield


def drawn(name, frames, width):
    (picture,) = (one for one in PICTURES if one.name == name)
    figure = Figure(figsize=(width, picture.height), layout="constrained")
    picture.onto(figure, *(frames[table] for table in (picture.table, *picture.beside)))
    figure.draw_without_rendering()
    return figure


@pytest.mark.slow(keep=1)
@pytest.mark.usefixtures("three")
@pytest.mark.parametrize("width", [style.COLUMN, style.PAGE])
def test_no_curve_runs_through_what_is_said_of_eigenvalues(frames, width):
    figure = drawn("density", frames, width)
    assert [len(ax.texts) for ax in figure.axes] == [3] * 4
    for ax in figure.axes:
        curves = np.concatenate([ax.transData.transform(line.get_xydata()) for line in ax.lines])
        curves = curves[np.isfinite(curves).all(axis=1)]
        boxes = [text.get_window_extent() for text in ax.texts]
        for box in boxes:
            assert not box.count_contains(curves)
            assert box.y0 > ax.bbox.y1 - 1
        assert all(higher.y0 > lower.y1 - 1 for higher, lower in pairwise(boxes))  # in the order of methods
        assert ax.title.get_window_extent().y0 > boxes[0].y1 - 1


@pytest.mark.usefixtures("three")
def test_eigenvalues_are_told_apart_by_markers_in_the_legend(frames):
    (legend,) = drawn("eigenvalues", frames, style.PAGE).legends
    assert len({line.get_marker() for line in legend.get_lines()}) == len(METHODS)


@pytest.mark.usefixtures("three")
@pytest.mark.parametrize("name", ["rise", "switch", "barriers", "paths"])
def test_panels_of_a_column_have_room_and_short_titles(frames, name):
    figure = drawn(name, frames, style.COLUMN)
    assert min(ax.bbox.width for ax in figure.axes) > 45  # pixels of 100 an inch
    assert max(ax.get_title().count("\n") for ax in figure.axes) <= 3
    assert max(ax.title.get_window_extent().x1 for ax in figure.axes) <= figure.bbox.x1


def test_a_word_that_is_too_long_is_broken_where_its_parts_join():
    figure = Figure(figsize=(2.6, 2), layout="constrained")
    for ax in figure.subplots(1, 2):
        ax.set_title("of tet:mse_weight=0")
    fit(figure)
    lines = figure.axes[0].get_title().split("\n")
    assert "".join(lines).replace(" ", "") == "oftet:mse_weight=0"
    assert all(line[-1] in ":_=" or line in ("of", "0", "weight=0") for line in lines)
    figure.draw_without_rendering()
    assert figure.axes[-1].title.get_window_extent().x1 <= figure.bbox.x1


def bowl(steepness):
    axis = np.linspace(-1, 1, 21)
    return axis, steepness * (axis[:, None] ** 2 + axis[None, :] ** 2)


@pytest.mark.parametrize("inches", [1.5, 6.0])
def test_labels_of_contours_are_not_struck_out_by_other_lines(inches):
    figure = Figure(figsize=(inches, inches))
    axis, values = bowl(3.0)
    levels = np.array([0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0])
    ax = figure.subplots()
    rises(ax, axis, axis, values, levels)
    figure.draw_without_rendering()
    labels = [text for text in ax.texts if isinstance(text, Text)]
    assert len(labels) >= 1
    if inches == 6.0:
        assert len(labels) >= 4
    for text in labels:
        distance = np.hypot(*text.get_position())
        others = np.sqrt(levels[levels != float(text.get_text())] / 3.0)
        pixels = np.abs(others - distance).min() * ax.bbox.width / 2
        assert pixels > 0.3 * style.SMALL / 72 * figure.dpi


def test_without_colours_a_difference_s_sign_is_told_by_dashes():
    figure = Figure(figsize=(4, 4))
    axis, values = bowl(1.0)
    ax = figure.subplots()
    differences(ax, axis, axis, values - 0.5, np.array([-0.4, -0.2, 0.0, 0.2, 0.4]), np.ones((21, 21), dtype=bool))
    drawn = [one for one in ax.collections if isinstance(one, ContourSet) and not one.filled]
    assert len(drawn) == 1
    dashed = [dash is not None for _, dash in np.asarray(drawn[0].get_linestyle(), dtype=object)]
    assert dashed == [True, True, False, False, False]
