"""The training curves that a checkpoint carries, as a table.

    python -m analysis.history runs/tet-0/ckpt.pt

Table ``history.csv``, after checkpoint, network, data, training, seed, one row an epoch: epoch (from 1);
train_loss_sdt, train_loss_tet, test_loss_sdt, test_loss_tet, train_accuracy, test_accuracy, each in eval mode, after
the epoch, over all images (of those for training, the ``--evaluate-train`` asked for), without a regulariser;
learning_rate (during the epoch); seconds; and, the same in every row, how it was trained: mse_weight (λ; empty where
the checkpoint doesn't say), train_images, and whether they were augmented (1, else 0). Nothing is measured here, so the
flags that choose images, losses and precision have no effect. Where ``models.train --record-momentum`` left its
``momentum_history.csv`` beside the checkpoint, that becomes a table too, with its columns
(:mod:`models.training.momentum`).
"""

import sys
from collections.abc import Sequence

import pandas as pd

from models.training import momentum
from tables.result import Result

from . import command
from .command import Config, analyse
from .subject import Subject


def measure(subject: Subject, _config: Config) -> dict[str, pd.DataFrame]:
    """The history of one checkpoint."""
    training, data = subject.checkpoint.training, subject.data
    settings = {
        "mse_weight": training.get("mse_weight"),
        "train_images": len(data.train),
        "augmented": int(bool(training.get("augment")) and data.augment is not None),
    }
    tables = {"history": pd.DataFrame(subject.checkpoint.history).assign(**settings)}
    kept = subject.path.parent / momentum.NAME
    if kept.is_file():
        tables["momentum_history"] = pd.DataFrame(momentum.read(kept), columns=list(momentum.COLUMNS))
    return tables


def run(config: Config) -> Result:
    """The table history of every checkpoint, and momentum_history of those that have one."""
    return analyse(config, measure)


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    return command.main(Config, run, argv, "python -m analysis.history")


if __name__ == "__main__":
    sys.exit(main())
