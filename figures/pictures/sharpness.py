"""How far the loss rises when weights are disturbed, against how far they are: every measure that has several radii.

A line of panels for each measure, whose radii are of its own kind, and a column for each of the landscape's losses, on
one scale. Rises that are not positive have no place on the logarithmic axes and are counted in the caption.
"""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from tables.reading import TableError
from tables.rows import one_split

from ..style.bands import Curve, curve, handles, remark
from ..style.look import PAGE, caption, empty, legend, log_scale
from ..style.methods import alone, first_loss, looks, loss_label, losses
from ..views import IMAGES
from ..words.comparison import Tables, at_radius, comparison, counted_rows, needed
from ..words.gaps import gap
from ..words.prose import number, sentence
from ..words.units import loss_unit
from ..words.verdicts import told
from .picture import Picture

MEASURES = {
    "average": ("average rise", "noise / filter's norm"),
    "worst": ("worst rise in a ball", "‖Δw‖"),
    "adaptive_worst": ("adaptive worst rise", "radius / ‖w‖"),
    "m_sharpness": ("m-sharpness", "‖Δw‖"),
}
_MOST = 4


def sharpness(figure: Figure, frame: pd.DataFrame) -> dict[tuple[str, str, str], Curve]:
    """Draw rises against radius into ``figure``: curves by (measure, loss, method).

    Raises TableError when no measure has a positive rise at two radii.
    """
    split, rows = one_split(_settled(frame), "train")
    shown = rows[np.isfinite(rows["value"]) & (rows["value"] > 0)]
    names = _several(shown)
    columns = losses(shown["loss"])
    figure.set_figheight(1.0 + 1.75 * len(names))
    axes = figure.subplots(len(names), len(columns), squeeze=False, sharex="row", sharey="row")
    curves: dict[tuple[str, str, str], Curve] = {}
    for line, name in zip(axes, names, strict=True):
        title, unit = MEASURES.get(name, (name.replace("_", " "), "radius"))
        for ax, loss in zip(line, columns, strict=True):
            part = shown[(shown["measure"] == name) & (shown["loss"] == loss)]
            for method in looks(part["method"]):
                chosen = part[part["method"] == method]
                curves[name, loss, method] = curve(ax, chosen, "radius", "value", method, beside=part)
            ax.set(title=f"{title}, {loss_label(loss)}", xlabel=unit)
            if part.empty:
                empty(ax, "not measured")
        line[0].set_ylabel(f"rise ({loss_unit(columns)})")
        _scale(
            line, shown.loc[shown["measure"] == name, "radius"], [one for key, one in curves.items() if key[0] == name]
        )
    legend(figure, handles(curves.values()))
    lost = int(rows["measure"].isin(names).sum() - shown["measure"].isin(names).sum())
    left_out = f" Not drawn: {lost} that are not positive." if lost else ""
    caption(figure, f"On {IMAGES.get(split, split)}.{left_out} {remark(curves.values())}")
    return curves


def _settled(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows that have a radius. Values at different settings are no repeats: the setting goes into the name then."""
    rows = frame[np.isfinite(frame["radius"]) & (frame["radius"] > 0)] if "radius" in frame else frame.head(0)
    if rows.empty:
        raise TableError("no measure with a radius")
    if "setting" not in rows:
        return rows
    several = rows.groupby("measure")["setting"].transform("nunique") > 1
    return rows.assign(measure=rows["measure"] + (", " + rows["setting"]).where(several, ""))


def _several(shown: pd.DataFrame) -> list[str]:
    """The measures with two radii, at most four, the known ones first."""
    radii = shown.groupby("measure")["radius"].nunique()
    found = sorted(radii[radii > 1].index)
    names = [name for name in (*MEASURES, *(name for name in found if name not in MEASURES)) if name in found]
    if not names:
        raise TableError("no measure has a positive rise at two radii")
    return names[:_MOST]


def _scale(line: np.ndarray, radii: pd.Series, curves: list[Curve]) -> None:
    """Logarithmic axes that hold the means and the upper ends: a lower end near zero would stretch them."""
    ends = np.concatenate([one.table[["mean", "high"]].to_numpy().ravel() for one in curves])
    ends = ends[np.isfinite(ends) & (ends > 0)]
    log_scale(*line)
    line[0].set_ylim(0.6 * ends.min(), 1.6 * ends.max())
    ticks = sorted(radii.unique())
    for ax in line:
        ax.set_xscale("log")
    for ax in line:
        ax.set_xticks(ticks, [f"{one:g}" for one in ticks])
        ax.xaxis.set_minor_locator(NullLocator())


def reading(tables: Tables) -> str:
    """How many of the rises at a radius are higher with which method; of one alone, the first measure's rises."""
    if alone():
        return _of_one(needed(tables, "sharpness"))
    rows = comparison(tables)
    rise = [
        side == "flatness" and bool(at_radius(one)) for one, side in zip(rows["measure"], rows["side"], strict=True)
    ]
    return counted_rows(rows[rise], "of {} rises at a radius")


def _of_one(frame: pd.DataFrame) -> str:
    _, rows = one_split(_settled(frame), "train")
    loss = first_loss(rows)
    rows = rows[(rows["measure"] == _several(rows)[0]) & (rows["loss"] == loss)]
    name = str(rows["measure"].iloc[0])
    what = MEASURES.get(name, (name.replace("_", " "), ""))[0]
    claims = {f"at {number(at)}": gap(rows[rows["radius"] == at], "value") for at in sorted(rows["radius"].unique())}
    return sentence(told(f"the {what} of the {loss_label(loss)}, by radius,", claims))


PICTURES = (Picture("sharpness", "sharpness", sharpness, PAGE, 4.2, "Rise of the loss against radius", reading, 70),)
