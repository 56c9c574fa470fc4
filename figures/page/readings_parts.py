"""Readings of parts: the curvature and the gradient layer by layer, and timestep by timestep.

Everything here is taken in raw coordinates, in which a layer changes both with its scale.
"""

import pandas as pd

from tables.reading import TableError

from ..pictures import momentum_layers as of_layers
from ..pictures.momentum import matching
from ..pictures.parts import of_quantity, operator
from ..pictures.spectra import OPERATORS, raw
from ..style.look import LOOKS, LOSSES
from .gaps import Gap, each, gap, listed, mean, sentence, tally, told
from .readings_minima import Tables, incomparable, needed

_RESCALED = "changes when weights are rescaled"


def layers(tables: Tables) -> str:
    """Of how many layers the top eigenvalue, and the share of the trace, is lower with which training; one loss."""
    rows = raw(needed(tables, "layers"))
    losses = [name for name in LOSSES if (rows["loss"] == name).any()]
    if not losses:
        raise TableError("no rows of the SDT or the TET loss")
    rows, doubts = rows[rows["loss"] == losses[0]], (*incomparable(tables), _RESCALED)
    clauses = [
        tally(f"of {{}} layers' {words} ({_matrix(rows, name)}, {LOSSES[losses[0]]})", _gaps(rows, name, doubts))
        for name, words in {"top_eigenvalue": "top eigenvalues", "share": "shares of the trace"}.items()
    ]
    return sentence(*clauses)


def steps(tables: Tables) -> str:
    """Top eigenvalue and share of the trace of the first and the last timestep's part of the TET loss."""
    rows, doubts = raw(needed(tables, "steps")), (*incomparable(tables), _RESCALED)
    clauses = []
    for name, words, scale, unit in (
        ("top_eigenvalue", "top eigenvalue", 1.0, ""),
        ("share", "share of the trace", 100.0, "%"),
    ):
        own = of_quantity(rows, name)
        claims = {
            f"at t = {at:.0f}": _doubted(own[own["timestep"] == at], name, doubts).scaled(scale)
            for at in dict.fromkeys((own["timestep"].min(), own["timestep"].max()))
        }
        what = f"the {words} ({_matrix(rows, name)}) of one timestep's part of the TET loss"
        clauses.append(told(what, claims, unit=unit))
    return sentence(*clauses)


def _matrix(rows: pd.DataFrame, quantity: str) -> str:
    return OPERATORS.get(name := operator(rows, quantity), name)


def _doubted(rows: pd.DataFrame, column: str, doubts: tuple[str, ...]) -> Gap:
    lost = column == "top_eigenvalue" and bool(rows["converged"].eq(False).any())
    return gap(rows, column, doubts=(*doubts, *("not converged",) * lost))


def _gaps(rows: pd.DataFrame, quantity: str, doubts: tuple[str, ...]) -> list[Gap]:
    own = of_quantity(rows, quantity)
    return [_doubted(part, quantity, doubts) for _, part in own.groupby("layer", sort=False)]


def momentum_layers(tables: Tables) -> str:
    """Of how many layers the part of the gradient and its coherence differ, and where the loss follows the gradient."""
    whole, doubts = of_layers.whole(needed(tables, "momentum_layers")), (*incomparable(tables), _RESCALED)
    clauses = [
        tally(words, [gap(part, column, doubts=doubts) for _, part in whole.groupby("layer", sort=False)])
        for column, words in (
            ("part", "of {} layers' parts of the gradient"),
            ("coherence", "of {} layers' coherences"),
        )
    ]
    near = of_layers.nearest(matching(needed(tables, "descent_layers")))
    found = {
        look.label: [mean(part, "ratio", training) for _, part in near[near["training"] == training].groupby("layer")]
        for training, look in LOOKS.items()
    }
    known = {label: [one for one in means if one.known] for label, means in found.items()}
    said = [
        f"{sum(one.high < 1 for one in some)} of {len(some)} layers with {label}"
        for label, some in known.items()
        if some
    ]
    what = "realised over predicted decrease"
    if said:
        clauses.append(f"the interval of {what} lies below 1 in {listed(said)}")
    elif any(one.n for means in found.values() for one in means):
        clauses.append(f"{what} has too few seeds for an interval")
    return sentence(*clauses)


def momentum_pairs(tables: Tables) -> str:
    """The mean cosine between the gradients of two different timesteps, and of the first and the last."""
    rows = matching(needed(tables, "momentum_pairs"))
    rows = rows[rows["timestep"] != rows["other"]]
    if rows.empty:
        raise TableError("no two different timesteps")
    first, last = rows["timestep"].min(), rows["timestep"].max()
    ends = rows[(rows["timestep"] == first) & (rows["other"] == last)]
    doubts = (*incomparable(tables), _RESCALED)
    claims = {"in the mean over pairs": gap(rows, "cosine", doubts=doubts)}
    if last - first > 1:
        claims[f"of steps {first:.0f} and {last:.0f}"] = gap(ends, "cosine", doubts=doubts)
    text = told("the cosine between the gradients of two timesteps", claims)
    return sentence(text, f"the mean over pairs is {each(rows, 'cosine', 0.0)}")
