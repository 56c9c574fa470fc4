"""How early a network makes up its mind: agreement with its final prediction, and when it settles there.

Left, how often the prediction with T steps, of their mean or of step T alone, is the one with all steps. Right, the
share of images for which T is the first number of steps from which the prediction of the mean no longer changes; at
the largest T that is every image whose prediction changed in the last step.
"""

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from tables.rows import check_columns, check_measured, check_timed, most_trained, one_split

from ..style.bands import FAINT, Curve, curve, faint, handles, remark
from ..style.look import PAGE, caption, fit_percent, legend
from ..style.methods import looks
from ..words.comparison import Tables
from ..words.gaps import gap
from ..words.prose import sentence
from ..words.verdicts import told
from .picture import Picture
from .scalability import as_trained, tested

_PANELS = (
    (("agreement_cumulative", "", 1.0), ("agreement_at_step", ", alone", FAINT)),
    (("settling", "", 1.0),),
)


def agreement(figure: Figure, frame: pd.DataFrame) -> dict[tuple[str, str], Curve]:
    """Draw both panels into ``figure``: curves by (column, method).

    On one split, of networks trained at the T that most were.
    """
    check_timed(frame)
    check_columns(frame, "agreement_cumulative", "agreement_at_step", "settling")
    split, rows = one_split(as_trained(frame), "test")
    trained, rows = most_trained(rows)
    check_measured(rows, "agreement_cumulative", "settling")
    axes = figure.subplots(1, 2, sharex=True)
    curves: dict[tuple[str, str], Curve] = {}
    for ax, columns in zip(axes, _PANELS, strict=True):
        for column, suffix, alpha in columns:
            percent = rows.assign(percent=100 * rows[column])
            for method, look in looks(rows["method"]).items():
                part = percent[percent["method"] == method]
                if len(part):
                    curves[column, method] = curve(
                        ax, part, "timesteps", "percent", method, beside=percent, alpha=alpha,
                        marker="" if suffix else None, name=look.label,
                    )  # fmt: skip
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        ax.set_xlabel("timesteps T at inference")
    fit_percent(axes[0])
    axes[0].set_ylabel("agrees with the final class (%)")
    axes[1].set_ylabel("settles at T (% of examples)")
    axes[1].set_yscale("symlog", linthresh=1.0)
    axes[1].set_yticks([0, 1, 10, 100], ["0", "1", "10", "100"])
    axes[1].set_ylim(bottom=0)
    whole = [one for (column, _), one in curves.items() if column != "agreement_at_step"]
    legend(figure, [*handles(whole), faint("faint: step T alone")])
    caption(
        figure,
        f"On {rows['images'].max():.0f} {split} examples; trained at T = {trained}; final: with T ="
        f" {rows['timesteps'].max():.0f}. {remark(curves.values())}",
    )
    return curves


def reading(tables: Tables) -> str:
    """How often the first step already has the final class."""
    split, _, rows = tested(tables, "agreement_cumulative")
    first = rows["timesteps"].min()
    claims = {f"at T = {first:.0f}": gap(rows[rows["timesteps"] == first], "agreement_cumulative").scaled(100)}
    return sentence(told(f"agreement with the final class on {split} examples", claims, unit="%"))


PICTURES = (
    Picture(
        "agreement", "timesteps", agreement, PAGE, 2.6, "How early a network makes up its mind", reading, 110,
    ),
)  # fmt: skip
