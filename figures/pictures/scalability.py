"""Accuracy against the number of timesteps: of the mean output up to T (the form of Figure 4A), and of each step alone.

A network trained at T is tested at every other T without retraining. Of networks trained at one T training and test
images are shown, and the thin vertical line is that T. Networks trained at several T get a panel for each training, and
there a curve for each T₀ they were trained at, with a ring at T = T₀; the grey dotted line joins the rings: networks
tested at the T they were trained at, as Figure 4A's "from scratch". That figure of Deng et al. 2022 has TET alone.

:func:`ways` shows what else could be done with T steps: the accuracy with BatchNorm's statistics taken anew, or with
streams cut into T frames, minus that of the network as trained, at the same T and seed.
"""

from collections.abc import Callable

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from matplotlib.typing import LineStyleType

from tables.reading import TableError
from tables.rows import check_measured, most_trained, one_split

from ..style.bands import Curve, counted, curve, handles, over_seeds, remark
from ..style.look import GREY, LOOKS, PAGE, caption, fit_means, legend, reference

Curves = dict[tuple[str, str, int], Curve]
_MARKERS = {"train": "", "test": None}
_MEAN = "Class of the mean output. Differences paired by seed, at T = 1 and the trained T: compare.csv."
_ALPHAS = {"train": 0.45, "test": 1.0}
_SEVERAL = "o^Dv*"
WAYS: dict[tuple[str, str], tuple[str, LineStyleType]] = {
    ("repeated", "recalibrated"): ("statistics anew", "-"),
    ("truncated", "recalibrated"): ("statistics anew", "-"),
    ("recut", "trained"): ("cut anew", (0, (4.0, 1.2))),
    ("recut", "recalibrated"): ("both", (0, (1.0, 1.2))),
}


def as_trained(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows of networks with the statistics, and on the frames, that they were trained with."""
    for column, other in (("statistics", "recalibrated"), ("frames", "recut")):
        if column in frame:
            frame = frame[frame[column] != other]
    return frame


def cumulative(figure: Figure, frame: pd.DataFrame) -> Curves:
    """Draw the accuracy of the mean output over steps 1..T: curves by (training, split, trained T)."""
    return _accuracy(figure, frame, "accuracy_cumulative", "timesteps T at inference", _MEAN)


def at_step(figure: Figure, frame: pd.DataFrame) -> Curves:
    """Draw the accuracy of each step's output alone: curves by (training, split, trained T)."""
    return _accuracy(figure, frame, "accuracy_at_step", "timestep t", "Class of the output at step t alone.")


def _accuracy(figure: Figure, frame: pd.DataFrame, column: str, xlabel: str, what: str) -> Curves:
    frame = as_trained(frame)
    check_measured(frame, column)
    rows = frame.assign(percent=100 * frame[column])
    draw: Callable[[Figure, pd.DataFrame], tuple[Curves, str]]
    draw = _several if rows["trained_timesteps"].nunique() > 1 else _one
    curves, said = draw(figure, rows)
    for ax in figure.axes:
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        ax.set_xlabel(xlabel)
    figure.axes[0].set_ylabel("accuracy (%)")
    trained = ", ".join(f"{one:.0f}" for one in sorted(rows["trained_timesteps"].unique()))
    shown = rows[rows["split"].isin({split for _, split, _ in curves})]
    images = ", ".join(f"{split} {part['images'].max():.0f}" for split, part in shown.groupby("split"))
    caption(figure, f"{what} {said} trained at T = {trained}. Images: {images}. {remark(curves.values())}")
    return curves


def _one(figure: Figure, rows: pd.DataFrame) -> tuple[Curves, str]:
    """Both splits in one panel."""
    ax = figure.subplots()
    trained = int(rows["trained_timesteps"].iloc[0])
    curves: Curves = {}
    for key, part in rows.groupby(["split", "training"]):
        split, training = map(str, key)
        curves[training, split, trained] = curve(
            ax, part, "timesteps", "percent", training,
            marker=_MARKERS.get(split), alpha=_ALPHAS.get(split, 1.0), name=f"{LOOKS[training].label} {split}",
        )  # fmt: skip
    ax.axvline(trained, color=GREY, linewidth=0.6, zorder=0)
    legend(figure, handles(one for _, one in sorted(curves.items())))
    return curves, "Vertical line:"


def _several(figure: Figure, rows: pd.DataFrame) -> tuple[Curves, str]:
    """A panel for each training, of one split; ``figure`` is set to a page's width."""
    figure.set_figwidth(PAGE)
    split, rows = one_split(rows, "test")
    trainings = [training for training in LOOKS if (rows["training"] == training).any()]
    axes = figure.subplots(1, len(trainings), sharex=True, sharey=True, squeeze=False)[0]
    curves: Curves = {}
    for ax, training in zip(axes, trainings, strict=True):
        part = rows[rows["training"] == training]
        for trained, look in _looks(rows).items():
            own = part[part["trained_timesteps"] == trained]
            if len(own):
                alpha, marker = look
                curves[training, split, trained] = curve(
                    ax, own, "timesteps", "percent", training, dash="-", marker=marker, alpha=alpha
                )
        _rings(ax, part, training)
    tables = pd.concat([one.table for one in curves.values()])
    fit_means(axes[0], tables["mean"], tables[["low", "high"]].to_numpy().ravel(), low=0, high=100)
    named = [Line2D([], [], color=GREY, marker=one, alpha=alpha, label=f"trained at T = {trained}")
             for trained, (alpha, one) in _looks(rows).items()]  # fmt: skip
    legend(figure, [*named, Line2D([], [], color=GREY, linestyle=":", label="tested as trained")])
    return curves, f"Bands may leave the panel. {split.capitalize()} images; networks"


def _looks(rows: pd.DataFrame) -> dict[int, tuple[float, str]]:
    """Opacity and marker of each T trained at, the largest T in full colour."""
    every = sorted(int(one) for one in rows["trained_timesteps"].unique())
    return {
        one: (0.4 + 0.6 * place / (len(every) - 1), _SEVERAL[place % len(_SEVERAL)]) for place, one in enumerate(every)
    }


def _rings(ax: Axes, rows: pd.DataFrame, training: str) -> None:
    """The networks of one training, each at the T it was trained at."""
    own = rows[rows["timesteps"] == rows["trained_timesteps"]]
    table = over_seeds(own, ["timesteps"], "percent").sort_values("timesteps")
    ax.plot(
        table["timesteps"], table["mean"], ":", color=GREY, linewidth=0.9, marker="o", markersize=7,
        markerfacecolor="none", markeredgecolor=GREY, zorder=3,
    )  # fmt: skip
    ax.set_title(f"{LOOKS[training].label}, {counted(table['n'])}")


def ways(figure: Figure, frame: pd.DataFrame) -> dict[tuple[str, str], Curve]:
    """Draw what other statistics, and other frames, add to the accuracy at each T: curves by (way, training).

    On one split, of networks trained at the T that most were. Raises TableError where the table has no other way.
    """
    split, trained, rows = gains(frame)
    ax = figure.subplots()
    curves: dict[tuple[str, str], Curve] = {}
    for (frames, statistics), (name, dash) in WAYS.items():
        for training, look in LOOKS.items():
            part = rows[(rows["frames"] == frames) & (rows["statistics"] == statistics)]
            part = part[part["training"] == training]
            if len(part):
                curves[name, training] = curve(
                    ax, part, "timesteps", "gain", training, dash=dash, name=f"{look.label}, {name}"
                )
    reference(ax, 0.0)
    ax.axvline(trained, color=GREY, linewidth=0.6, zorder=0)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    ax.set(xlabel="timesteps T at inference", ylabel="accuracy, minus as trained (points)")
    legend(figure, handles(curves.values()))
    images = f"{rows['images'].max():.0f} {split} images"
    caption(
        figure,
        f"On {images}, paired by network. Vertical line: trained at T = {trained}. {remark(curves.values())}",
    )
    return curves


def gains(frame: pd.DataFrame) -> tuple[str, int, pd.DataFrame]:
    """The split, the T trained at, and the rows with their ``gain`` in points over the same network as trained.

    Raises TableError where the table has no other way.
    """
    split, rows = one_split(frame, "test")
    if not {"frames", "statistics"} <= set(rows) or as_trained(rows).shape == rows.shape:
        raise TableError("no rows with statistics taken anew (--recalibrate) or streams cut anew (--recut)")
    trained, rows = most_trained(rows)
    keys = ["checkpoint", "timesteps"]
    plain = as_trained(rows).groupby(keys)["accuracy_cumulative"].mean()
    beside = plain.reindex(pd.MultiIndex.from_frame(rows[keys])).to_numpy()
    rows = rows.assign(gain=100 * (rows["accuracy_cumulative"] - beside))
    check_measured(rows, "gain")
    return split, trained, rows
