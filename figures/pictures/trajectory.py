"""The way a training run went, on the plane through its final weights that holds most of it, and what that plane omits.

A column for each method, three beside each other, with its lowest seed: every run has a plane of its own, so there is
nothing to average. Above, the loss on the plane in filled contours on one scale, the snapshots projected on it, first
to last; the axes say what share of the squared distances to the final weights they explain. Below, each snapshot's
distance to the final weights and the part of it that is off the plane, relative to the norm of the weights: where that
is large, the loss at a projection is not the snapshot's.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.contour import QuadContourSet
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from tables.reading import TableError
from tables.rows import one_split

from ..style.contours import contours, ladder
from ..style.look import GREY, PAGE, PAPER, SMALL, caption, legend, wrapped
from ..style.methods import first_loss, look_of, looks, loss_label
from ..views import IMAGES, TRAJECTORY, View, views
from ..words.comparison import Tables, needed
from ..words.gaps import gap
from ..words.prose import listed, sentence
from ..words.units import loss_unit
from ..words.verdicts import told
from .picture import Picture

_BESIDE = 3  # columns


@dataclass(frozen=True)
class Run:
    """One run's plane: the loss on it, the path, and what each axis explains (NaN where no table says)."""

    view: View
    path: pd.DataFrame
    explained: tuple[float, float]


def trajectory(
    figure: Figure, path: pd.DataFrame, surface: pd.DataFrame, axes_table: pd.DataFrame
) -> dict[str, QuadContourSet]:
    """Draw plane and distances of a run for each method into ``figure``: the filled contours by method.

    The loss is the first that the surface has. Raises TableError when no run has both a plane and a path.
    """
    loss = first_loss(surface) if len(surface) else ""
    found = {name: run for name in looks(path["method"]) if (run := _run(name, loss, path, surface, axes_table))}
    if not found:
        raise TableError("no run has both a path and a plane along its trajectory in surface.csv")
    levels = ladder(np.concatenate([run.view.value.ravel() for run in found.values()]))
    planes, distances = _panels(figure, len(found))
    filled = {}
    for above, below, (name, run) in zip(planes, distances, found.items(), strict=True):
        filled[name] = _plane(above, run, levels)
        title = f"trained with {look_of(name).label}, seed {run.view.key['seed']}"
        above.set_title(wrapped(title, PAGE / min(_BESIDE, len(found))))
        _distances(below, run)
    top = max(ax.get_ylim()[1] for ax in distances)
    for ax in distances:
        ax.set_ylim(0, top)
    for ax in distances[::_BESIDE]:
        ax.set_ylabel("distance / ‖w‖")
    first = next(iter(found.values())).view
    shown, split = first.key["loss"], first.key["split"]
    words = f"{loss_label(shown)} on\n{IMAGES.get(split, split)} ({loss_unit([shown])})"
    bar = figure.colorbar(
        next(iter(filled.values())), ax=planes, ticks=levels[:: 1 + len(levels) // 9], label=words,
        aspect=20 * -(-len(planes) // _BESIDE),
    )  # fmt: skip
    bar.outline.set_linewidth(0.4)
    legend(figure, _handles())
    epochs = {f"{run.path['epoch'].min():.0f} to {run.path['epoch'].max():.0f}": None for run in found.values()}
    caption(figure, f"Snapshots of epochs {listed(list(epochs))}, projected on the plane. {_beyond(found)}")
    return filled


def _panels(figure: Figure, runs: int) -> tuple[list[Axes], list[Axes]]:
    """Planes and the distances below them, in blocks of three columns; the figure as high as they need."""
    columns, blocks = min(_BESIDE, runs), -(-runs // _BESIDE)
    figure.set_figheight(5.0 * blocks if runs > 1 else 6.0)
    panels = figure.subplots(2 * blocks, columns, squeeze=False, height_ratios=(2.4, 1) * blocks)
    for ax in (*panels[-2, 1 + (runs - 1) % columns :], *panels[-1, 1 + (runs - 1) % columns :]):
        ax.remove()
    return list(panels[::2].flat)[:runs], list(panels[1::2].flat)[:runs]


def _run(method: str, loss: str, path: pd.DataFrame, surface: pd.DataFrame, axes: pd.DataFrame) -> Run | None:
    """The method's lowest seed that has a plane and a path on it."""
    own = surface[(surface["method"] == method) & (surface["kind"] == "plane")]
    if "directions" not in own:
        return None
    rows = own[own["directions"] == TRAJECTORY]
    walked = path[(path["method"] == method) & (path["kind"] == "plane")]
    seeds = sorted(set(rows["seed"]) & set(walked["seed"]))
    if not seeds:
        return None
    _, rows = one_split(rows[rows["seed"] == seeds[0]], "train")
    (view, *_) = views(rows[rows["loss"] == (loss if (rows["loss"] == loss).any() else first_loss(rows))])
    steps = walked[walked["seed"] == seeds[0]].sort_values("epoch")
    about = axes[(axes["method"] == method) & (axes["seed"] == seeds[0]) & (axes["kind"] == "plane")]
    about = about[about["directions"] == TRAJECTORY].set_index("axis")
    shares = about.get("explained", {})
    return Run(view, steps, (float(shares.get(1, np.nan)), float(shares.get(2, np.nan))))


def _plane(ax: Axes, run: Run, levels: np.ndarray) -> QuadContourSet:
    filled = contours(ax, run.view.alphas, run.view.betas, run.view.value, levels)
    halo = [patheffects.withStroke(linewidth=2.4, foreground=PAPER)]
    ax.plot(run.path["alpha"], run.path["beta"], "-", color="black", linewidth=1.0, path_effects=halo)
    ax.plot(run.path["alpha"], run.path["beta"], ".", color="black", markersize=3.5, path_effects=halo)
    ax.plot([0], [0], "*", color=PAPER, markeredgecolor="black", markeredgewidth=0.6, markersize=9)
    for name, share, axis in zip(("α", "β"), run.explained, (ax.xaxis, ax.yaxis), strict=True):
        text = f"{name} ({100 * share:.3g} % of squared distance)" if np.isfinite(share) else name
        axis.set_label_text(text, fontsize=SMALL)
    ax.locator_params(nbins=5)
    return filled


def _distances(ax: Axes, run: Run) -> None:
    ax.plot(run.path["epoch"], run.path["distance"], "-", color="black", marker=".")
    ax.plot(run.path["epoch"], run.path["off_plane"], "--", color=GREY, marker=".")
    ax.set_xlabel("epoch")


def _handles() -> list[Line2D]:
    return [
        Line2D([], [], color="black", marker=".", label="snapshots; below, their distance"),
        Line2D([], [], color=GREY, linestyle="--", marker=".", label="part off the plane"),
        Line2D(
            [],
            [],
            color=PAPER,
            markeredgecolor="black",
            marker="*",
            linestyle="none",
            label="final weights",
            markersize=8,
        ),
    ]


def _beyond(found: dict[str, Run]) -> str:
    """The farthest that a snapshot lies off its plane."""
    worst = max(float(run.path["off_plane"].max()) for run in found.values())
    return f"Off it by at most {worst:.2g} ‖w‖; a share is of the sum over snapshots."


def reading(tables: Tables) -> str:
    """How far training went from the first snapshot that all runs have, and how much of it the plane's axes explain."""
    path, axes = needed(tables, "surface_path"), needed(tables, "surface_axes")
    path = path[path["kind"] == "plane"]
    common = path.groupby("epoch")["checkpoint"].nunique() == path["checkpoint"].nunique()
    if not common.any():
        raise TableError("no epoch of which all runs have a snapshot on a plane")
    first = common[common].index.min()
    went = {"": gap(path[path["epoch"] == first], "distance")}
    clauses = [told(f"the distance from the weights after epoch {first:.0f} to the final ones, in ‖w‖,", went)]
    axes = axes[(axes["kind"] == "plane") & (axes["directions"] == TRAJECTORY)]
    if "explained" in axes and np.isfinite(axes["explained"]).any():
        keys = ["checkpoint", "method", "seed"]
        both = axes.groupby(keys)["explained"].agg(lambda shares: shares.sum(skipna=False)).reset_index()
        held = {"": gap(both, "explained").scaled(100)}
        clauses.append(
            told("the part of the snapshots' squared distances that the plane's axes explain", held, unit="%")
        )
    return sentence(*clauses)


PICTURES = (
    Picture(
        "trajectory", "surface_path", trajectory, PAGE, 5.0, "The way of training on its own plane", reading, 30,
        ("surface", "surface_axes"), narrowest=PAGE,
    ),
)  # fmt: skip
