"""Where the gradient is, how well batches agree on it, and whether the loss follows it: layer by layer.

:func:`layers`: each layer's part of the squared length of the whole mean gradient (parts sum to 1), its coherence over
batches beside that of independent noise, and realised over predicted decrease along the layer's own gradient alone, for
a step of a hundredth of the layer's weights (the nearest that the table has). Layers stand in the order of the network.
"""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tables.rows import check_measured

from ..style.bands import Curve, curve, handles, remark
from ..style.look import LOOKS, SMALL, caption, fit_means, legend, reference
from .momentum import TRAINED, matching, reference_handle

TITLES = {"part": "part of the gradient", "coherence": "coherence over batches", "ratio": "realised / predicted"}
_STEP = 0.01
_MOST = 24  # names of layers that fit beside each other


def layers(figure: Figure, frame: pd.DataFrame, descent: pd.DataFrame) -> dict[tuple[str, str], Curve]:
    """Draw the three panels into ``figure``: curves by (quantity, training)."""
    rows = whole(frame)
    order = {name: place for place, name in enumerate(dict.fromkeys(rows["layer"]))}
    figure.set_figheight(1.9 + 0.055 * min(24, max(map(len, order))))
    axes = figure.subplots(1, 3, sharex=True)
    curves: dict[tuple[str, str], Curve] = {}
    for ax, (name, title) in zip(axes, TITLES.items(), strict=True):
        table = nearest(matching(descent)) if name == "ratio" else rows
        for training in LOOKS:
            part = table[(table["training"] == training) & table["layer"].isin(list(order))]
            if np.isfinite(part[name]).any():
                part = part.assign(at=part["layer"].map(order))
                curves[name, training] = curve(ax, part, "at", name, training, dash=(0, (1, 2)))  # layers are no scale
        ax.set_title(title)
        _fit(ax, [one for (which, _), one in curves.items() if which == name], -np.inf if name == "ratio" else 0.0)
    for null in sorted(set(rows["coherence_null"].dropna().round(6))):
        reference(axes[1], null)
    reference(axes[2], 1.0)
    step = -(-len(order) // _MOST)
    for ax in axes:
        ax.set_xticks(range(0, len(order), step), list(order)[::step], rotation=90, fontsize=SMALL)
    legend(figure, [*handles(curves.values()), reference_handle("independent noise; smooth loss, η → 0")])
    caption(
        figure,
        f"Gradient of {TRAINED}: parts of its squared length; steps of 1 % of a layer's weights. Bands may leave the "
        f"panel. {remark(curves.values())}",
    )
    return curves


def whole(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows of all timesteps together, with each layer's ``part`` of its checkpoint's squared length.

    Raises TableError where nothing was measured.
    """
    rows = matching(frame)
    rows = rows[rows["timestep"] == 0]
    total = (rows["gradient_norm"] ** 2).groupby(rows["checkpoint"]).transform("sum")
    rows = rows.assign(part=rows["gradient_norm"] ** 2 / total.where(total > 0))
    check_measured(rows, "part", "coherence")
    return rows


def nearest(descent: pd.DataFrame) -> pd.DataFrame:
    """The rows along the gradient whose relative step is closest to a hundredth."""
    rows = descent[descent["direction"] == "gradient"]
    distance = np.log10(rows["relative_step"] / _STEP).abs()
    return rows[distance == distance.min()]


def _fit(ax: Axes, curves: list[Curve], low: float) -> None:
    """Fit a panel to the means of its curves."""
    if curves:
        table = pd.concat([one.table[["mean", "low", "high"]] for one in curves])
        ends = table[["low", "high"]].to_numpy().ravel()
        fit_means(ax, table["mean"], ends, low=low, high=np.inf)
