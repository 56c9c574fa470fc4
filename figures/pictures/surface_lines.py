"""The loss, and the accuracy, along lines through the weights: sections of the surfaces, with bands.

Losses share one scale. Accuracy, where there is any, does not depend on the loss that is drawn and has one panel.
"""

from collections.abc import Iterator

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tables.rows import any_measured, check_measured, one_split

from ..style.bands import Curve, curve, handles, remark
from ..style.look import GREY, PAGE, caption, fit_percent, legend
from ..style.methods import looks, loss_label, losses
from ..views import IMAGES
from ..words.comparison import Tables
from ..words.units import loss_unit
from .picture import Picture
from .surfaces import between, kind_of, near, words_of


def lines(figure: Figure, frame: pd.DataFrame) -> dict[tuple[str, str], Curve]:
    """Draw loss and accuracy against α into ``figure``: curves by (panel, method), a panel a loss, and accuracy.

    Losses share one scale. Accuracy, where there is any, does not depend on the loss that is drawn and has one panel.
    """
    split, rows = one_split(kind_of(frame, "line"), "train")
    check_measured(rows, "value", "accuracy")
    rows = rows.assign(accuracy=100 * rows["accuracy"])
    shown, right = losses(rows["loss"]), any_measured(rows, "accuracy")
    axes = figure.subplots(1, len(shown) + right, squeeze=False)[0]
    for ax in axes[1 : len(shown)]:
        ax.sharey(axes[0])
    curves: dict[tuple[str, str], Curve] = {}
    for ax, loss in zip(axes, shown, strict=False):
        part = rows[rows["loss"] == loss]
        curves |= {(loss, method): one for method, one in _by_method(ax, part, "value")}
        ax.set(title=loss_label(loss), xlabel="α", ylabel=f"loss ({loss_unit([loss])})")
    if right:
        curves |= {("accuracy", method): one for method, one in _by_method(axes[-1], rows, "accuracy")}
        axes[-1].set(title="accuracy", xlabel="α", ylabel="accuracy (%)")
        fit_percent(axes[-1])
    for ax in axes:
        ax.axvline(0.0, color=GREY, linewidth=0.5, zorder=0)
    legend(figure, handles(curves.values()))
    draws = int(rows.groupby("seed")["draw"].nunique().max())
    caption(
        figure,
        f"Along {draws} {words_of(rows)} direction{'s' * (draws > 1)} a seed, on {IMAGES.get(split, split)}, "
        f"averaged within a seed. {remark(curves.values())}{between(rows)}",
    )
    return curves


def _by_method(ax: Axes, rows: pd.DataFrame, value: str) -> Iterator[tuple[str, Curve]]:
    for method in looks(rows["method"]):
        part = rows[rows["method"] == method]
        if len(part):
            yield method, curve(ax, part, "alpha", value, method, beside=rows, marker="")


def near_on_lines(tables: Tables) -> str:
    """The mean rise near the weights, on lines."""
    return near(tables, "line")


PICTURES = (
    Picture("surface-lines", "surface", lines, PAGE, 2.4, "Loss along lines through the weights", near_on_lines, 20),
)
