"""What else could be done with T steps: BatchNorm's statistics taken anew, or streams cut into T frames.

Drawn is the accuracy minus that of the network as trained, at the same T and seed.
"""

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from matplotlib.typing import LineStyleType

from tables.rows import Unasked, check_measured, most_trained, one_split

from ..style.bands import Curve, curve, handles, remark
from ..style.look import COLUMN, GREY, caption, legend, reference
from ..style.methods import looks
from ..words.comparison import Tables, needed
from ..words.prose import sentence
from ..words.verdicts import each
from .picture import Picture
from .scalability import as_trained

WAYS: dict[tuple[str, str], tuple[str, LineStyleType]] = {
    ("repeated", "recalibrated"): ("statistics anew", "-"),
    ("truncated", "recalibrated"): ("statistics anew", "-"),
    ("recut", "trained"): ("cut anew", (0, (4.0, 1.2))),
    ("recut", "recalibrated"): ("both", (0, (1.0, 1.2))),
}


def ways(figure: Figure, frame: pd.DataFrame) -> dict[tuple[str, str], Curve]:
    """Draw what other statistics, and other frames, add to the accuracy at each T: curves by (way, method).

    On one split, of networks trained at the T that most were. Raises Unasked where the table has no other way.
    """
    split, trained, rows = gains(frame)
    ax = figure.subplots()
    curves: dict[tuple[str, str], Curve] = {}
    for (frames, statistics), (name, dash) in WAYS.items():
        for method, look in looks(rows["method"]).items():
            part = rows[(rows["frames"] == frames) & (rows["statistics"] == statistics)]
            part = part[part["method"] == method]
            if len(part):
                curves[name, method] = curve(
                    ax, part, "timesteps", "gain", method, dash=dash, name=f"{look.label}, {name}"
                )
    reference(ax, 0.0)
    ax.axvline(trained, color=GREY, linewidth=0.6, zorder=0)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    ax.set(xlabel="timesteps T at inference", ylabel="accuracy, minus as trained (points)")
    legend(figure, handles(curves.values()))
    images = f"{rows['images'].max():.0f} {split} examples"
    caption(
        figure,
        f"On {images}, paired by network. Vertical line: trained at T = {trained}. {remark(curves.values())}",
    )
    return curves


def gains(frame: pd.DataFrame) -> tuple[str, int, pd.DataFrame]:
    """The split, the T trained at, and the rows with their ``gain`` in points over the same network as trained.

    Raises Unasked where the table has no other way.
    """
    split, rows = one_split(frame, "test")
    if not {"frames", "statistics"} <= set(rows) or as_trained(rows).shape == rows.shape:
        raise Unasked("no rows with statistics taken anew (--recalibrate) or streams cut anew (--recut)")
    trained, rows = most_trained(rows)
    keys = ["checkpoint", "timesteps"]
    plain = as_trained(rows).groupby(keys)["accuracy_cumulative"].mean()
    beside = plain.reindex(pd.MultiIndex.from_frame(rows[keys])).to_numpy()
    rows = rows.assign(gain=100 * (rows["accuracy_cumulative"] - beside))
    check_measured(rows, "gain")
    return split, trained, rows


def of_ways(tables: Tables) -> str:
    """What each other way adds to the accuracy of a network, at the first and the last T."""
    split, trained, rows = gains(needed(tables, "timesteps"))
    clauses = []
    for (frames, statistics), (way, _) in WAYS.items():
        part = rows[(rows["frames"] == frames) & (rows["statistics"] == statistics)]
        for at in dict.fromkeys((part["timesteps"].min(), part["timesteps"].max())) if len(part) else ():
            clauses.append(f"with {way} at T = {at:.0f} it is {each(part[part['timesteps'] == at], 'gain', 0.0)}")
    what = f"the change of the {split} accuracy of networks trained at T = {trained}, in points"
    return sentence(f"{what}: {clauses[0]}", *clauses[1:])


PICTURES = (
    Picture(
        "scalability-ways", "timesteps", ways, COLUMN, 3.1, "What statistics or frames taken anew add", of_ways, 100,
        together=True,
    ),
)  # fmt: skip
