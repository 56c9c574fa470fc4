"""The history of a run for TensorBoard, in the folder ``tensorboard`` of the run: a scalar for each column, by epoch.

TensorBoard is no dependency: ``pip install 'snn-landscape[tensorboard]'``. What a run has behind it is written anew
when it goes on, so that every epoch is there once however often it was killed.
"""

import math
from pathlib import Path
from typing import Any


class Board:
    """Event files in ``folder`` that say what a history says. Raises ValueError where tensorboard is not installed."""

    def __init__(self, folder: Path):
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as failure:
            raise ValueError(
                f"--tensorboard needs a package that is missing ({failure}): pip install tensorboard, or leave it out"
            ) from failure
        for old in folder.glob("events.out.tfevents.*"):
            old.unlink()
        self._writer: Any = SummaryWriter(str(folder))
        self._written = 0

    def write(self, history: dict[str, list[float]]) -> None:
        """Write the epochs of ``history`` that are not there yet, so that a reader sees them now."""
        for row in range(self._written, len(history["epoch"])):
            for name in history.keys() - {"epoch"}:
                if not math.isnan(history[name][row]):
                    self._writer.add_scalar(name, history[name][row], int(history["epoch"][row]))
        self._written = len(history["epoch"])
        self._writer.flush()

    def close(self) -> None:
        """End the file."""
        self._writer.close()
