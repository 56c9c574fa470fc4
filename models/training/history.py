"""What a run notes after each epoch: ``history.csv``, and the same in its checkpoint."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from tables.files import replacing

MEASURED = ("train_loss_sdt", "train_loss_tet", "test_loss_sdt", "test_loss_tet", "train_accuracy", "test_accuracy")
COLUMNS = ("epoch", *MEASURED, "learning_rate", "seconds")


def write(history: Mapping[str, Sequence[float]], path: Path) -> None:
    """One row an epoch, written whole or not at all."""
    with replacing(path) as partial, partial.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(history)
        writer.writerows(zip(*history.values(), strict=True))
