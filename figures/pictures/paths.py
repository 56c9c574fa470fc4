"""Paths between trained networks, and the barriers on them: is the way from one minimum to the other uphill?

Lines of panels are the methods of start and end, columns the landscape's losses and the accuracy. The straight line is
grey; a curve whose middle was trained to keep a loss low has that loss's colour. Pairs of networks are averaged, and
the band is over them; of a single pair it is two standard errors over images. A barrier is the largest excess over the
chord between the ends' losses: a mere tilt is none.
"""

from collections.abc import Iterable, Iterator

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from tables.interval import FEWEST
from tables.reading import TableError
from tables.rows import any_measured, check_measured, one_split

from ..style.bands import counted, over_seeds
from ..style.look import COLUMN, GREY, PAGE, SMALL, caption, fit_means, legend, narrow, wrapped
from ..style.methods import Look, first_loss, label, look_of, looks, loss_label, losses
from ..views import IMAGES
from ..words.comparison import Tables, needed
from ..words.gaps import mean
from ..words.prose import number, sentence
from ..words.units import loss_unit
from .picture import Picture

_BLACK = "#1c1c1c"
_LINE = "line"
Key = tuple[str, str, str, str]


def paths(figure: Figure, frame: pd.DataFrame) -> dict[Key, Line2D]:
    """Draw losses and accuracy along the paths into ``figure``: lines by (start, end, column, kind of path)."""
    split, rows = one_split(one_treatment(frame), "train")
    check_measured(rows, "value")
    rows = rows.assign(accuracy=100 * rows["accuracy"], accuracy_stderr=100 * rows["accuracy_stderr"])
    ends, shown, right = _ends(rows), losses(rows["loss"]), any_measured(rows, "accuracy")
    fits = looks(kind for kind in rows["path"] if kind != _LINE)
    figure.set_figheight(1.0 + 1.75 * len(ends))
    axes = figure.subplots(len(ends), len(shown) + right, sharex=True, squeeze=False)
    for ax in axes[:, : len(shown)].flat:
        ax.sharey(axes[0, 0])
    for ax in axes[1:, -1]:
        ax.sharey(axes[0, -1])
    lines: dict[Key, Line2D] = {}
    for line, (start, end) in zip(axes, ends, strict=True):
        part = _of(rows, start, end)
        for ax, (name, chosen, column) in zip(line, _columns(part, shown, accuracy=right), strict=True):
            for kind, one in chosen.groupby("path", sort=False):
                lines[start, end, name, str(kind)] = _line(ax, one, column, str(kind), fits.get(str(kind)))
            title = f"{shown.get(name, name)}, {look_of(start).label} to {look_of(end).label}"
            ax.set_title(wrapped(title, PAGE / len(line)))
            ax.set_ylabel("accuracy (%)" if name == "accuracy" else f"loss ({loss_unit(shown)})")
    for ax in axes[-1]:
        ax.set_xlabel("t, along the path")
    legend(figure, _handles(lines))
    _fit(axes[0, 0], lines, shown, np.inf)
    if right:
        _fit(axes[0, -1], lines, ("accuracy",), 100.0)
    caption(figure, f"On {IMAGES.get(split, split)}. Bands may leave the panel. {_remark(rows)}")
    return lines


def _ends(rows: pd.DataFrame) -> list[tuple[str, str]]:
    """Methods of start and end that there are paths between, in the order of methods."""
    order = list(looks([*rows["method"], *rows["other_method"]]))
    found = dict.fromkeys(zip(rows["method"], rows["other_method"], strict=True))
    return sorted(found, key=lambda pair: tuple(map(order.index, pair)))


def _of(rows: pd.DataFrame, start: str, end: str) -> pd.DataFrame:
    return rows[(rows["method"] == start) & (rows["other_method"] == end)]


def _fit(ax: Axes, lines: dict[Key, Line2D], names: Iterable[str], high: float) -> None:
    drawn = [np.asarray(line.get_ydata(), dtype=float) for key, line in lines.items() if key[2] in names]
    fit_means(ax, np.concatenate(drawn), [], low=0, high=high)


def barriers(figure: Figure, frame: pd.DataFrame) -> dict[tuple[str, str], Line2D]:
    """Draw the heights of the barriers into ``figure``, a row for each path and loss: markers by (row, split)."""
    rows = one_treatment(frame)
    check_measured(rows, "barrier")
    rows = rows.assign(row=[_row(*names) for names in rows[["method", "other_method", "loss", "path"]].to_numpy()])
    names = [name for ends in _ends(rows) for name in _of(rows, *ends).sort_values("loss", kind="stable")["row"]]
    names = list(dict.fromkeys(names))
    tight = narrow(figure)
    figure.set_figheight(1.2 + (0.34 if tight else 0.22) * len(names))
    ax = figure.subplots()
    markers: dict[tuple[str, str], Line2D] = {}
    for split, face, side in (("train", _BLACK, -0.14), ("test", "white", 0.14)):
        for height, name in enumerate(names):
            part = rows[(rows["row"] == name) & (rows["split"] == split)]
            if np.isfinite(part["barrier"]).any():
                markers[name, split] = _interval(ax, part, height + side, face)
    said = [name.replace(", ", "\n", 1) if tight else name for name in names]
    ax.set_yticks(range(len(names)), said, fontsize=SMALL)
    ax.set(xlabel=f"barrier ({loss_unit(rows['loss'])})", ylim=(len(names) - 0.4, -0.6))
    ax.axvline(0.0, color=GREY, linewidth=0.6, zorder=0)
    shown = {split: marker for (_, split), marker in markers.items()}
    for split, marker in shown.items():
        marker.set_label(IMAGES.get(split, split))
    legend(figure, shown.values())
    caption(figure, f"Largest excess over the chord between the ends' losses. {_remark(rows)}")
    return markers


def one_treatment(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows of one way with BatchNorm's statistics, recalibrated where there are such; with the path's name.

    Errors over images are kept where every kind of path has a single pair: beside others' bands they would pass for
    bands over pairs.
    """
    kinds = set(frame["statistics"])
    chosen = frame[frame["statistics"] == ("recalibrated" if "recalibrated" in kinds else min(kinds))]
    if _pairs(chosen).max() > 1:
        chosen = chosen.assign(**{str(name): np.nan for name in chosen if str(name).endswith("stderr")})
    return chosen.assign(path=chosen["fitted"].where(chosen["kind"] == "bezier", _LINE))


def _pairs(rows: pd.DataFrame) -> pd.Series:
    """How many pairs of networks there are of each two methods."""
    return rows.drop_duplicates(["checkpoint", "other"]).groupby(["method", "other_method"]).size()


def _columns(part: pd.DataFrame, shown: Iterable[str], *, accuracy: bool) -> Iterator[tuple[str, pd.DataFrame, str]]:
    """The losses, and the accuracy, which is the same in the rows of any."""
    for loss in shown:
        yield loss, part[part["loss"] == loss], "value"
    if accuracy:
        yield "accuracy", part.drop_duplicates(["checkpoint", "other", "path", "t"]), "accuracy"


def _line(ax: Axes, rows: pd.DataFrame, column: str, kind: str, look: Look | None) -> Line2D:
    """Mean over pairs and band, in the look of the path."""
    table = _over_pairs(rows, ["t"], column, "stderr" if column == "value" else f"{column}_stderr").sort_values("t")
    colour = look.colour if look else GREY
    (line,) = ax.plot(table["t"], table["mean"], color=colour, linestyle=look.dash if look else (0, (1, 1)))
    line.set_linewidth(1.2 if look else 1.6)
    ax.fill_between(table["t"], table["low"], table["high"], color=colour, alpha=0.2, linewidth=0, zorder=1)
    line.set_label(_path(kind))
    return line


def _over_pairs(rows: pd.DataFrame, by: list[str], column: str, error: str) -> pd.DataFrame:
    """Mean with its band over pairs; for one pair, two standard errors over images."""
    pairs = rows.assign(seed=rows.groupby(["checkpoint", "other"]).ngroup())
    table = over_seeds(pairs, by, column)
    known = pairs.assign(**{error: pairs[error].where(np.isfinite(pairs[error]))})  # an infinite error is no band
    half = 2 * known.groupby(by)[error].mean().to_numpy()
    one = (table["n"] == 1).to_numpy()
    return table.assign(
        low=np.where(one, table["mean"] - half, table["low"]), high=np.where(one, table["mean"] + half, table["high"])
    )


def _interval(ax: Axes, rows: pd.DataFrame, height: float, face: str) -> Line2D:
    table = _over_pairs(rows, ["split"], "barrier", "stderr").iloc[0]
    if np.isfinite([table["low"], table["high"]]).all():
        ax.plot([table["low"], table["high"]], [height, height], "-", color=_BLACK, linewidth=1.0)
    (marker,) = ax.plot(
        [table["mean"]], [height], "o", color=_BLACK, markerfacecolor=face, markersize=4, linestyle="none"
    )
    return marker


def _row(start: str, end: str, loss: str, path: str) -> str:
    return f"{_between(start, end)}, {loss_label(loss)}, {_path(path)}"


def _between(start: str, end: str) -> str:
    return f"{label(start)} to {label(end)}"


def _path(kind: str) -> str:
    return "straight line" if kind == _LINE else f"curve under {loss_label(kind)}"


def _handles(lines: dict[Key, Line2D]) -> list[Line2D]:
    return list({str(line.get_label()): line for line in lines.values()}.values())


def _remark(rows: pd.DataFrame) -> str:
    pairs = _pairs(rows)
    band = "Mean over pairs of networks" if pairs.max() > 1 else "Band: two standard errors over examples"
    band = "Mean and 95 % t-band over pairs of networks" if pairs.max() >= FEWEST else band
    treated = "taken anew at every point" if (rows["statistics"] == "recalibrated").all() else "interpolated"
    return f"{band}, {counted(pairs)}. BatchNorm's statistics {treated}."


def reading(tables: Tables) -> str:
    """The barrier of one loss on each kind of path, on training images."""
    split, rows = one_split(one_treatment(needed(tables, "barrier")), "train")
    loss = first_loss(rows)
    rows = rows[rows["loss"] == loss]
    rows = rows.assign(seed=rows.groupby(["checkpoint", "other"]).ngroup())
    clauses = []
    for (start, end, path), part in rows.groupby(["method", "other_method", "path"]):
        height = mean(part, "barrier", str(start))
        words = height.interval.replace("seed", "pair")
        error = f" ± {number(float(part['stderr'].mean()), 2)} over examples" if height.n == 1 else ""
        kind = "the straight line" if path == _LINE else f"the curve fitted under the {loss_label(str(path))}"
        clauses.append(f"{number(height.mean)}{error} on {kind} from {_between(str(start), str(end))} ({words})")
    if not clauses:
        raise TableError(f"no barrier of the {loss_label(loss)}")
    what = f"the barrier of the {loss_label(loss)} on {split} examples, in {loss_unit([loss])},"
    return sentence(f"{what} is {clauses[0]}", *clauses[1:])


PICTURES = (
    Picture("paths", "path", paths, PAGE, 2.8, "Paths between minima", reading, 260, together=True),
    Picture("barriers", "barrier", barriers, COLUMN, 2.6, "Barriers between minima", reading, 270, together=True),
)
