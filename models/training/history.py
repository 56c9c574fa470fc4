"""What a run notes after each epoch: ``history.csv``, and the same in its checkpoint."""

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from tables.files import replacing

MEASURED = ("train_loss_sdt", "train_loss_tet", "test_loss_sdt", "test_loss_tet", "train_accuracy", "test_accuracy")
COLUMNS = ("epoch", *MEASURED, "learning_rate", "seconds")
OWN = ("train_loss", "test_loss")
"""The loss trained with, of a run whose outputs or loss are not those of MEASURED; the others are blank there."""


def last(history: Mapping[str, Sequence[float]]) -> dict[str, str]:
    """In a word what the last epoch evaluated came to: the accuracy on test images, or the loss where there is none."""
    for name, key, form in (("test_accuracy", "accuracy", ".3f"), ("test_loss", "loss", ".4g")):
        if found := [value for value in history.get(name, ()) if not math.isnan(value)]:
            return {key: format(found[-1], form)}
    return {}


def write(history: Mapping[str, Sequence[float]], path: Path) -> None:
    """One row an epoch, written whole or not at all; blank where there is no number."""
    with replacing(path) as partial, partial.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(history)
        for row in zip(*history.values(), strict=True):
            writer.writerow(["" if math.isnan(value) else value for value in row])
