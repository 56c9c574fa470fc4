"""How the loss rises around the minima: planes as in Figure 2 (Deng et al. 2022), and where methods differ there.

Of two methods a row is a loss: the rise with either, and the difference. Of more a row is a method, and each loss has
two columns: the rise, and its difference from the reference's. All rises share levels and colours, all differences
theirs. A rise is taken from the loss at the weights, seed by seed, so that minima of unlike losses can be compared;
what is contoured is the mean over draws of directions and over seeds, and a mean is smoother than any of its surfaces,
which is why one level is also drawn for each seed. A difference is decided at a point where its 95 % interval leaves
zero out (:mod:`tables.interval`), which is no statement about all points at once.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.contour import QuadContourSet
from matplotlib.figure import Figure

from tables.measures import MEASURES
from tables.reading import TableError
from tables.rows import check_measured, one_split

from ..style.bands import counted
from ..style.contours import differences, geometric, rises, symmetric
from ..style.look import PAGE, PAPER, SMALL, caption, empty, narrow
from ..style.methods import alone, label, look_of, looks, loss_label, losses, reference_among
from ..views import IMAGES, TRAJECTORY, spanned
from ..words.comparison import Tables, needed, of_one_on_each_loss, on_each_loss
from ..words.units import loss_unit
from .picture import Picture
from .planes import Plane, apart, plane


class Panel(NamedTuple):
    """What a panel shows: ``kind`` "rise" or "difference", of a method and a loss."""

    kind: str
    method: str
    loss: str


def arranged(methods: list[str], shown: list[str], *, column: bool) -> list[list[Panel | None]]:
    """Lines of panels; None for the reference's difference from itself. Fewer across in a ``column``."""
    reference = reference_among(methods) or methods[0]
    if len(methods) == 1:
        across = 2 if column else 3
        panels = [Panel("rise", methods[0], loss) for loss in shown]
        return [[*panels[at : at + across]] for at in range(0, len(panels), across)]
    if len(methods) == 2:
        other = next(name for name in methods if name != reference)
        order = (("rise", reference), ("rise", other), ("difference", other))
        return [[Panel(kind, method, loss) for kind, method in order] for loss in shown]
    pairs = {
        (method, loss): [
            Panel("rise", method, loss),
            Panel("difference", method, loss) if method != reference else None,
        ]
        for method in methods
        for loss in shown
    }
    if column or len(shown) > 2:
        return [pairs[method, loss] for loss in shown for method in methods]
    return [[panel for loss in shown for panel in pairs[method, loss]] for method in methods]


def planes(figure: Figure, frame: pd.DataFrame) -> dict[Panel, QuadContourSet]:
    """Draw the panels into ``figure``, whose height is set to hold them: the filled contours by panel."""
    split, rows = one_split(kind_of(frame, "plane"), "train")
    methods, shown = list(looks(rows["method"])), list(losses(rows["loss"]))
    check_measured(rows, "value")
    groups = {key: part for key, part in rows.groupby(["method", "loss"]) if np.isfinite(part["value"]).any()}
    found = {(str(method), str(loss)): plane(part) for (method, loss), part in groups.items()}
    found = {key: one for key, one in found.items() if np.isfinite(one.mean).any()}
    if not found:
        raise TableError("no finite rise: the loss at the weights is not finite")
    reference = reference_among(methods) or methods[0]
    gaps = {
        key: apart(found[reference, key[1]], one)
        for key, one in found.items()
        if key[0] != reference and (reference, key[1]) in found
    }
    lines = arranged(methods, shown, column=narrow(figure))
    columns = max(map(len, lines))
    figure.set_layout_engine("compressed")  # square panels without gaps
    figure.set_figheight(1.15 + (min(2.6, (figure.get_figwidth() - 0.5) / columns - 0.1) + 0.34) * len(lines))
    axes = figure.subplots(len(lines), columns, sharex=True, sharey=True, squeeze=False)
    levels = geometric(np.concatenate([one.mean.ravel() for one in found.values()]))
    steps = symmetric(np.concatenate([gap.ravel() for gap, _ in gaps.values()] or [np.zeros(1)]))
    filled: dict[Panel, QuadContourSet] = {}
    for line, panels in zip(axes, lines, strict=True):
        for ax, panel in zip(line, [*panels, *[None] * (columns - len(panels))], strict=True):
            if panel is None:
                ax.set_axis_off()
            elif panel.kind == "rise" and panel[1:] in found:
                filled[panel] = _rise(ax, found[panel[1:]], levels)
            elif panel.kind == "difference" and panel[1:] in gaps and np.isfinite(gaps[panel[1:]][0]).any():
                one = found[panel[1:]]
                mean, decided = gaps[panel[1:]]
                filled[panel] = differences(ax, one.alphas, one.betas, mean, steps, decided)
            else:
                empty(ax, "nothing measured")
            _name(ax, panel, found, reference, "" if narrow(figure) and len(methods) > 2 else "trained with ")
    _outer(axes)
    _bars(figure, axes, filled, levels, steps, IMAGES.get(split, split), loss_unit(shown))
    _say(figure, found, levels, rows, reference if gaps else "")
    return filled


def _rise(ax: Axes, one: Plane, levels: np.ndarray) -> QuadContourSet:
    """The mean's contours, the middle level for every seed, and a cross at the lowest point."""
    filled = rises(ax, one.alphas, one.betas, one.mean, levels)
    level = levels[len(levels) // 2]
    for grid in one.seeds.values() if len(one.seeds) > 1 else ():
        finite = np.ma.masked_invalid(grid)
        if finite.count() and finite.min() < level < finite.max():
            ax.contour(one.alphas, one.betas, finite, levels=[level], colors=PAPER, linewidths=0.5, alpha=0.8)
    ax.plot(*([at] for at in one.lowest), "x", color=PAPER, markersize=4.5, markeredgewidth=1.2, label="minimum")
    return filled


def _name(ax: Axes, panel: Panel | None, found: dict[tuple[str, str], Plane], reference: str, with_: str) -> None:
    if panel is None:
        return
    ours = look_of(panel.method).label
    said = f"{ours} − {look_of(reference).label}"
    if panel.kind == "rise":
        n = [len(found[panel[1:]].seeds)] if panel[1:] in found else []
        said = f"{with_}{ours}" + (f" ({counted(n)})".replace(" = ", "\u00a0=\u00a0") if n else "")
    ax.set_title(f"{said}\n{loss_label(panel.loss)}", fontsize=SMALL)
    ax.set(box_aspect=1)


def _outer(axes: np.ndarray) -> None:
    """Names of the axes at the left and the bottom, five ticks each."""
    for ax in axes[:, 0]:
        ax.set_ylabel("β")
    for ax in axes[-1]:
        ax.set_xlabel("α")
    axes.flat[0].locator_params(nbins=4)


def _bars(
    figure: Figure,
    axes: np.ndarray,
    filled: dict[Panel, QuadContourSet],
    levels: np.ndarray,
    steps: np.ndarray,
    words: str,
    unit: str,
) -> None:
    """One bar of colours for all rises, one for all differences, below the panels."""
    beside = axes.shape[1] == 3
    for kind, ticks, said in (
        ("rise", levels, f"rise on {words} ({unit})"),
        ("difference", steps, f"difference of rises ({unit})"),
    ):
        one = next((some for panel, some in filled.items() if panel.kind == kind), None)
        if one is not None:
            under = axes if not beside or len({panel.kind for panel in filled}) == 1 else axes[:, :2]
            under = axes[:, 2:] if beside and kind == "difference" else under
            bar = figure.colorbar(
                one, ax=under, location="bottom", label=said, aspect=45 if not beside else 28, pad=0.02, ticks=ticks
            )
            bar.ax.set_xticks(ticks, [f"{tick:g}".replace("-", "−") for tick in ticks])
            bar.minorticks_off()
            bar.outline.set_linewidth(0.4)


def _say(
    figure: Figure, found: dict[tuple[str, str], Plane], levels: np.ndarray, rows: pd.DataFrame, reference: str
) -> None:
    ones = list(found.values())
    draws, where = max(one.draws for one in ones), "the trained weights at (0, 0)"
    above = f"above {where}" if all(one.centred for one in ones) else "above the lowest point"
    text = (
        f"Rise of the loss {above}: mean over seeds and {draws} draw{'s' * (draws > 1)} of {words_of(rows)} "
        "directions. Levels are 1, 2, 5 times powers of ten; lines by a cubic spline. Cross: lowest grid point."
    )
    if any(len(one.seeds) > 1 for one in ones):
        text += f" White lines: {levels[len(levels) // 2]:.3g}, each seed."
    if reference:
        text += f" Differences from {label(reference)}, by seed: dashed below 0, hatched where the 95 % interval at a "
        text += "point holds 0."
    off = int(sum(np.isposinf(one.mean).sum() for one in ones))
    caption(figure, text + (f" {off} infinite points: ∞, in the last colour." if off else "") + between(rows))


def kind_of(frame: pd.DataFrame, kind: str) -> pd.DataFrame:
    """Lines or planes along random directions where the table has them, and else along the first that it has.

    Those along a run's own trajectory are not averaged, and have a picture of their own.
    """
    rows = spanned(frame, kind)
    found = [name for name in dict.fromkeys(rows["directions"]) if name != TRAJECTORY]
    if not found:
        raise TableError(f"no {kind} but along trajectories, which have a picture of their own")
    return rows[rows["directions"] == ("random" if "random" in found else found[0])]


def between(rows: pd.DataFrame) -> str:
    """What a caption says of points that were interpolated; nothing where there are none."""
    share = rows["interpolated"].eq(True).mean() if "interpolated" in rows else 0.0
    return f" {share:.0%} of the points are interpolated between those evaluated." if share else ""


def words_of(rows: pd.DataFrame) -> str:
    """What a caption calls the directions."""
    directions = str(rows["directions"].iloc[0])
    return "filter-normalised random" if directions == "random" else directions


def near_on_planes(tables: Tables) -> str:
    """The mean rise near the weights, on planes."""
    return near(tables, "plane")


def near(tables: Tables, kind: str) -> str:
    """The mean rise near the weights, on lines or planes."""
    what = f"the mean rise within half a unit of the weights on random {kind}s"
    if alone():
        _, rows = one_split(kind_of(needed(tables, "shapes"), kind), "train")
        return of_one_on_each_loss(what.replace("random", words_of(rows)), "mean_rise", {"": rows})
    return on_each_loss(tables, what, {"": MEASURES["rise_within"].asked(kind, "0.5").id})


PICTURES = (Picture("surfaces", "surface", planes, PAGE, 6.0, "Loss surfaces around the weights", near_on_planes, 10),)
