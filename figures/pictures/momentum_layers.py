"""Where the gradient is, how well batches agree on it, and whether the loss follows it: layer by layer.

:func:`layers`: each layer's part of the squared length of the whole mean gradient (parts sum to 1), its coherence over
batches beside what it would be if these images had no gradient, and realised over predicted decrease along the layer's
own gradient alone, for a step of a hundredth of the layer's weights (the nearest that the table has). Layers stand in
the order of the network.
"""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tables.rows import check_measured

from ..style.bands import Curve, curve, handles, remark
from ..style.look import PAGE, SMALL, caption, fit_means, legend, reference
from ..style.methods import label, looks
from ..words.comparison import RESCALED, Tables, incomparable, needed
from ..words.gaps import gap, mean
from ..words.own_loss import matching, trained
from ..words.prose import listed, sentence
from ..words.verdicts import tally
from .momentum import nulls, reference_handle
from .picture import Picture

TITLES = {"part": "part of the gradient", "coherence": "coherence over batches", "ratio": "realised / predicted"}
_STEP = 0.01
_MOST = 24  # names of layers that fit beside each other


def layers(figure: Figure, frame: pd.DataFrame, descent: pd.DataFrame) -> dict[tuple[str, str], Curve]:
    """Draw the three panels into ``figure``: curves by (quantity, method)."""
    rows = whole(frame)
    order = {name: place for place, name in enumerate(dict.fromkeys(rows["layer"]))}
    figure.set_figheight(1.9 + 0.055 * min(24, max(map(len, order))))
    axes = figure.subplots(1, 3, sharex=True)
    curves: dict[tuple[str, str], Curve] = {}
    for ax, (name, title) in zip(axes, TITLES.items(), strict=True):
        table = nearest(matching(descent)) if name == "ratio" else rows
        table = table[table["layer"].isin(list(order))]
        table = table.assign(at=table["layer"].map(order))
        for method in looks(table["method"]):
            part = table[table["method"] == method]
            if np.isfinite(part[name]).any():
                curves[name, method] = curve(ax, part, "at", name, method, beside=table)
                curves[name, method].line.set(linewidth=0.5)  # layers are no scale
        ax.set_title(title)
        _fit(ax, [one for (which, _), one in curves.items() if which == name], -np.inf if name == "ratio" else 0.0)
    for null in nulls(rows):
        reference(axes[1], null)
    reference(axes[2], 1.0)
    step = -(-len(order) // _MOST)
    for ax in axes:
        ax.set_xticks(range(0, len(order), step), list(order)[::step], rotation=90, fontsize=SMALL)
        ax.set_xlabel("layer")
    legend(
        figure, [*handles(curves.values()), reference_handle("if these examples had no gradient; smooth loss, η → 0")]
    )
    caption(
        figure,
        f"Gradient of {trained(frame)}: parts of its squared length; steps of 1 % of a layer's weights. "
        f"Bands may leave the "
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


def reading(tables: Tables) -> str:
    """Of how many layers the part of the gradient and its coherence differ, and where the loss follows the gradient."""
    rows, doubts = whole(needed(tables, "momentum_layers")), (*incomparable(tables), RESCALED)
    clauses = [
        tally(words, [gap(part, column, doubts=doubts) for _, part in rows.groupby("layer", sort=False)])
        for column, words in (
            ("part", "of {} layers' parts of the gradient"),
            ("coherence", "of {} layers' coherences"),
        )
    ]
    return sentence(*clauses, _followed(nearest(matching(needed(tables, "descent_layers")))))


def _followed(near: pd.DataFrame) -> str:
    """In how many layers the decrease is surely less than predicted."""
    found = {
        label(method): [mean(part, "ratio", method) for _, part in near[near["method"] == method].groupby("layer")]
        for method in looks(near["method"])
    }
    known = {name: [one for one in means if one.known] for name, means in found.items()}
    said = [
        f"{sum(one.high < 1 for one in some)} of {len(some)} layers with {name}" for name, some in known.items() if some
    ]
    what = "realised over predicted decrease"
    if said:
        return f"the interval of {what} lies below 1 in {listed(said)}"
    some = any(one.n for means in found.values() for one in means)
    return f"{what} has too few seeds for an interval" if some else ""


PICTURES = (
    Picture(
        "momentum-layers", "momentum_layers", layers, PAGE, 2.8, "Gradients by layer", reading, 170,
        ("descent_layers",),
    ),
)  # fmt: skip
