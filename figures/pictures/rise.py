"""Which method is flatter at which radius: differences of the loss's rise, as it is and with logits at one scale.

A column for each scale of the logits (as they are; each network's over their root mean square; each example's), a line
of panels for each way of leaving the weights. Curves are method minus reference, so that below zero the method is the
flatter one; bands are simultaneous over radii, so that a curve is decided wherever its band leaves zero out. Far out a
confident network's loss rises more because it is confident: the columns tell that and flatness apart.
"""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from tables.reading import TableError

from ..style.look import PAGE, caption, empty, legend, narrow, reference
from ..style.methods import label, look_of, loss_label
from ..views import IMAGES
from ..words.comparison import Tables, needed
from ..words.prose import sentence
from ..words.units import loss_unit
from .picture import Picture

SCALES = {
    "plain": "logits as they are",
    "network": "each network's logits at one scale",
    "example": "each example's logits at one scale",
}
_NARROW = {"plain": "plain\nlogits", "network": "scaled by\nnetwork", "example": "scaled by\nexample"}
_SMALLER = 2.0  # points that a marker is in a panel of a third of a column
_ALONG = {"line": "random lines", "plane": "random planes", "noise": "Gaussian noise"}


def rise(
    figure: Figure, frame: pd.DataFrame, _verdicts: pd.DataFrame | None = None
) -> dict[tuple[str, str, str], Line2D]:
    """Draw the differences against radius, of the first loss that the table has: lines by (along, logits, method).

    Raises TableError where no difference is finite.
    """
    rows = frame[np.isfinite(frame["difference"])]
    if rows.empty:
        raise TableError("no finite difference of rises")
    loss = rows["loss"].iloc[0]
    rows = rows[rows["loss"] == loss]
    alongs = [name for name in _ALONG if (rows["along"] == name).any()]
    scales = [name for name in SCALES if (rows["logits"] == name).any()]
    figure.set_figheight(1.0 + 1.6 * len(alongs))
    axes = figure.subplots(len(alongs), len(scales), squeeze=False, sharex=True, sharey="col")  # logits differ
    lines: dict[tuple[str, str, str], Line2D] = {}
    for line, along in zip(axes, alongs, strict=True):
        for ax, scale in zip(line, scales, strict=True):
            part = rows[(rows["along"] == along) & (rows["logits"] == scale)]
            for method, own in part.groupby("method", sort=False):
                lines[along, scale, str(method)] = _curve(ax, own.sort_values("radius"), str(method))
            if part.empty:
                empty(ax, "not measured")
            reference(ax, 0.0)
        line[0].set_ylabel(f"{_ALONG[along]}\ndifference of rises ({loss_unit([loss])})")
    tight = narrow(figure) and len(scales) > 1
    for ax, scale in zip(axes[0], scales, strict=True):
        ax.set_title((_NARROW if tight else SCALES)[scale])
    for ax in axes[-1]:
        ax.set_xlabel("radius" if tight else "radius (of each filter's norm)")
    for line in lines.values() if tight else ():
        line.set_markersize(_SMALLER)
    against = label(str(rows["reference"].iloc[0]))
    legend(figure, _named(lines, against))
    n = " or ".join(str(int(one)) for one in sorted(rows["n"].unique()))
    images = IMAGES.get(str(rows["split"].iloc[0]), str(rows["split"].iloc[0]))
    radii = ", at radii of each filter's norm" if tight else ""
    caption(
        figure,
        f"Rise of the {loss_label(loss)} on {images} above the weights{radii}, minus that of {against}: below zero the "
        f"method is flatter. Bands: 95 %, simultaneous over radii, n = {n} pairs. One scale: logits over their root "
        "mean square about the mean over classes, at the weights or example by example.",
    )
    return lines


def _curve(ax: Axes, own: pd.DataFrame, method: str) -> Line2D:
    look = look_of(method)
    (line,) = ax.plot(own["radius"], own["difference"], color=look.colour, linestyle=look.dash, marker=look.marker)
    ax.fill_between(own["radius"], own["low"], own["high"], color=look.colour, alpha=0.2, linewidth=0, zorder=1)
    return line


def _named(lines: dict[tuple[str, str, str], Line2D], against: str) -> list[Line2D]:
    """One entry a method."""
    found: dict[str, Line2D] = {}
    for (_, _, method), line in lines.items():
        found.setdefault(method, line)
    for method, line in found.items():
        line.set_label(f"{label(method)} minus {against}")
    return list(found.values())


def reading(tables: Tables) -> str:
    """The verdicts on random planes (else on what there is), with logits as they are and at one scale."""
    rows = needed(tables, "crossovers")
    rows = rows[rows["loss"] == rows["loss"].iloc[0]]
    along = next(name for name in ("plane", *_ALONG) if (rows["along"] == name).any())
    rows = rows[rows["along"] == along]
    clauses = []
    for method, own in rows.groupby("method", sort=False):
        for logits, words in SCALES.items():
            said = own.loc[own["logits"] == logits, "verdict"]
            if len(said):
                clauses.append(f"with {words} {label(str(method))} is {_said(said.iloc[0])}")
    if not clauses:
        raise TableError("no verdict on rises")
    against = label(str(rows["reference"].iloc[0]))
    return sentence(f"against {against}, by radius on {_ALONG[along]}: {clauses[0]}", *clauses[1:])


def _said(verdict: str) -> str:
    """The verdict without the names that it begins with."""
    return verdict.partition(": ")[2] or verdict


PICTURES = (
    Picture(
        "rise", "rise_curves", rise, PAGE, 5.8, "Which is flatter at which radius, and is it confidence?", reading, 65,
        beside=("crossovers",), together=True,
    ),
)  # fmt: skip
