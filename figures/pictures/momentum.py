"""Step gradients by timestep, and how well the gradient predicts the loss.

Both pictures show matching losses: the gradient of the cross-entropy part of the loss that the network was trained
with. A regulariser that it was trained with besides is not in it.

:func:`statistics`: the first factor of equations 8 and 10 (``error_norm``), the norm of the step's term, their quotient
(``gain``, the second factor), the cosine with the whole gradient, the share of its squared length (shares sum to 1, so
an even one is 1/T), and the coherence of an exponential average over batches drawn independently of each other, 1 when
they agree, dotted what they would have if the gradient of the images that they are drawn from were zero.

:func:`descent`: (L(W) − L(W − ηu)) / (η⟨ḡ, u⟩), 1 for η → 0 where a gradient is a gradient.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from tables.reading import TableError
from tables.rows import check_measured, check_timed

from ..style.bands import Curve, bars, compared_means, curve, handles, offsets, over_seeds, remark
from ..style.decided import decided, shade
from ..style.look import GREY, PAGE, across, caption, fit_scale, legend, reference
from ..style.methods import alone, first_loss, looks, loss_label
from ..words.comparison import RESCALED, Tables, incomparable, needed
from ..words.gaps import Gap, gap
from ..words.own_loss import matching, trained, under_one_loss
from ..words.prose import listed, number, sentence
from ..words.verdicts import each, told
from .picture import Picture

COLUMNS = {
    "error_norm": "error norm",
    "gradient_norm": "gradient norm",
    "gain": "gain (gradient / error norm)",
    "cosine_to_total": "cosine to whole gradient",
    "share": "share of whole gradient",
    "coherence": "coherence over batches",
}
_WITH_WHOLE = ("gradient_norm", "coherence")
_LINEAR = 3.0  # ratios beyond go on a logarithmic scale
_MOST = 6  # panels of the descent picture
_STEP = 0.01  # that the reading is about


def statistics(figure: Figure, frame: pd.DataFrame) -> dict[tuple[str, str], Curve]:
    """Draw the main columns of the momentum table by timestep into ``figure``: curves by (column, method)."""
    rows = matching(frame)
    steps = rows[rows["timestep"] > 0]
    check_measured(steps, *COLUMNS)
    check_timed(steps, "timestep")
    columns = across(figure, len(COLUMNS), 3)
    figure.set_figheight(0.4 + 1.65 * len(COLUMNS) / columns)
    axes = figure.subplots(len(COLUMNS) // columns, columns, sharex=True)
    curves: dict[tuple[str, str], Curve] = {}
    for ax, column in zip(axes.flat, COLUMNS, strict=True):
        for method in looks(steps["method"]):
            part = steps[steps["method"] == method]
            if len(part):
                curves[column, method] = curve(ax, part, "timestep", column, method, beside=steps)
        if column in _WITH_WHOLE:
            _whole(ax, rows, column)
        _finish(ax, column, rows)
    for ax in axes[-1]:
        ax.set_xlabel("timestep t")
    legend(
        figure,
        [*handles(curves.values()), reference_handle("even share 1/T; coherence if these examples had no gradient")],
    )
    batches = sorted({int(one) for one in rows["batches"].dropna()})
    caption(
        figure,
        f"Gradient of {trained(frame)}, per timestep, 1/T included; {' or '.join(map(str, batches))} batches; "
        f"“all”: the sum over timesteps. {remark(curves.values())}",
    )
    return curves


def _whole(ax: Axes, rows: pd.DataFrame, column: str) -> None:
    """The whole gradient's value (timestep 0), one place right of the last step."""
    last = rows["timestep"].max()
    whole = rows[(rows["timestep"] == 0) & np.isfinite(rows[column])]
    for method, side in offsets(looks(rows["method"]), 0.2).items():
        part = whole[whole["method"] == method]
        if len(part):
            bars(ax, last + 1 + side, compared_means(part, "timestep", column, whole)[0], method)


def _finish(ax: Axes, column: str, rows: pd.DataFrame) -> None:
    """Title, scale, reference line, and a tick per step."""
    last = int(rows["timestep"].max())
    step = max(1, round(last / 5))
    ticks = [*range(1, last + 1, step), last + 1]
    names = [*(str(t) for t in ticks[:-1]), "all"]
    ax.set_xticks(ticks, names)
    ax.set_title(COLUMNS[column])
    if column in ("error_norm", "gradient_norm", "gain"):
        fit_scale(ax, rows[column])
    if column == "share":
        for total in sorted(rows.groupby("checkpoint")["timestep"].max().unique()):
            reference(ax, 1 / total)
    if column == "coherence":
        for null in nulls(rows):
            reference(ax, null)


def nulls(rows: pd.DataFrame, column: str = "coherence_null") -> list[float]:
    """The coherences of noise that ``column`` says; none for tables from before batches were drawn independently."""
    return sorted(set(rows[column].dropna().round(6))) if "coherence_null_sampled" in rows else []


def reference_handle(label: str) -> Line2D:
    """A legend entry that looks like :func:`~figures.style.look.reference`."""
    return Line2D([], [], color=GREY, linewidth=0.7, linestyle=(0, (1, 1.5)), label=label)


def descent(figure: Figure, frame: pd.DataFrame) -> dict[tuple[str, str], Curve]:
    """Draw realised over predicted decrease against relative step into ``figure``: curves by (direction, method).

    One panel per direction: gradient, momentum, and steps from the first to the last, evenly thinned to fit.
    """
    rows = matching(frame)
    check_measured(rows, "ratio")
    names = directions(sorted(rows["direction"].unique()))
    columns = across(figure, len(names), 3)
    lines = -(-len(names) // columns)
    figure.set_figheight(0.85 + 1.6 * lines)
    axes = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False)
    axes[0, 0].set_xscale("log")  # before anything is drawn, which may be at a single step
    if rows["relative_step"].nunique() == 1:  # as small as it may be: left alone, matplotlib finds no room around it
        axes[0, 0].set_xlim(rows["relative_step"].iloc[0] / 10, rows["relative_step"].iloc[0] * 10)
    curves: dict[tuple[str, str], Curve] = {}
    for ax, name in zip(axes.flat, names, strict=False):
        for method in looks(rows["method"]):
            part = rows[(rows["direction"] == name) & (rows["method"] == method)]
            if len(part):
                curves[name, method] = _followed_by(ax, part, method)
        shade(ax, [_undecided(one.table) for (which, _), one in curves.items() if which == name])
        reference(ax, 1.0)
        ax.set_title(name.replace("step-", "gradient of step "))
    _trim(axes, len(names), list(curves.values()))
    legend(figure, [*handles(curves.values()), reference_handle("smooth loss, η → 0")])
    caption(
        figure,
        f"Realised over predicted decrease of {trained(frame)}, (L(W) − L(W − ηu)) / (η⟨ḡ, u⟩). Faint, without a band: "
        "the 95 % interval holds both 0 and 1, so that it can't be said whether the loss follows; shaded where that is "
        f"so of every method. Bands may leave the panel. {remark(curves.values())}",
    )
    return curves


def _followed_by(ax: Axes, part: pd.DataFrame, method: str) -> Curve:
    """One method's ratios, with its band where it says something, faint where it doesn't."""
    table = over_seeds(part, ["relative_step"], "ratio").sort_values("relative_step")
    return decided(ax, table, "relative_step", method, _undecided(table).set_axis(table.index))


def _undecided(table: pd.DataFrame) -> pd.Series:
    """Where the interval holds both 0, nothing gained, and 1, all that was predicted; by place."""
    known = (table["low"] <= 0) & (table["high"] >= 1)
    return known.set_axis(pd.Index(table["relative_step"]))


def directions(found: Sequence[str]) -> list[str]:
    """The order of panels, at most six: gradient, momentum, others, then steps from first to last, evenly thinned."""
    steps = sorted((name for name in found if name.startswith("step-")), key=lambda name: int(name.split("-")[1]))
    first = [name for name in ("gradient", "momentum") if name in found]
    first += sorted(set(found) - set(first) - set(steps))
    steps = [] if steps == ["step-1"] else steps  # the only step's gradient is the whole one
    room = max(_MOST - len(first), 1)
    kept = sorted({round(i) for i in np.linspace(0, len(steps) - 1, min(room, len(steps)))}) if steps else []
    return [*first, *(steps[i] for i in kept)]


def _trim(axes: np.ndarray, used: int, curves: Sequence[Curve]) -> None:
    """Take away unused panels, name the outer axes, and fit the range to the means."""
    for ax in axes.flat[used:]:
        ax.remove()
    for ax in axes[:, 0]:
        ax.set_ylabel("realised / predicted")
    for ax in axes.flat[max(0, used - axes.shape[1]) : used]:
        ax.set_xlabel("relative step η‖u‖/‖W‖")
        ax.tick_params(labelbottom=True)
    means = np.concatenate([one.table["mean"].to_numpy() for one in curves])
    means = np.append(means[np.isfinite(means)], [0.0, 1.0])
    low, high = means.min(), means.max()
    if low < -_LINEAR or high > _LINEAR:
        axes.flat[0].set_yscale("symlog", linthresh=_LINEAR)
        axes.flat[0].yaxis.set_major_formatter("{x:g}")
        axes.flat[0].set_ylim(1.6 * min(low, -1.0), 1.6 * high)
    else:
        axes.flat[0].set_ylim(low - 0.15 * (high - low), high + 0.15 * (high - low))


def gradient(tables: Tables) -> str:
    """Norm and coherence of the whole gradient."""
    frame = needed(tables, "momentum")
    rows, doubts = matching(frame), (*incomparable(tables), RESCALED)
    whole = rows[rows["timestep"] == 0]

    def claims(some: pd.DataFrame) -> dict[str, Gap]:
        at_once = some[some["timestep"] == 0]
        named = {"gradient_norm": "norm", "coherence": "coherence over batches"}
        return {f"in {words}": gap(at_once, column, doubts=doubts) for column, words in named.items()}

    names = ("coherence_null", "coherence_null_sampled")
    none, chance = (listed(list(map(number, nulls(whole, column)))) for column in names)
    known = (rows["loss"] == rows["training"]).any()
    of = "loss trained with" if known else loss_label(first_loss(rows))
    text = told(f"the gradient of the {of}", claims(rows))
    alike = under_one_loss(frame, "it", claims)
    noise = f"if the gradient of these examples were zero, the coherence would be {none}"
    sample = f"if they were a sample of examples whose mean gradient is zero, {chance}"
    return sentence(text, *alike, *((noise, sample) if none and chance else ()))


def followed(tables: Tables) -> str:
    """What a step of 1 % along the gradient gains, of what the gradient predicts."""
    rows = matching(needed(tables, "descent"))
    rows = rows[rows["direction"] == "gradient"]
    if rows.empty:
        raise TableError("no rows along the gradient")
    distance = np.log10(rows["relative_step"] / _STEP).abs()
    near = rows[distance == distance.min()]
    step = number(float(near["relative_step"].iloc[0]))
    apart = "" if alone() else told("the quotient", {"": gap(near, "ratio", doubts=incomparable(tables))})
    what = f"realised over predicted decrease for a relative step of {step} along the gradient is"
    return sentence(f"{what} {each(near, 'ratio', 1.0)}", apart)


PICTURES = (
    Picture("momentum", "momentum", statistics, PAGE, 4.0, "Gradients by timestep", gradient, 140),
    Picture("descent", "descent", descent, PAGE, 4.0, "Does the loss follow the gradient?", followed, 160),
)
