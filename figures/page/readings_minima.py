"""Readings of what describes the minimum: surfaces, curvature, rises, the comparison, correlations, paths."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from tables.reading import TableError
from tables.rows import one_split

from ..pictures.paths import one_treatment
from ..pictures.radius import on_ladder
from ..style.look import LOOKS, LOSSES
from .gaps import FEWEST, listed, mean, number, of_row, sentence, tally, told

Tables = Mapping[str, pd.DataFrame]
_FAR = ("training accuracies differ", "training losses differ", "training loss asked for not reached")
_FEWEST = 2 * FEWEST  # checkpoints: of fewer a bootstrap draws the same few orders again and again
_OPERATORS = {"for the formal Hessian": "formal Hessian", "for Gauss–Newton": "Gauss-Newton"}


def comparison(tables: Tables) -> pd.DataFrame:
    """The rows of the comparison, at the T of most of them where it has several: different T are different networks."""
    rows = needed(tables, "compare")
    if "timesteps" in rows and rows["timesteps"].nunique() > 1:
        rows = rows[rows["timesteps"] == rows["timesteps"].mode().iloc[0]]
    return rows


def needed(tables: Tables, name: str) -> pd.DataFrame:
    """The table ``name``, or TableError."""
    if name not in tables:
        raise TableError(f"needs the table {name}, which isn't there")
    return tables[name]


def incomparable(tables: Tables) -> tuple[str, ...]:
    """Doubts about whether the two sides' minima may be compared at all."""
    if "compare" not in tables:
        return ("whether the minima are comparable is unknown without the comparison",)
    return tuple(doubt for doubt in _FAR if comparison(tables)["trust"].str.contains(doubt, regex=False).any())


def _rows(tables: Tables, what: str, measures: Mapping[str, str]) -> str:
    """The comparison's rows of the ``measures``, by what tells them apart, on each loss that they are there for."""
    rows, claims = comparison(tables), {}
    for where, measure in measures.items():
        for _, row in rows[rows["measure"] == measure].iterrows():
            loss = f"under the {LOSSES[row['loss']]}" if row["loss"] in LOSSES else ""
            claims[f"{where} {loss}".strip()] = of_row(row)
    if not claims:
        raise TableError(f"the comparison has no row {' or '.join(measures.values())}")
    return sentence(told(what, claims))


def generalization(tables: Tables) -> str:
    """Accuracy and losses on test images."""
    rows = comparison(tables)
    found = rows[rows["measure"] == "test accuracy"]
    accuracy = {"": of_row(found.iloc[0]).scaled(100)} if len(found) else {}
    losses = rows[(rows["measure"] == "test loss") & rows["loss"].isin(list(LOSSES))]
    loss = {f"by the {LOSSES[row['loss']]}": of_row(row) for _, row in losses.iterrows()}
    if not accuracy and not loss:
        raise TableError("the comparison has no row test accuracy or test loss")
    clauses = [told("test accuracy", accuracy, unit="%")] if accuracy else []
    return sentence(*clauses, *([told("test loss", loss)] if loss else []))


def surfaces(tables: Tables) -> str:
    """The mean rise near the weights, on planes."""
    what = "the mean rise within half a unit of the weights on random planes"
    return _rows(tables, what, {"": "mean rise within 0.5 on random planes"})


def surface_lines(tables: Tables) -> str:
    """The mean rise near the weights, on lines."""
    what = "the mean rise within half a unit of the weights on random lines"
    return _rows(tables, what, {"": "mean rise within 0.5 on random lines"})


def eigenvalues(tables: Tables) -> str:
    """The top eigenvalue of each operator."""
    return _rows(tables, "the top eigenvalue", {words: f"top eigenvalue, {name}" for words, name in _OPERATORS.items()})


def density(tables: Tables) -> str:
    """The trace, which is the density's mean times the number of weights."""
    what = "the trace (the density's mean times the number of weights)"
    return _rows(tables, what, {words: f"trace, {name}" for words, name in _OPERATORS.items()})


def flatness(tables: Tables) -> str:
    """How many rows call which side flatter."""
    rows = comparison(tables)
    return _tally(rows[rows["lower_is_flatter"].eq(True)], "of {} measures of flatness (lower is flatter)")


def sharpness(tables: Tables) -> str:
    """How many of the rises at a radius are higher with which training."""
    rows = comparison(tables)
    return _tally(rows[rows["measure"].str.contains(" at radius ")], "of {} rises at a radius")


def _tally(rows: pd.DataFrame, words: str) -> str:
    if rows.empty:
        raise TableError("the comparison has no such row")
    return sentence(tally(words, [of_row(row) for _, row in rows.iterrows()]))


def radius(tables: Tables) -> str:
    """At how many radii the true second difference along the top eigenvector agrees with the formal curvature."""
    rows = needed(tables, "radius")
    rows = rows[(rows["direction"] == "top") & (rows["loss"] == "sdt")]
    clauses = []
    for training, look in LOOKS.items():
        part = on_ladder(rows[rows["training"] == training])
        found = {
            float(at): mean(part[part["at"] == at], "second_difference", training) for at in sorted(part["at"].unique())
        }
        if not found:
            continue
        if not all(one.known for one in found.values()):
            clauses.append(f"with {look.label} there are too few seeds for an interval")
            continue
        formal = mean(part, "formal", training).mean
        inside = [length for length, one in found.items() if one.low <= formal <= one.high]
        span = f" (relative radius {number(min(inside))} to {number(max(inside))})" if inside else ""
        negative = sum(one.low < 0 for one in found.values())
        clauses.append(
            f"with {look.label} the formal value {number(formal)} lies in the interval of the true second difference at"
            f" {len(inside)} of {len(found)} radii{span}, and that interval reaches below zero at {negative}"
        )
    if not clauses:
        raise TableError("no second differences of the SDT loss along the top eigenvector")
    return sentence("along the top formal eigenvector, SDT loss: " + clauses[0], *clauses[1:])


def _correlation(tables: Tables, what: str) -> str:
    rows = needed(tables, "correlation")
    rows = rows[(rows["gap"] == what) & (rows["loss"] == "sdt") & np.isfinite(rows["tau"])]
    clauses = []
    for among, words in (("all", "among all checkpoints"), ("within", "within one training loss")):
        part = rows[rows["among"] == among]
        if len(part):
            known = part[np.isfinite(part["low"]) & np.isfinite(part["high"]) & (part["n"] >= _FEWEST)]
            positive, negative = (known["low"] > 0).sum(), (known["high"] < 0).sum()
            few = ", too few checkpoints" if part["n"].max() < _FEWEST else ""
            n, left = listed([f"{one:.0f}" for one in sorted(part["n"].unique())]), len(part) - positive - negative
            clauses.append(
                f"{words} (n = {n}{few}), of {len(part)} measures on the SDT loss the rank correlation with the gap in"
                f" {what} is positive for {positive}, negative for {negative} and undecided for {left} (chance alone"
                f" would decide {0.05 * len(part):.1f})"
            )
    if not clauses:
        raise TableError(f"no correlation with the gap in {what}")
    return sentence(*clauses)


def gap_in_loss(tables: Tables) -> str:
    """How many measures go with the gap in loss."""
    return _correlation(tables, "loss")


def gap_in_accuracy(tables: Tables) -> str:
    """How many measures go with the gap in accuracy."""
    return _correlation(tables, "accuracy")


def paths(tables: Tables) -> str:
    """The barrier of the SDT loss on each kind of path, on training images."""
    split, rows = one_split(one_treatment(needed(tables, "barrier")), "train")
    rows = rows[rows["loss"] == "sdt"]
    rows = rows.assign(seed=rows.groupby(["checkpoint", "other"]).ngroup())
    clauses = []
    for (start, end, path), part in rows.groupby(["training", "other_training", "path"]):
        height = mean(part, "barrier", str(start))
        words = height.interval.replace("seed", "pair")
        error = f" ± {number(float(part['stderr'].mean()), 2)} over images" if height.n == 1 else ""
        kind = "the straight line" if path == "line" else f"the curve fitted under the {LOSSES.get(str(path), path)}"
        ends = f"{LOOKS[str(start)].label} to {LOOKS[str(end)].label}"
        clauses.append(f"{number(height.mean)}{error} on {kind} from {ends} ({words})")
    if not clauses:
        raise TableError("no barrier of the SDT loss")
    return sentence(f"the barrier of the SDT loss on {split} images, in nats, is {clauses[0]}", *clauses[1:])
