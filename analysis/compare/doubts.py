"""Why not to trust a row of a comparison.

Two sides' minima are comparable only where their training accuracies are within half a percent and their training
losses within a tenth of their mean (of the loss that the row is about; of the first loss, where it is about none). That
they are not is said where the comparison's own row on training accuracy or loss says that they differ, by its interval:
so that no row doubts what another can't tell. Without an interval, as of two seeds, the means decide. It concerns
measures of the minimum, not those of the predictions.

The accuracy *under* a disturbance is higher, too, of a network that starts higher: where the accuracies that nothing
disturbs differ by their interval, those rows say so. Of accuracy *lost* it is taken off.

Runs that ask for one training loss (``--until-loss``) and have not reached it are a doubt of their own, and so are a
table that isn't what its record was written with, and tables of which each was measured of another content of one
checkpoint (:mod:`tables.contents`). Differences that are equal in all pairs have no spread to judge them
by.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from tables.doubts import LETTERS
from tables.interval import FEWEST
from tables.measures import CHANGES, family

from .difference import difference

SAME_ACCURACY = 0.005
SAME_LOSS = 0.1


def doubts_about(
    group: pd.DataFrame,
    found: dict[str, Any],
    *,
    far: str,
    start: bool,
    short: frozenset[str],
    scale: bool,
    more: bool,
    changed: bool,
    mixed: bool,
) -> list[str]:
    """The reasons that apply to the row ``found`` of the values in ``group``, the two sides'.

    ``far`` holds the letters that :func:`apart` gave, ``start`` whether the accuracies that nothing disturbs differ
    (:func:`starts_apart`), ``short`` the checkpoints short of the loss asked for; ``scale`` whether its flatter side
    depends on the logits' scale, ``more`` whether the two differ in settings beside the factor compared, ``changed``
    whether a table that it is made of was changed, ``mixed`` whether these are of several contents of a checkpoint.
    """
    zero = found["low"] <= 0 <= found["high"]
    applies = {
        "n": found["n"] < FEWEST,
        "0": zero,
        "m": not zero and found["p_adjusted"] >= 0.05,
        "s": found["n"] > 1 and found["difference"] != 0 and np.isnan(found["low"]),
        "c": not group["converged"].all(),
        "r": (group["rescaling"] == CHANGES).any(),
        "a": "a" in far,
        "l": "l" in far,
        "b": start and family(found["measure"]) == "accuracy_under",
        "u": group["checkpoint"].isin(short).any(),
        "i": group["images"].nunique() > 1,
        "f": not np.isfinite(group["value"]).all(),
        "x": scale,
        "o": more,
        "t": changed,
        "d": mixed,
    }
    return [LETTERS[letter] for letter, doubt in applies.items() if doubt]


def apart(rows: Sequence[Mapping[str, Any]], loss: str) -> str:
    """Letters of what keeps two sides' minima from being comparable: training accuracy, training loss.

    ``rows`` are all those of the comparison of the two.
    """
    accuracy = [row for row in rows if row["measure"] == "train_accuracy"]
    level = [row for row in rows if row["measure"] == "train_loss"]
    level = [row for row in level if row["loss"] == loss] or level[:1]
    far = {"a": any(_differs(row, SAME_ACCURACY) for row in accuracy)}
    far["l"] = any(_differs(row, SAME_LOSS * (row["reference_mean"] + row["method_mean"]) / 2) for row in level)
    return "".join(letter for letter, applies in far.items() if applies)


def _differs(row: Mapping[str, Any], allowed: float) -> bool:
    """Whether the means are further apart than allowed, and no interval says that they may be equal."""
    known = row["n"] >= FEWEST and np.isfinite([row["low"], row["high"]]).all()
    return bool(abs(row["difference"]) > allowed and not (known and row["low"] <= 0 <= row["high"]))


def starts_apart(values: pd.DataFrame, reference: str, method: str) -> dict[bool, bool]:
    """Whether two sides' accuracies that nothing disturbs differ by their interval: on training images, and on test's.

    Accuracy under a disturbance and accuracy lost to it add up to that.
    """
    parts = {"accuracy_under", "accuracy_lost"}
    own = values[values["measure"].map(family).isin(parts)]
    own = own.assign(asked=[one.partition("[")[2] for one in own["measure"]])
    found = {}
    for train, part in own.groupby([" train," in one for one in own["asked"]]):
        pairs = part.groupby(["group", "seed", "asked"])["value"].agg(["sum", "count"])
        sums = pairs.loc[pairs["count"] == len(parts), "sum"].groupby(["group", "seed"]).first()
        if {reference, method} <= set(sums.index.get_level_values(0)):
            row = difference(sums[reference], sums[method])
            found[bool(train)] = bool(row["n"] >= FEWEST and (row["low"] > 0 or row["high"] < 0))
    return found
