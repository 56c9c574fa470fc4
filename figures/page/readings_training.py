"""Readings of the course of training: where it went and ended, what momentum kept, what a switch of the loss does."""

import numpy as np
import pandas as pd

from tables.reading import TableError

from ..pictures.momentum import matching
from ..pictures.stability import MATRICES, limited
from ..style.look import LOSSES
from ..views import TRAJECTORY
from .gaps import Gap, each, gap, number, sentence, told
from .readings_minima import Tables, needed


def trajectory(tables: Tables) -> str:
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
        keys = ["checkpoint", "training", "seed"]
        both = axes.groupby(keys)["explained"].agg(lambda shares: shares.sum(skipna=False)).reset_index()
        held = {"": gap(both, "explained").scaled(100)}
        clauses.append(
            told("the part of the snapshots' squared distances that the plane's axes explain", held, unit="%")
        )
    return sentence(*clauses)


def stability(tables: Tables) -> str:
    """How close the top eigenvalue comes to the optimizer's limit, at the epoch where it comes closest."""
    rows = limited(needed(tables, "stability"))
    rows = rows.assign(part=rows["top_eigenvalue"] / rows["limit"])
    clauses = []
    for name, words in MATRICES.items():
        part = rows[rows["matrix"] == name]
        if len(part):
            most = part.groupby(["checkpoint", "training", "seed"])["part"].max().reset_index()
            what = f"the top eigenvalue of the {words} over the stability limit, in the epoch where that is largest,"
            clauses.append(f"{what} is {each(most, 'part', 1.0)}")
    return sentence(*clauses)


def momentum_steps(tables: Tables) -> str:
    """What momentum keeps in the last of the steps trained on."""
    return _kept(tables, "momentum_steps", "step", "after {} more steps")


def momentum_history(tables: Tables) -> str:
    """What momentum keeps in the last epoch."""
    return _kept(tables, "momentum_history", "epoch", "in epoch {}")


def _kept(tables: Tables, name: str, x: str, words: str) -> str:
    rows = matching(needed(tables, name))
    rows = rows[rows["timestep"] == 0]
    if rows.empty:
        raise TableError("no rows of the whole gradient (timestep 0)")
    rows = rows[rows[x] == rows[x].max()]
    claims = {words.format(f"{rows[x].max():.0f}"): gap(rows, "kept")}
    null = number(float(rows["kept_null"].mean()))
    return sentence(
        told("the part of the gradients' length that momentum keeps", claims), f"independent noise would keep {null}"
    )


def switch(tables: Tables) -> str:
    """Going on with TET against going on with SDT, from the same weights."""
    rows = needed(tables, "switch")
    rows = rows[(rows["training"] == "sdt") & (rows["split"] == "test") & (rows["step"] == rows["step"].max())]
    claims = {
        words: _switched(rows, column).scaled(scale)
        for column, words, scale in (
            ("accuracy", "in accuracy (%)", 100.0),
            ("loss_sdt", "in the SDT loss", 1.0),
            ("loss_tet", "in the TET loss", 1.0),
        )
    }
    step = rows["step"].max()
    return sentence(told(f"the outcome of {step:.0f} more steps from SDT's weights, on test images,", claims))


def _switched(rows: pd.DataFrame, column: str) -> Gap:
    """On with TET minus on with SDT: there the sides are what was trained on with."""
    return gap(rows.assign(training=rows["loss"]), column)


def training(tables: Tables) -> str:
    """Where training ended: loss on training images, accuracy on test images."""
    rows = needed(tables, "history")
    last = rows[rows["epoch"] == rows.groupby("checkpoint")["epoch"].transform("max")]
    loss = {f"by the {name}": gap(last, f"train_loss_{key}") for key, name in LOSSES.items()}
    accuracy = {"at the end": gap(last, "test_accuracy").scaled(100)}
    return sentence(told("the training loss of the last epoch", loss), told("test accuracy", accuracy, unit="%"))
