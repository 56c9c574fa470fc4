"""Leaving a minimum when the loss is switched: Figure 3 of Deng et al. 2022, with all losses and its control.

Networks that one method trained to the end train on with its own loss or, from the same weights on the same batches,
with another. Above training images, below test images: the losses, and at the right how far the weights have gone, and
the accuracy. Losses and accuracy are changes since training ended, network by network, so that bands are of what was
done and not of where networks began; the mean at the start is in the title. The paper shows the switched run alone;
what the curve of going on as before does too is the new learning rate's doing, and none of the switch's.

Of several methods the one that comes first is drawn: networks of the others end elsewhere.
"""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tables.reading import TableError
from tables.rows import any_measured, check_measured

from ..style.bands import Curve, curve, handles, remark
from ..style.look import PAGE, caption, fit_means, legend, narrow, reference, wrapped
from ..style.methods import facing, label, look_of, looks, loss_label
from ..words.comparison import Tables, needed
from ..words.gaps import Gap, gap
from ..words.prose import sentence
from ..words.units import loss_unit
from ..words.verdicts import told
from .picture import Picture

SPLITS = {"train": "training", "test": "test"}
_CORNER = {"train": ("relative_distance", "distance (%)"), "test": ("accuracy", "test accuracy (%)")}
Curves = dict[tuple[str, str, str], Curve]


def switch(figure: Figure, frame: pd.DataFrame) -> Curves:
    """Draw the panels into ``figure``: curves by (column, split, loss trained on with)."""
    method, rows = switched(frame)
    columns = measured(rows)
    check_measured(rows, *columns, "accuracy")
    rows = rows.assign(accuracy=100 * rows["accuracy"], relative_distance=100 * rows["relative_distance"])
    rows, start = _changes(rows, [*columns, "accuracy"])
    corner = _CORNER if any_measured(rows, "accuracy") else {"train": _CORNER["train"]}
    axes = _places(figure, len(columns) + 1)
    wide = 2 if narrow(figure) else axes.shape[1]
    curves: Curves = {}
    for line, (split, name) in zip(axes, SPLITS.items(), strict=True):
        panels = [(column, f"{loss_label(loss)}, {name}") for column, loss in columns.items()]
        panels += [corner[split]] if split in corner else []
        for ax in line[len(panels) :]:
            ax.remove()
        for ax, (column, title) in zip(line, panels, strict=False):
            own = _panel(ax, rows[rows["split"] == split], column)
            curves |= {(column, split, loss): one for loss, one in own.items()}
            ax.set_title(wrapped(title + _from(start, split, column), figure.get_figwidth() / wide))
    placed = [(place.colspan.start, ax) for ax in figure.axes if (place := ax.get_subplotspec())]
    for ax in dict(placed).values():  # the last of each column
        ax.set_xlabel("steps since training ended")
        ax.tick_params(labelbottom=True)
    legend(figure, handles(curves.values()))
    counts = {split: sorted({int(one) for one in rows.loc[rows["split"] == split, "images"]}) for split in SPLITS}
    images = ", ".join(f"{' or '.join(map(str, found))} {SPLITS[split]}" for split, found in counts.items() if found)
    caption(
        figure,
        f"Changes since training with {look_of(method).label} ended, in eval mode, losses in "
        f"{loss_unit(columns.values())} without regulariser; {images} examples; "
        "distance of the weights, by their length. Bands may leave the panel. "
        f"{remark(curves.values())}",
    )
    return curves


def _places(figure: Figure, panels: int) -> np.ndarray:
    """Panels by split and what is drawn; in a column the splits stand beside each other."""
    if not narrow(figure):
        return np.asarray(figure.subplots(2, panels, sharex=True))
    figure.set_figheight(0.5 + 1.5 * panels)
    return np.asarray(figure.subplots(panels, 2, sharex=True)).T


def switched(frame: pd.DataFrame) -> tuple[str, pd.DataFrame]:
    """The method that comes first, and its rows. Raises TableError where these went on with one loss alone."""
    method, rows = first_method(frame)
    if rows["loss"].nunique() == 1:
        raise TableError(f"one loss alone, {label(rows['loss'].iloc[0])}: none to switch to")
    return method, rows


def first_method(frame: pd.DataFrame) -> tuple[str, pd.DataFrame]:
    """The method that comes first, and its rows."""
    method = next(iter(looks(frame["method"])))
    return method, frame[frame["method"] == method]


def measured(rows: pd.DataFrame) -> dict[str, str]:
    """The columns of losses that hold a finite value, or all where none does, and the names of the losses."""
    names = [str(name) for name in rows if str(name).startswith("loss_") and not str(name).endswith("_stderr")]
    found = [name for name in names if np.isfinite(rows[name]).any()]
    return {name: name.removeprefix("loss_") for name in found or names}


def _changes(rows: pd.DataFrame, columns: list[str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows as changes since their first step, network by network, and what they began with."""
    keys = ["checkpoint", "loss", "split"]
    start = rows[rows["step"] == rows["step"].min()].set_index(keys)[columns]
    if not start.index.is_unique:
        raise TableError("a network has several rows of its start")
    began = start.reindex(pd.MultiIndex.from_frame(rows[keys])).to_numpy()
    return rows.assign(**dict(zip(columns, (rows[columns] - began).to_numpy().T, strict=True))), start


def _panel(ax: Axes, rows: pd.DataFrame, column: str) -> dict[str, Curve]:
    """A curve for each loss trained on with, and a range that holds them."""
    own = {}
    for loss, look in looks(rows["loss"]).items():
        part = rows[rows["loss"] == loss]
        if np.isfinite(part[column]).any():
            own[loss] = curve(ax, part, "step", column, look, name=f"on with {look.label}")
            own[loss].line.set_markevery(max(1, len(own[loss].table) // 8))
    if own:
        table = pd.concat([one.table[["mean", "low", "high"]] for one in own.values()])
        fit_means(ax, table["mean"], table[["low", "high"]].to_numpy().ravel(), low=-np.inf, high=np.inf)
    reference(ax, 0.0)
    return own


def _from(start: pd.DataFrame, split: str, column: str) -> str:
    """The mean over networks of what they began with, in three digits, for a title; nothing where there is none."""
    began = start.loc[start.index.get_level_values("split") == split, column] if column in start else pd.Series()
    if not len(began):
        return ""
    with np.errstate(invalid="ignore"):  # of infinities of both signs
        return f", from {began.mean():.3g}"


def reading(tables: Tables) -> str:
    """Going on with another loss against going on as before, from the same weights."""
    method, rows = switched(needed(tables, "switch"))
    rows = rows[(rows["split"] == "test") & (rows["step"] == rows["step"].max())]
    names = list(dict.fromkeys(rows["loss"]))
    before = next((name for name in rows["training"] if name in names), names[0] if names else "")
    columns = {"accuracy": "in accuracy (%)"} if any_measured(rows, "accuracy") else {}
    columns |= {column: f"in the {loss_label(loss)}" for column, loss in measured(rows).items()}
    step, clauses = rows["step"].max(), []
    what = f"the outcome of {step:.0f} more steps from {label(method)}'s weights, on test examples,"
    for other in [name for name in names if name != before]:
        with facing(before, other):
            claims = {words: _switched(rows, column) for column, words in columns.items()}
            clauses.append(told(what, claims))
    return sentence(*clauses)


def _switched(rows: pd.DataFrame, column: str) -> Gap:
    """On with another loss minus on as before: there the sides are what was trained on with."""
    return gap(rows.assign(method=rows["loss"]), column).scaled(100.0 if column == "accuracy" else 1.0)


PICTURES = (
    Picture(
        "switch", "switch", switch, PAGE, 4.0, "Leaving the minimum when the loss is switched", reading, 200,
        together=True,
    ),
)  # fmt: skip
