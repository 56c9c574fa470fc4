"""Temporal scalability: accuracy and loss of one network as it is given more or fewer steps.

    python -m analysis.timesteps runs/tet-0/ckpt.pt

In eval mode the logits O(t) depend on the steps up to t alone. So one pass at the largest T holds the answer for every
smaller one: with T' steps the network predicts from the mean of O(1) … O(T'). (Not so in train mode, where BatchNorm
mixes the steps.) Steps beyond the trained T show the same static image for longer; a stream of events just ends.

Table ``timesteps.csv``, after checkpoint, network, data, training, seed, one row for each split and T':

- split ("train", "test"), timesteps T', trained_timesteps, images
- accuracy_cumulative, of the mean of O(1) … O(T'); accuracy_at_step, of O(T') alone
- loss_sdt, loss_tet: equations 7 and 9 with T' for T (Deng et al. 2022), no regulariser; loss_at_step, the
  cross-entropy of O(T') alone
- each of these with its ``_stderr`` over images: the sample standard deviation over √images, which for an accuracy p is
  √(p(1−p)/(images−1)). It says nothing of other training runs; spread over seeds does.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import cross_entropy

from . import command
from .command import analyse
from .result import Result
from .subject import Batch, Subject


@dataclass(frozen=True)
class Config(command.Config):
    """Accuracy and loss against timesteps, on training and on test images, under both losses whatever --loss says."""

    images: int | None = None
    """How many of each split, the first ones; None takes all. Both splits are measured, whatever --split says."""
    max_timesteps: int | None = None
    """The largest T; by default twice the trained one, for events the stream's, and 1 without spikes."""


def measure(subject: Subject, config: Config) -> dict[str, pd.DataFrame]:
    """The scalability curve of one checkpoint on both splits."""
    steps = horizon(subject, config.max_timesteps)
    tables = []
    for split in ("train", "test"):
        table = _summary(_curves(subject, subject.batches(split, config.images, config.chunk), steps))
        table.insert(0, "split", split)
        table.insert(2, "trained_timesteps", subject.trained_timesteps)
        tables.append(table)
    return {"timesteps": pd.concat(tables, ignore_index=True)}


def horizon(subject: Subject, asked: int | None) -> int:
    """The largest T to measure: what was asked, else the events' own, 1 without spikes, twice the trained one.

    Raises ValueError for fewer than one step, or more than the events have.
    """
    longest = subject.data.steps
    if asked is not None:
        if not 1 <= asked <= (longest or asked):
            limits = f"between 1 and the {longest} steps of the events" if longest else "at least 1"
            raise ValueError(f"--max-timesteps must be {limits}, got {asked}")
        return asked
    if longest:
        return longest
    return 2 * subject.trained_timesteps if subject.network.arguments["spiking"] else 1


def curve(
    logits: Float[Tensor, "time batch class"], labels: Int[Tensor, "batch"]
) -> dict[str, Float[Tensor, "time batch"]]:
    """Every column of the table for each image: row T' − 1 is what T' steps give. Losses in nats."""
    counts = torch.arange(1, len(logits) + 1, dtype=logits.dtype, device=logits.device)[:, None]
    mean = logits.cumsum(0) / counts[:, :, None]
    at_step = _entropy(logits, labels)
    return {
        "accuracy_cumulative": (mean.argmax(2) == labels).to(logits.dtype),
        "accuracy_at_step": (logits.argmax(2) == labels).to(logits.dtype),
        "loss_sdt": _entropy(mean, labels),
        "loss_tet": at_step.cumsum(0) / counts,
        "loss_at_step": at_step,
    }


def _entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy at each step and image, [time, batch]."""
    return cross_entropy(logits.movedim(0, -1), labels[:, None].expand(-1, len(logits)), reduction="none").T


@torch.no_grad()
def _curves(subject: Subject, batches: Sequence[Batch], steps: int) -> dict[str, Tensor]:
    parts = [curve(subject.network(images, timesteps=steps), labels) for images, labels in batches]
    return {name: torch.cat([part[name] for part in parts], dim=1).double().cpu() for name in parts[0]}


def _summary(curves: dict[str, Tensor]) -> pd.DataFrame:
    """Means over images with their standard errors, one row a T'."""
    steps, images = curves["loss_sdt"].shape
    table = pd.DataFrame({"timesteps": range(1, steps + 1), "images": images})
    for name, values in curves.items():
        table[name] = values.mean(1).numpy()
        table[f"{name}_stderr"] = values.std(1).numpy() / images**0.5
    return table


def run(config: Config) -> Result:
    """The table timesteps of every checkpoint."""
    return analyse(config, measure)


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    return command.main(Config, run, argv, "python -m analysis.timesteps")


if __name__ == "__main__":
    sys.exit(main())
