"""Why not to trust a row of a comparison.

Two sides' minima are comparable only where their training accuracies are within half a percent and their training
losses within a tenth (of the loss that the row is about; of the first loss, where it is about none). That concerns
measures of the minimum, not those of the predictions. Runs that ask for one training loss (``--until-loss``) and have
not reached it are a doubt of their own, and so is a table that isn't what its record was written with.
Differences that are equal in all pairs have no spread to judge them by.
"""

from typing import Any

import numpy as np
import pandas as pd

from tables.interval import FEWEST
from tables.measures import CHANGES

SAME_ACCURACY = 0.005
SAME_LOSS = 0.1
LETTERS = {
    "n": "fewer than three seeds",
    "0": "interval contains zero",
    "m": "one of many rows: not below 5 % after Holm's adjustment",
    "s": "no spread",
    "c": "not converged",
    "r": "changes when weights are rescaled",
    "a": "training accuracies differ",
    "l": "training losses differ",
    "u": "training loss asked for not reached",
    "i": "numbers of images differ",
    "f": "not finite",
    "x": "not so with logits at one scale",
    "o": "other settings differ too",
    "t": "a table was changed since it was written",
}


def doubts_about(
    group: pd.DataFrame,
    found: dict[str, Any],
    *,
    far: str,
    short: frozenset[str],
    scale: bool,
    more: bool,
    changed: bool,
) -> list[str]:
    """The reasons that apply to the row ``found`` of the values in ``group``, the two sides'.

    ``far`` holds the letters that :func:`apart` gave, ``short`` the checkpoints short of the loss asked for;
    ``scale`` whether its flatter side depends on the logits' scale, ``more`` whether the two differ in settings beside
    the factor compared, ``changed`` whether a table that it is made of was changed.
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
        "u": group["checkpoint"].isin(short).any(),
        "i": group["images"].nunique() > 1,
        "f": not np.isfinite(group["value"]).all(),
        "x": scale,
        "o": more,
        "t": changed,
    }
    return [LETTERS[letter] for letter, doubt in applies.items() if doubt]


def apart(values: pd.DataFrame, loss: str) -> str:
    """Letters of what keeps two groups' minima from being comparable: training accuracy, training loss."""
    accuracy = values[values["measure"] == "train_accuracy"].groupby("group")["value"].mean()
    chosen = values[values["measure"] == "train_loss"]
    if loss in set(chosen["loss"]):
        chosen = chosen[chosen["loss"] == loss]
    elif len(chosen):
        chosen = chosen[chosen["loss"] == chosen["loss"].iloc[0]]
    level = chosen.groupby("group")["value"].mean()
    far = {"a": np.ptp(accuracy) > SAME_ACCURACY if len(accuracy) else False}
    far["l"] = np.ptp(level) > SAME_LOSS * level.mean() if len(level) else False
    return "".join(letter for letter, applies in far.items() if applies)
