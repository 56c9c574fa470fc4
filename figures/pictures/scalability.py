"""Accuracy against the number of timesteps: of the mean output up to T (the form of Figure 4A), and of each step alone.

A network trained at T is tested at every other T without retraining. Of networks trained at one T training and test
images are shown, and the thin vertical line is that T. Networks trained at several T get a panel for each method, and
there a curve for each T₀ they were trained at, with a ring at T = T₀; the grey dotted line joins the rings: networks
tested at the T they were trained at, as Figure 4A's "from scratch". That figure of Deng et al. 2022 has one method
alone.
"""

from collections.abc import Callable
from itertools import product

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from tables.rows import check_columns, check_measured, check_timed, most_trained, one_split

from ..style.bands import FAINT, Curve, counted, curve, faint, handles, over_seeds, remark
from ..style.look import COLUMN, GREY, PAGE, caption, fit_means, fit_percent, legend, wrapped
from ..style.methods import look_of, looks
from ..words.comparison import Tables, needed
from ..words.gaps import compared_row, gap
from ..words.prose import sentence
from ..words.verdicts import told
from .picture import Picture

Curves = dict[tuple[str, str, int], Curve]
_MARKERS = {"train": "", "test": None}
_MEAN = "Class of the mean output. Differences paired by seed, at T = 1 and the trained T: compare.csv."
_ALPHAS = {"train": FAINT, "test": 1.0}
_SEVERAL = "o^Dv*"


def as_trained(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows of networks with the statistics, and on the frames, that they were trained with."""
    for column, other in (("statistics", "recalibrated"), ("frames", "recut")):
        if column in frame:
            frame = frame[frame[column] != other]
    return frame


def cumulative(figure: Figure, frame: pd.DataFrame) -> Curves:
    """Draw the accuracy of the mean output over steps 1..T: curves by (method, split, trained T)."""
    return _accuracy(figure, frame, "accuracy_cumulative", "timesteps T at inference", _MEAN)


def at_step(figure: Figure, frame: pd.DataFrame) -> Curves:
    """Draw the accuracy of each step's output alone: curves by (method, split, trained T)."""
    return _accuracy(figure, frame, "accuracy_at_step", "timestep t", "Class of the output at step t alone.")


def _accuracy(figure: Figure, frame: pd.DataFrame, column: str, xlabel: str, what: str) -> Curves:
    frame = as_trained(frame)
    check_timed(frame)
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
    caption(figure, f"{what} {said} trained at T = {trained}. Examples: {images}. {remark(curves.values())}")
    return curves


def _one(figure: Figure, rows: pd.DataFrame) -> tuple[Curves, str]:
    """Both splits in one panel."""
    ax = figure.subplots()
    trained = int(rows["trained_timesteps"].iloc[0])
    curves: Curves = {}
    methods, splits = list(looks(rows["method"])), sorted(rows["split"].unique())
    for split, method in product(splits, methods):
        part = rows[(rows["method"] == method) & (rows["split"] == split)]
        if part.empty:
            continue
        curves[method, split, trained] = curve(
            ax, part, "timesteps", "percent", method, beside=rows[rows["split"] == split],
            marker=_MARKERS.get(split), alpha=_ALPHAS.get(split, 1.0), name=look_of(method).label,
        )  # fmt: skip
    fit_percent(ax)
    ax.axvline(trained, color=GREY, linewidth=0.6, zorder=0)
    shown = "test" if "test" in splits else splits[0]
    others = [faint(f"faint: {split}") for split in splits if _ALPHAS.get(split, 1.0) < 1 and split != shown]
    legend(figure, [*handles(one for (_, split, _), one in curves.items() if split == shown), *others])
    return curves, "Vertical line:"


def _several(figure: Figure, rows: pd.DataFrame) -> tuple[Curves, str]:
    """A panel for each method, of one split; ``figure`` is set to a page's width."""
    figure.set_figwidth(PAGE)
    split, rows = one_split(rows, "test")
    methods = list(looks(rows["method"]))
    axes = figure.subplots(1, len(methods), sharex=True, sharey=True, squeeze=False)[0]
    curves: Curves = {}
    for ax, method in zip(axes, methods, strict=True):
        part = rows[rows["method"] == method]
        for trained, look in _looks(rows).items():
            own = part[part["trained_timesteps"] == trained]
            if len(own):
                alpha, marker = look
                curves[method, split, trained] = curve(
                    ax, own, "timesteps", "percent", method, dash="-", marker=marker, alpha=alpha
                )
        ax.set_title(wrapped(f"{look_of(method).label}, {counted(_rings(ax, part)['n'])}", PAGE / len(methods)))
    tables = pd.concat([one.table for one in curves.values()])
    fit_means(axes[0], tables["mean"], tables[["low", "high"]].to_numpy().ravel(), low=0, high=100)
    named = [Line2D([], [], color=GREY, marker=one, alpha=alpha, label=f"trained at T = {trained}")
             for trained, (alpha, one) in _looks(rows).items()]  # fmt: skip
    legend(figure, [*named, Line2D([], [], color=GREY, linestyle=":", label="tested as trained")])
    return curves, f"Bands may leave the panel. {split.capitalize()} examples; networks"


def _looks(rows: pd.DataFrame) -> dict[int, tuple[float, str]]:
    """Opacity and marker of each T trained at, the largest T in full colour."""
    every = sorted(int(one) for one in rows["trained_timesteps"].unique())
    return {
        one: (0.4 + 0.6 * place / (len(every) - 1), _SEVERAL[place % len(_SEVERAL)]) for place, one in enumerate(every)
    }


def _rings(ax: Axes, rows: pd.DataFrame) -> pd.DataFrame:
    """The networks of one method, each at the T it was trained at."""
    own = rows[rows["timesteps"] == rows["trained_timesteps"]]
    table = over_seeds(own, ["timesteps"], "percent").sort_values("timesteps")
    ax.plot(
        table["timesteps"], table["mean"], ":", color=GREY, linewidth=0.9, marker="o", markersize=7,
        markerfacecolor="none", markeredgecolor=GREY, zorder=3,
    )  # fmt: skip
    return table


def tested(tables: Tables, *columns: str) -> tuple[str, int, pd.DataFrame]:
    """The split, the T trained at, and the rows of the table timesteps for networks as they were trained."""
    split, rows = one_split(as_trained(needed(tables, "timesteps")), "test")
    check_columns(rows, *columns)
    return split, *most_trained(rows)


def _by_steps(tables: Tables, column: str, what: str, *, at: str = "T") -> str:
    """A percentage at the first T, the one trained at, and the last; at that one as the comparison has it."""
    split, trained, rows = tested(tables, column)
    known = column == "accuracy_cumulative" or trained == 1
    compared = compared_row(tables, f"{split}_accuracy") if known else None
    claims = {}
    for steps in (rows["timesteps"].min(), trained, rows["timesteps"].max()):
        sure = compared if steps == trained else None
        alike = "" if compared is None or sure else ", over seeds alone"
        found = sure or gap(rows[rows["timesteps"] == steps], column)
        claims[f"at {at} = {steps:.0f}{alike}"] = found.scaled(100)
    return sentence(told(what.format(split=split, trained=trained), claims, unit="%"))


def of_mean_output(tables: Tables) -> str:
    """The accuracy at the first, the trained and the last T."""
    return _by_steps(tables, "accuracy_cumulative", "the {split} accuracy of networks trained at T = {trained}")


def of_each_step(tables: Tables) -> str:
    """The accuracy of the first step alone, of the last that was trained, and of the last."""
    what = "the {split} accuracy of one step alone (trained at T = {trained})"
    return _by_steps(tables, "accuracy_at_step", what, at="step t")


PICTURES = (
    Picture(
        "scalability", "timesteps", cumulative, COLUMN, 2.9, "Accuracy against the number of timesteps",
        of_mean_output, 80,
    ),
    Picture("per-timestep", "timesteps", at_step, COLUMN, 2.9, "Accuracy of each timestep alone", of_each_step, 90),
)  # fmt: skip
