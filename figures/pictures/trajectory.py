"""The way a training run went, on the plane through its final weights that holds most of it, and what that plane omits.

A column for each training, with its lowest seed: every run has a plane of its own, so there is nothing to average.
Above, the loss on the plane in filled contours on one scale, the snapshots projected on it, first to last; the axes say
what share of the squared distances to the final weights they explain. Below, each snapshot's distance to the final
weights and the part of it that is off the plane, relative to the norm of the weights: where that is large, the loss at
a projection is not the snapshot's.
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
from ..style.look import GREY, LOOKS, LOSSES, PAPER, SMALL, caption, legend
from ..views import IMAGES, TRAJECTORY, View, views


@dataclass(frozen=True)
class Run:
    """One run's plane: the loss on it, the path, and what each axis explains (NaN where no table says)."""

    view: View
    path: pd.DataFrame
    explained: tuple[float, float]


def trajectory(
    figure: Figure, path: pd.DataFrame, surface: pd.DataFrame, axes_table: pd.DataFrame
) -> dict[str, QuadContourSet]:
    """Draw plane and distances of a run for each training into ``figure``: the filled contours by training.

    The loss is the SDT loss where the surface has it. Raises TableError when no run has both a plane and a path.
    """
    found = {name: run for name in LOOKS if (run := _run(name, path, surface, axes_table))}
    if not found:
        raise TableError("no run has both a path and a plane along its trajectory in surface.csv")
    levels = ladder(np.concatenate([run.view.value.ravel() for run in found.values()]))
    figure.set_figheight(5.0 if len(found) > 1 else 6.0)
    panels = figure.subplots(2, len(found), squeeze=False, height_ratios=(2.4, 1))
    filled = {}
    for (above, below), (name, run) in zip(panels.T, found.items(), strict=True):
        filled[name] = _plane(above, run, levels)
        above.set_title(f"trained with {LOOKS[name].label}, seed {run.view.key['seed']}")
        _distances(below, run)
    top = max(ax.get_ylim()[1] for ax in panels[1])
    for ax in panels[1]:
        ax.set_ylim(0, top)
    panels[1, 0].set_ylabel("distance / ‖w‖")
    first = next(iter(found.values())).view
    label = f"{LOSSES.get(first.key['loss'], '')} on\n{IMAGES.get(first.key['split'], first.key['split'])} (nats)"
    bar = figure.colorbar(next(iter(filled.values())), ax=panels[0], ticks=levels[:: 1 + len(levels) // 9], label=label)
    bar.outline.set_linewidth(0.4)
    legend(figure, _handles())
    epochs = " and ".join(f"{run.path['epoch'].min():.0f} to {run.path['epoch'].max():.0f}" for run in found.values())
    caption(figure, f"Snapshots of epochs {epochs}, projected on the plane. {_beyond(found)}")
    return filled


def _run(training: str, path: pd.DataFrame, surface: pd.DataFrame, axes: pd.DataFrame) -> Run | None:
    """The training's lowest seed that has a plane and a path on it."""
    of_training = surface[(surface["training"] == training) & (surface["kind"] == "plane")]
    if "directions" not in of_training:
        return None
    rows = of_training[of_training["directions"] == TRAJECTORY]
    walked = path[(path["training"] == training) & (path["kind"] == "plane")]
    seeds = sorted(set(rows["seed"]) & set(walked["seed"]))
    if not seeds:
        return None
    _, rows = one_split(rows[rows["seed"] == seeds[0]], "train")
    losses = list(dict.fromkeys(rows["loss"]))
    (view, *_) = views(rows[rows["loss"] == ("sdt" if "sdt" in losses else losses[0])])
    steps = walked[walked["seed"] == seeds[0]].sort_values("epoch")
    about = axes[(axes["training"] == training) & (axes["seed"] == seeds[0]) & (axes["kind"] == "plane")]
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
