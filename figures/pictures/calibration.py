"""Whether networks are as often right as they are confident, against the number of timesteps;
a point a method where there is one timestep alone.

Left, the expected calibration error; the dotted lines are what it would be of a perfectly calibrated network with the
same confidences, since it is biased upward. Right, mean confidence minus accuracy, which is not: above zero networks
are overconfident on the whole, below it underconfident.
"""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from tables.rows import check_columns, check_measured, most_trained, one_split

from ..style.bands import Curve, bars, compared_means, drawn, handles, offsets, over_seeds, remark
from ..style.look import GREY, PAGE, caption, legend, reference
from ..style.methods import looks
from ..words.comparison import Tables
from ..words.gaps import gap
from ..words.prose import sentence
from ..words.verdicts import each, told
from .picture import Picture
from .scalability import as_trained, tested


def calibration(figure: Figure, frame: pd.DataFrame) -> dict[tuple[str, str], Curve]:
    """Draw both panels into ``figure``: curves by ("ece" or "overconfidence", method).

    On one split, of networks trained at the T that most were.
    """
    check_columns(frame, "confidence", "ece", "ece_null")
    split, rows = one_split(as_trained(frame), "test")
    trained, rows = most_trained(rows)
    check_measured(rows, "ece")
    rows = rows.assign(ece=100 * rows["ece"], null=100 * rows["ece_null"])
    rows["overconfidence"] = 100 * (rows["confidence"] - rows["accuracy_cumulative"])
    timed = rows["timesteps"].max() > 1
    rows["at"] = rows["timesteps"] if timed else rows["method"].map(offsets(looks(rows["method"]), 0.2))
    axes = dict(zip(("ece", "overconfidence"), figure.subplots(1, 2, sharex=True), strict=True))
    curves: dict[tuple[str, str], Curve] = {}
    for method in looks(rows["method"]):
        part = rows[rows["method"] == method]
        if part.empty:
            continue
        for column, ax in axes.items():
            beside = rows if column == "ece" else None  # the other is told from 0
            table, against = compared_means(part, "timesteps", column, beside)
            table["at"] = table["timesteps"].map(part.groupby("timesteps")["at"].first())
            curves[column, method] = drawn(ax, table, "at", method, against=against)
            if not timed:
                bars(ax, part["at"].iloc[0], table, method)
        null = over_seeds(part, ["at"], "null").sort_values("at")
        axes["ece"].plot(null["at"], null["mean"], ":" if timed else "_", color=GREY, linewidth=0.7, zorder=1)
    reference(axes["overconfidence"], 0.0)
    for ax in axes.values():
        _across(ax, timed=timed)
    axes["ece"].set_ylabel("calibration error, ECE (%)")
    axes["ece"].set_ylim(bottom=0)
    axes["overconfidence"].set_ylabel("confidence − accuracy (points)")
    calibrated = Line2D([], [], color=GREY, linestyle=":", label="calibrated perfectly")
    if not timed:
        calibrated.set(linestyle="none", marker="_")
    legend(figure, [*handles(curves.values()), calibrated])
    at = f"; trained at T = {trained}" if timed else ""
    bins = f" {rows['bins'].max():.0f} bins of equal width." if "bins" in rows else ""
    of = "Of the mean output on" if timed else "On"
    caption(figure, f"{of} {rows['images'].max():.0f} {split} examples{at}.{bins} {remark(curves.values())}")
    return curves


def _across(ax: Axes, *, timed: bool) -> None:
    """Timesteps along the x axis; the methods, which the legend names, where there is one alone."""
    if timed:
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        ax.set_xlabel("timesteps T at inference")
    else:
        ax.set(xticks=[], xlabel="method", xlim=(-1, 1))


def reading(tables: Tables) -> str:
    """The calibration error at the trained T, and which way it errs."""
    split, trained, rows = tested(tables, "ece", "confidence")
    rows = rows[rows["timesteps"] == trained]
    rows = rows.assign(over=100 * (rows["confidence"] - rows["accuracy_cumulative"]))
    claims = {f"at T = {trained}" if trained > 1 else "": gap(rows, "ece").scaled(100)}
    error = told(f"the calibration error (ECE) on {split} examples", claims, unit="%")
    return sentence(error, f"confidence minus accuracy, in points, is {each(rows, 'over', 0.0)}")


PICTURES = (
    Picture("calibration", "timesteps", calibration, PAGE, 2.6, "Confidence against accuracy", reading, 120),
)  # fmt: skip
