"""What momentum keeps of the gradient in the course of training, and of K steps on from where it ended.

:func:`epochs`: of the training objective, regulariser included, on a fixed few images at the end of every epoch.
:func:`steps`: of the loss trained with, without one, on each step's own batch. Both have the norm of the gradient, the
cosine of the gradient and the momentum that it is about to join (0 in the mean for noise), and the part of the
gradients' length that momentum keeps (1 when they agree, dotted what noise would keep: of an epoch's own steps, which
share no image, that is no more than a bound). :func:`epochs` adds the error norm, :func:`steps` the decrease of the
loss, realised over predicted, both summed up from the first step on.
"""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from tables.reading import TableError
from tables.rows import check_measured

from ..style.bands import Curve, curve, handles, over_seeds, remark
from ..style.look import GREY, PAGE, caption, fit_means, fit_scale, legend, reference
from ..style.methods import looks
from ..words.comparison import Tables, needed
from ..words.gaps import Gap, gap
from ..words.own_loss import matching, trained, under_one_loss
from ..words.prose import listed, number, sentence
from ..words.verdicts import told
from .momentum import reference_handle
from .picture import Picture

SHARED = {
    "gradient_norm": "gradient norm",
    "cosine_to_momentum": "cosine of gradient and momentum",
    "kept": "part that momentum keeps",
}
EPOCHS = {"error_norm": "error norm"} | SHARED
STEPS = SHARED | {"ratio": "realised / predicted so far"}
_BOUNDS = {"cosine_to_momentum": (-1.0, 1.0), "kept": (0.0, 1.05), "ratio": (-np.inf, np.inf)}  # norms: 0 … ∞
_GOALS = {"cosine_to_momentum": 0.0, "ratio": 1.0}
_SHOWN = (-3.0, 5.0)  # the first steps' ratios can be anything
Curves = dict[tuple[str, str], Curve]


def epochs(figure: Figure, frame: pd.DataFrame) -> Curves:
    """Draw the columns of the whole gradient by epoch into ``figure``: curves by (column, method)."""
    rows = matching(frame)
    rows = rows[rows["timestep"] == 0]
    curves = _panels(figure, rows, "epoch", EPOCHS, "noise, at most")
    images = sorted({int(one) for one in rows["images"]})
    caption(
        figure,
        f"Objective of training (with its regulariser), {' or '.join(map(str, images))} examples, end of each epoch; "
        f"kept: of the epoch's own steps. Bands may leave the panel. {remark(curves.values())}",
    )
    return curves


def steps(figure: Figure, frame: pd.DataFrame) -> Curves:
    """Draw the same by step, and the summed decrease, into ``figure``: curves by (column, method)."""
    rows = matching(frame)
    rows = rows[rows["timestep"] == 0].sort_values("step")
    sums = rows.groupby("checkpoint")[["realised", "predicted"]].cumsum()
    rows = rows.assign(ratio=(sums["realised"] / sums["predicted"]).where(sums["predicted"] != 0))
    noise = "noise" if "batch_size" in rows else "noise, at most"  # earlier tables: steps in epochs
    curves = _panels(figure, rows, "step", STEPS, f"{noise}; smooth loss, η → 0")
    caption(
        figure,
        f"Training on with {trained(frame)}, each step's own batch. The learning rate falls to 0.{_optimizer(rows)} "
        f"Bands may leave the panel. {remark(curves.values())}",
    )
    return curves


def _optimizer(rows: pd.DataFrame) -> str:
    """With which optimizer all go on, where the table says, and whether it began anew."""
    words = {"sgd": "SGD", "adam": "Adam"}
    found = [words.get(str(one), str(one)) for one in rows["optimizer"].unique()] if "optimizer" in rows else []
    told = f" All go on with {found[0]}, whatever they were trained with." if len(found) == 1 else ""
    if not told and found:
        told = f" With {listed(found)}, as they were trained."
    fresh = rows["state"] == "fresh"
    who = "All" if fresh.all() else "Some"
    return f"{told} {who} began with a fresh optimizer, without momentum." if fresh.any() else told


def _panels(figure: Figure, rows: pd.DataFrame, x: str, titles: dict[str, str], dotted: str) -> Curves:
    check_measured(rows, *titles)
    axes = figure.subplots(2, 2, sharex=True)
    curves: Curves = {}
    for ax, (column, title) in zip(axes.flat, titles.items(), strict=True):
        own = []
        for method in looks(rows["method"]):
            part = rows[rows["method"] == method]
            if np.isfinite(part[column]).any():
                one = curve(ax, part, x, column, method, beside=rows)
                one.line.set_markevery(max(1, len(one.table) // 8))
                curves[column, method] = one
                own.append(one)
        ax.set_title(title)
        _finish(ax, column, rows, x, own)
    for ax in axes[-1]:
        ax.set_xlabel(x)
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    legend(figure, [*handles(curves.values()), reference_handle(dotted)])
    return curves


def _finish(ax: Axes, column: str, rows: pd.DataFrame, x: str, curves: list[Curve]) -> None:
    """Scale and reference of one panel."""
    goal: list[float] = []
    if column == "kept":
        null = over_seeds(rows, [x], "kept_null").sort_values(x)
        ax.plot(null[x], null["mean"], color=GREY, linewidth=0.7, linestyle=(0, (1, 1.5)), zorder=1, label="_null")
        goal = list(null["mean"])
    elif column in _GOALS:
        goal = [_GOALS[column]]
        reference(ax, _GOALS[column])
    elif fit_scale(ax, rows[column]) == "log":
        return
    table = pd.concat([one.table[["mean", "low", "high"]] for one in curves]) if curves else pd.DataFrame()
    if len(table):
        means = [*(np.clip(table["mean"], *_SHOWN) if column == "ratio" else table["mean"]), *goal]
        low, high = _BOUNDS.get(column, (0.0, np.inf))
        fit_means(ax, means, table[["low", "high"]].to_numpy().ravel(), low=low, high=high)


def kept_in_steps(tables: Tables) -> str:
    """What momentum keeps in the last of the steps trained on."""
    return _kept(tables, "momentum_steps", "step", "after {} more steps")


def kept_in_epochs(tables: Tables) -> str:
    """What momentum keeps in the last epoch."""
    return _kept(tables, "momentum_history", "epoch", "in epoch {}")


def _kept(tables: Tables, name: str, x: str, words: str) -> str:
    frame = needed(tables, name)
    frame = frame[frame["timestep"] == 0]
    if frame.empty:
        raise TableError("no rows of the whole gradient (timestep 0)")
    rows = matching(frame[frame[x] == matching(frame)[x].max()])
    when = words.format(f"{rows[x].max():.0f}")

    def claims(some: pd.DataFrame) -> dict[str, Gap]:
        return {when: gap(some, "kept")}

    alike = under_one_loss(frame[frame[x] == rows[x].max()], "it", claims)
    return sentence(told("the part of the gradients' length that momentum keeps", claims(rows)), *alike, _noise(rows))


def _noise(rows: pd.DataFrame) -> str:
    """What noise would keep: a number of steps on independent batches, bounds of an epoch's own steps."""
    most = number(float(rows["kept_null"].mean()))
    least = float(rows["kept_null_low"].mean()) if "kept_null_low" in rows else np.nan
    if np.isfinite(least):
        return f"noise would keep between {number(least)} and {most}: an epoch's batches share no example"
    return f"noise would keep {'' if 'batch_size' in rows else 'at most '}{most}"


PICTURES = (
    Picture(
        "momentum-steps", "momentum_steps", steps, PAGE, 4.0, "What momentum keeps, step by step", kept_in_steps, 180,
    ),
    Picture(
        "momentum-history", "momentum_history", epochs, PAGE, 4.0, "What momentum keeps, in the course of training",
        kept_in_epochs, 190,
    ),
)  # fmt: skip
