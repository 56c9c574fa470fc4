"""Training curves: both losses and the accuracy against epochs, on training and on test images.

A network is trained on one of the two losses and both are recorded, which shows what the other does meanwhile. Where
seeds ended at different epochs, as they do when trained to a loss, curves go as far as all seeds of a training went: a
mean over ever fewer of them would jump.
"""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.typing import LineStyleType

from tables.rows import check_measured

from ..style.bands import Curve, curve, handles, remark
from ..style.look import GREY, LOOKS, LOSSES, caption, legend, log_scale

_DASHES: dict[str, LineStyleType] = {"train": (0, (2, 1.2)), "test": "-"}


def history(figure: Figure, frame: pd.DataFrame) -> dict[tuple[str, str, str], Curve]:
    """Draw the three panels into ``figure``: curves by (panel: sdt, tet or accuracy; split; training)."""
    columns = [f"{split}_{what}" for split in _DASHES for what in ("loss_sdt", "loss_tet", "accuracy")]
    check_measured(frame, *columns)
    rows = frame.assign(train_accuracy=100 * frame["train_accuracy"], test_accuracy=100 * frame["test_accuracy"])
    ended = rows.groupby(["training", "checkpoint"])["epoch"].transform("max")
    common = ended.groupby(rows["training"]).transform("min")
    rows = rows[rows["epoch"] <= common]
    axes = figure.subplots(1, 3, sharex=True)
    axes[1].sharey(axes[0])
    curves: dict[tuple[str, str, str], Curve] = {}
    for ax, panel in zip(axes, (*LOSSES, "accuracy"), strict=True):
        for (split, training), one in _panel(ax, rows, panel).items():
            curves[panel, split, training] = one
        ax.set_xlabel("epoch")
    for ax, loss in zip(axes, LOSSES, strict=False):
        ax.set(title=LOSSES[loss], ylabel="loss (nats)")
    log_scale(*axes[:2])
    axes[2].set(title="accuracy", ylabel="accuracy (%)")
    splits = [Line2D([], [], color=GREY, linestyle=dash, label=split) for split, dash in _DASHES.items()]
    legend(figure, [*handles(one for key, one in curves.items() if key[1] == "test"), *splits])
    cut = " Seeds ended at different epochs: drawn as far as all went." if (ended > common).any() else ""
    caption(figure, remark(curves.values()) + cut)
    return curves


def _panel(ax: Axes, rows: pd.DataFrame, panel: str) -> dict[tuple[str, str], Curve]:
    curves = {}
    for training in LOOKS:
        part = rows[rows["training"] == training]
        for split, dash in _DASHES.items() if len(part) else ():
            column = f"{split}_accuracy" if panel == "accuracy" else f"{split}_loss_{panel}"
            one = curve(ax, part, "epoch", column, training, dash=dash, marker=None if split == "test" else "")
            gap = max(1, len(one.table) // 6)
            one.line.set_markevery((gap // 2 if training == "tet" else 0, gap))
            curves[split, training] = one
    return curves
