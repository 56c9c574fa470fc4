"""What holds of every picture, whatever it is of: nothing is cut off, touches, or is too small, and greys differ."""

from collections.abc import Iterator
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import FillBetweenPolyCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from figures.pictures.catalogue import PICTURES
from figures.pictures.picture import Picture
from figures.style import look as style
from figures.style.fitting import touching
from figures.style.methods import MOST, compared, looks
from tables.reading import TableError
from tests.figure_tables import complete

METHODS = ("sdt", "tet", "tet:mse_weight=0", "sgd", "a long method name", "tmc", "lts", "eighth")
SHAPES = ((2, 5), (8, 3), (1, 1), (1, 5), (3, 1))  # methods and seeds
SLACK = 1.5  # pixels of 100 an inch


@pytest.fixture(scope="module")
def tables() -> dict[tuple[int, int], dict[str, pd.DataFrame]]:
    """Made-up tables by how many methods and seeds."""
    return {(n, seeds): complete(seeds=seeds, methods=METHODS[:n]) for n, seeds in SHAPES}


def drawn(picture: Picture, frames: dict[str, pd.DataFrame], width: float) -> tuple[Figure, str]:
    """The picture as it is written, and its caption. Skips where the tables hold nothing to draw, which is said."""
    names = (picture.table, *picture.beside)
    if any(name not in frames for name in names):
        pytest.skip("one method has nothing to compare")
    figure = Figure(figsize=(max(width, picture.narrowest), picture.height), layout="constrained")
    try:
        caption = picture.onto(figure, *(frames[name] for name in names))
    except TableError as error:
        pytest.skip(str(error))
    figure.draw_without_rendering()
    return figure, caption


def seen(figure: Figure) -> Iterator[tuple[Text, Bbox]]:
    """Every text that is in the picture, but names of ticks beyond their axis, with its place in pixels."""
    hidden = set()
    for ax in figure.axes:
        for axis, across in ((ax.xaxis, True), (ax.yaxis, False)):
            low, high = sorted(axis.get_view_interval())
            for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()):
                at = tick.label1.get_position()[0 if across else 1]
                if not low - 1e-9 <= at <= high + 1e-9 or not tick.label1.get_visible() or not ax.axison:
                    hidden |= {tick.label1, tick.label2}
        if not ax.axison:
            hidden |= {ax.xaxis.label, ax.yaxis.label, ax.title}
    for text in figure.findobj(Text):
        if isinstance(text, Text) and text not in hidden and text.get_visible() and text.get_text().strip():
            yield text, text.get_window_extent()


def outside(figure: Figure) -> list[str]:
    """Texts that reach out of the figure."""
    whole = figure.bbox
    return [
        text.get_text()
        for text, box in seen(figure)
        if min(box.x0, box.y0) < -SLACK or box.x1 > whole.x1 + SLACK or box.y1 > whole.y1 + SLACK
    ]


def overlapping(figure: Figure) -> list[tuple[str, str]]:
    """Pairs of titles, names of axes and of ticks, and of the legend, that overlap.

    Labels of contours are placed on their lines, and are held apart from each other where they are drawn.
    """
    inside = {text for ax in figure.axes for text in ax.texts}
    found = [(text.get_text(), box) for text, box in seen(figure) if text not in inside]
    shrunk = [(name, box.x0 + SLACK, box.x1 - SLACK, box.y0 + SLACK, box.y1 - SLACK) for name, box in found]
    return [
        (one[0], other[0])
        for one, other in combinations(shrunk, 2)
        if one[1] < other[2] and other[1] < one[2] and one[3] < other[4] and other[3] < one[4]
    ]


def empty(ax: Axes) -> bool:
    """Whether a panel has neither data nor a word that says why not."""
    return not (ax.lines or ax.collections or ax.images or ax.texts or ax.patches or ax.containers)


@pytest.mark.slow(keep=1)
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: f"{shape[0]}x{shape[1]}")
@pytest.mark.parametrize("width", [style.COLUMN, style.PAGE])
@pytest.mark.parametrize("picture", PICTURES, ids=lambda picture: picture.name)
def test_nothing_is_cut_off_touches_or_is_too_small(picture, width, shape, tables):
    with compared(METHODS[: shape[0]]), style.paper():
        figure, caption = drawn(picture, tables[shape], width)
        assert not outside(figure)
        assert not overlapping(figure)
        assert min(float(text.get_fontsize()) for text, _ in seen(figure)) >= 6
        assert not [ax.get_title() for ax in figure.axes if ax.axison and empty(ax)]
        assert not [ax.get_title() for ax in figure.axes if touching(ax.xaxis, across=True)]
        assert figure.get_supxlabel() == ""
        assert caption.endswith((".", ")"))
        for box in figure.legends:
            assert not [ax for ax in figure.axes if box.get_window_extent().overlaps(ax.bbox)]


@pytest.mark.parametrize("picture", PICTURES, ids=lambda picture: picture.name)
def test_bands_beside_the_reference_are_of_differences_and_the_caption_says_so(picture, tables):
    """The reference has no band of its own seeds where another's is that of a difference."""
    with compared(METHODS[:2]), style.paper():
        figure, caption = drawn(picture, tables[2, 5], style.PAGE)
        reference = to_rgb(looks()["sdt"].colour)
        bands = [
            tuple(np.asarray(one.get_facecolor())[0][:3].tolist())
            for ax in figure.axes
            for one in ax.collections
            if isinstance(one, FillBetweenPolyCollection)
        ]
        if "differences from SDT" in caption and "own seeds" not in caption:
            assert reference not in bands
            assert bands
        elif bands:
            assert "95 %" in caption


def luminance(colour: str) -> float:
    """Y of sRGB, 0 to 1."""
    rgb = np.asarray(to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def test_no_two_methods_look_alike_in_grey():
    """By lightness, or else by marker and dash both; a white page is far from all."""
    with compared(METHODS):
        every = list(looks().values())
    assert len(every) == MOST
    assert len({look.marker for look in every}) == len({str(look.dash) for look in every}) == MOST
    for one, other in combinations(every, 2):
        lightness = [116 * luminance(look.colour) ** (1 / 3) for look in (one, other)]
        assert abs(lightness[0] - lightness[1]) > 4 or (one.marker != other.marker and one.dash != other.dash)
    assert max(luminance(look.colour) for look in every) < 0.5


def test_methods_stay_apart_for_who_sees_no_green():
    """Deuteranopia by the projection of Viénot, Brettel and Mollon (1999), differences in CIE L*a*b*."""
    with compared(METHODS):
        colours = [_lab(_deuteranope(to_rgb(look.colour))) for look in looks().values()]
    apart = [float(np.linalg.norm(one - other)) for one, other in combinations(colours, 2)]
    assert min(apart) > 9  # one pair is as near as that, with unlike markers and dashes
    assert sum(one < 15 for one in apart) <= 2


def _deuteranope(rgb: tuple[float, float, float]) -> np.ndarray:
    linear = _linear(np.asarray(rgb))
    lms = np.array([[17.8824, 43.5161, 4.11935], [3.45565, 27.1554, 3.86714], [0.0299566, 0.184309, 1.46709]])
    seen_as = np.array([[1.0, 0.0, 0.0], [0.494207, 0.0, 1.24827], [0.0, 0.0, 1.0]])
    return np.clip(np.linalg.solve(lms, seen_as @ (lms @ linear)), 0.0, 1.0)


def _linear(rgb: np.ndarray) -> np.ndarray:
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def _lab(linear: np.ndarray) -> np.ndarray:
    matrix = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    x, y, z = np.cbrt(np.maximum(matrix @ linear / [0.9505, 1.0, 1.089], 1e-6))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])
