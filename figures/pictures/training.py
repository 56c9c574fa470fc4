"""Training curves: losses and the accuracy against epochs, on training and on test images.

A network is trained on one of the losses and all are recorded, which shows what the others do meanwhile. Where
seeds ended at different epochs, as they do when trained to a loss, curves go as far as all seeds of a method went: a
mean over ever fewer of them would jump.
"""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tables.reading import TableError
from tables.rows import any_measured, check_measured

from ..style.bands import FAINT, Curve, curve, faint, handles, remark
from ..style.look import PAGE, caption, fit_percent, legend, log_scale
from ..style.methods import looks, loss_label
from ..words.comparison import Tables, needed
from ..words.gaps import compared_row, gap
from ..words.prose import sentence
from ..words.units import loss_unit
from ..words.verdicts import told
from .picture import Picture

_SPLITS = ("train", "test")


def history(figure: Figure, frame: pd.DataFrame) -> dict[tuple[str, str, str], Curve]:
    """Draw the panels into ``figure``: curves by (panel, split, method), a panel a loss, and accuracy.

    What no network has a value of has no panel.
    """
    shown = measured(frame)
    columns = [f"{split}_{what}" for split in _SPLITS for what in (*(f"loss_{loss}" for loss in shown), "accuracy")]
    check_measured(frame, *columns)
    rows = frame.assign(train_accuracy=100 * frame["train_accuracy"], test_accuracy=100 * frame["test_accuracy"])
    rows = rows[rows[columns].notna().any(axis=1)]  # some evaluate every n-th epoch only
    ended = rows.groupby(["method", "checkpoint"])["epoch"].transform("max")
    common = ended.groupby(rows["method"]).transform("min")
    rows = rows[rows["epoch"] <= common]
    panels = [*shown, *(["accuracy"] if any_measured(rows, "train_accuracy", "test_accuracy") else [])]
    axes = figure.subplots(1, len(panels), sharex=True, squeeze=False)[0]
    for ax in axes[1 : len(shown)]:
        ax.sharey(axes[0])
    curves: dict[tuple[str, str, str], Curve] = {}
    for ax, panel in zip(axes, panels, strict=True):
        for (split, method), one in _panel(ax, rows, panel).items():
            curves[panel, split, method] = one
        ax.set_xlabel("epoch")
    for ax, loss in zip(axes, shown, strict=False):
        ax.set(title=loss_label(loss), ylabel=f"loss ({loss_unit([loss])})")
    log_scale(*axes[: len(shown)])
    if "accuracy" in panels:
        axes[-1].set(title="accuracy", ylabel="accuracy (%)")
        fit_percent(axes[-1])
    splits = [faint("faint: training")]
    legend(figure, [*handles(one for key, one in curves.items() if key[1] == "test"), *splits])
    cut = " Seeds ended at different epochs: drawn as far as all went." if (ended > common).any() else ""
    caption(figure, remark(curves.values()) + cut)
    return curves


def measured(frame: pd.DataFrame) -> list[str]:
    """The losses that some network has a value of, in the order of their columns."""
    start = "train_loss_"
    names = [str(name).removeprefix(start) for name in frame if str(name).startswith(start)]
    columns = {name: [f"{split}_loss_{name}" for split in _SPLITS] for name in names}
    return [
        name for name, pair in columns.items() if set(pair) <= set(frame) and np.isfinite(frame[pair]).any(axis=None)
    ]


def _panel(ax: Axes, rows: pd.DataFrame, panel: str) -> dict[tuple[str, str], Curve]:
    curves = {}
    methods = list(looks(rows["method"]))
    for place, method in enumerate(methods):
        part = rows[rows["method"] == method]
        for split in _SPLITS:
            column = f"{split}_accuracy" if panel == "accuracy" else f"{split}_loss_{panel}"
            marker, alpha = (None, 1.0) if split == "test" else ("", FAINT)
            one = curve(ax, part, "epoch", column, method, beside=rows, marker=marker, alpha=alpha)
            gap = max(1, len(one.table) // 6)
            one.line.set_markevery((gap * place // len(methods), gap))
            curves[split, method] = one
    return curves


def reading(tables: Tables) -> str:
    """Where training ended: losses on training images, accuracy on test images."""
    rows = needed(tables, "history")
    last = rows[rows["epoch"] == rows.groupby("checkpoint")["epoch"].transform("max")]
    loss = {
        f"by the {loss_label(name)}": compared_row(tables, "train_loss", name) or gap(last, f"train_loss_{name}")
        for name in measured(rows)
    }
    clauses = [told("the training loss of the last epoch", loss)] if loss else []
    if any_measured(last, "test_accuracy"):
        accuracy = compared_row(tables, "test_accuracy") or gap(last, "test_accuracy")
        clauses += [told("test accuracy", {"at the end": accuracy.scaled(100)}, unit="%")]
    if not clauses:
        raise TableError("no finite loss or test accuracy of the last epoch")
    return sentence(*clauses)


PICTURES = (Picture("training", "history", history, PAGE, 2.6, "Training curves", reading, 220),)
