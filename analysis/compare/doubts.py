"""Why not to trust a row of a comparison.

Two sides' minima are comparable only where their training accuracies are within half a percent and their training
losses within a tenth (of the loss that the row is about; of the SDT loss, where it is about none). That concerns
measures of the minimum, not those of the predictions. With --until-loss the runs ask for one loss; one that has not
reached it is a doubt of its own.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from models.checkpoint import CheckpointError, load

from .measures import CHANGES

SAME_ACCURACY = 0.005
SAME_LOSS = 0.1
LETTERS = {
    "n": "fewer than three seeds",
    "0": "interval contains zero",
    "m": "one of many rows: not below 5 % after Holm's adjustment",
    "c": "not converged",
    "r": "changes when weights are rescaled",
    "a": "training accuracies differ",
    "l": "training losses differ",
    "u": "training loss asked for not reached",
    "i": "numbers of images differ",
    "f": "not finite",
}


def doubts_about(group: pd.DataFrame, found: dict[str, Any], far: str, short: set[str]) -> list[str]:
    """The reasons that apply to the row ``found`` of the values in ``group``.

    ``far`` holds the letters that :func:`apart` gave, ``short`` the checkpoints short of the loss asked for.
    """
    zero = found["low"] <= 0 <= found["high"]
    applies = {
        "n": found["n"] < 3,
        "0": zero,
        "m": not zero and found["p_adjusted"] >= 0.05,
        "c": not group["converged"].all(),
        "r": (group["rescaling"] == CHANGES).any(),
        "a": "a" in far,
        "l": "l" in far,
        "u": group["checkpoint"].isin(short).any(),
        "i": group["images"].nunique() > 1,
        "f": not np.isfinite(group["value"]).all(),
    }
    return [LETTERS[letter] for letter, doubt in applies.items() if doubt]


def apart(values: pd.DataFrame, loss: str) -> str:
    """Letters of what keeps the two sides' minima from being comparable: training accuracy, training loss."""
    accuracy = values[values["measure"] == "train accuracy"].groupby("training")["value"].mean()
    chosen = values[(values["measure"] == "train loss") & (values["loss"] == loss)]
    level = chosen.groupby("training")["value"].mean()
    far = {"a": np.ptp(accuracy) > SAME_ACCURACY if len(accuracy) else False}
    far["l"] = np.ptp(level) > SAME_LOSS * level.mean() if len(level) else False
    return "".join(letter for letter, applies in far.items() if applies)


def unreached(path: Path) -> bool:
    """Whether the checkpoint says that it ended above the training loss asked for. A damaged one says nothing."""
    try:
        return load(path).training.get("until_loss_reached") is False
    except CheckpointError:
        return False
