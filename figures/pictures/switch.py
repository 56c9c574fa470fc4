"""Leaving a minimum when the loss is switched: Figure 3 of Deng et al. 2022, with both losses and its control.

Networks that SDT trained to the end train on with SDT or, from the same weights on the same batches, with TET. Above
training images, below test images: both losses, and at the right how far the weights have gone, and the accuracy.
Losses and accuracy are changes since SDT ended, network by network, so that bands are of what was done and not of where
networks began; the mean at the start is in the title. The paper shows the switched run alone; what the curve of going
on with SDT does too is the new learning rate's doing, and none of the switch's.
"""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from tables.reading import TableError
from tables.rows import check_measured

from ..style.bands import Curve, curve, handles, remark
from ..style.look import LOOKS, LOSSES, caption, fit_means, legend, reference

SPLITS = {"train": "training", "test": "test"}
_CORNER = {"train": ("relative_distance", "distance (%)"), "test": ("accuracy", "test accuracy (%)")}
_CHANGING = ["loss_sdt", "loss_tet", "accuracy"]


def switch(figure: Figure, frame: pd.DataFrame) -> dict[tuple[str, str, str], Curve]:
    """Draw the six panels into ``figure``: curves by (column, split, loss trained on with)."""
    rows = frame[frame["training"] == "sdt"]
    if rows.empty:
        raise TableError("no rows of networks trained with SDT, which are what is switched")
    check_measured(rows, "loss_sdt", "loss_tet", "accuracy")
    rows = rows.assign(accuracy=100 * rows["accuracy"], relative_distance=100 * rows["relative_distance"])
    start = rows[rows["step"] == rows["step"].min()].set_index(["checkpoint", "loss", "split"])[_CHANGING]
    if not start.index.is_unique:
        raise TableError("a network has several rows of its start")
    began = start.reindex(pd.MultiIndex.from_frame(rows[["checkpoint", "loss", "split"]])).to_numpy()
    rows[_CHANGING] -= began
    axes = figure.subplots(2, 3, sharex=True)
    curves: dict[tuple[str, str, str], Curve] = {}
    for line, (split, name) in zip(axes, SPLITS.items(), strict=True):
        panels = [(f"loss_{loss}", f"{LOSSES[loss]}, {name}") for loss in LOSSES]
        for ax, (column, title) in zip(line, [*panels, _CORNER[split]], strict=True):
            own = []
            for loss, look in LOOKS.items():
                part = rows[(rows["split"] == split) & (rows["loss"] == loss)]
                if np.isfinite(part[column]).any():
                    own.append(curve(ax, part, "step", column, loss, name=f"on with {look.label}"))
                    own[-1].line.set_markevery(max(1, len(own[-1].table) // 8))
                    curves[column, split, loss] = own[-1]
            ax.set_title(title + _from(start, split, column))
            if own:
                table = pd.concat([one.table[["mean", "low", "high"]] for one in own])
                fit_means(ax, table["mean"], table[["low", "high"]].to_numpy().ravel(), low=-np.inf, high=np.inf)
            reference(ax, 0.0)
    for ax in axes[-1]:
        ax.set_xlabel("steps since SDT ended")
    legend(figure, handles(curves.values()))
    counts = {split: sorted({int(one) for one in rows.loc[rows["split"] == split, "images"]}) for split in SPLITS}
    images = ", ".join(f"{' or '.join(map(str, found))} {SPLITS[split]}" for split, found in counts.items() if found)
    caption(
        figure,
        f"Changes since SDT ended, in eval mode, losses in nats without regulariser; {images} images; distance of the "
        f"weights, by their length. "
        f"Bands may leave the panel. {remark(curves.values())}",
    )
    return curves


def _from(start: pd.DataFrame, split: str, column: str) -> str:
    """The mean over networks of what they began with, in three digits, for a title; nothing where there is none."""
    began = start.loc[start.index.get_level_values("split") == split, column] if column in start else pd.Series()
    if not len(began):
        return ""
    with np.errstate(invalid="ignore"):  # of infinities of both signs
        return f", from {began.mean():.3g}"
