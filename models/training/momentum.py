"""What momentum keeps of the gradient while a network trains: ``momentum_history.csv``, T + 1 rows an epoch.

At the end of each epoch the gradient of the training objective, regulariser included (it is what momentum is made of),
is taken apart by timestep on a fixed few training images, in training mode. Columns: epoch; loss, the one trained with;
timestep (1 … T; 0 is the whole gradient); images; error_norm, gradient_norm, gain, cosine_to_total and share as in
:func:`models.training.step_gradients.statistics`; cosine_to_momentum cos(g(t), m), m the optimizer's first moment.
At timestep 0 also momentum_norm ‖m‖, steps in the epoch, kept (:class:`models.training.step_gradients.Kept`) of the
gradients of the epoch's own steps, and what it would be if these were noise: at least kept_null_low, where all images'
gradients have mean zero and stay as they are during the epoch (a step's batch can't hold what earlier ones held), and
at most about kept_null, of images never seen before or weights that move far
(:func:`models.training.nulls.epoch_nulls`).
Which of the two a run's noise would keep isn't known; ``python -m analysis.momentum`` draws batches that know no other.

The images are a batch, or a fortieth of all where that is fewer, so that T backwards stay a small part of an epoch.
They are too few for a gradient free of noise: ``python -m analysis.momentum`` measures a checkpoint, this shows a
course. Nothing here touches weights, buffers or random numbers that training uses.
"""

import csv
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tables.files import replacing

from ..data.splits import Split
from ..losses import OBJECTIVES
from .nulls import epoch_nulls
from .step_gradients import Kept, cosine, statistics, step_gradients

NAME = "momentum_history.csv"
COLUMNS = (
    *("epoch", "loss", "timestep", "images", "error_norm", "gradient_norm", "gain", "cosine_to_total", "share"),
    *("cosine_to_momentum", "momentum_norm", "kept", "kept_null", "steps", "kept_null_low"),
)
_EARLIER = COLUMNS[:-1]  # of runs recorded before the last was
_SHARE = 40  # one image in so many, at most a batch


def first_moment(optimizer: torch.optim.Optimizer) -> Float[Tensor, " dimension"] | None:
    """The moving average of the gradient that ``optimizer`` holds, over its parameters; None before its first step.

    Adam's exp_avg, corrected for its start; of SGD, whose buffer is a sum, (1 − β) times that. None without momentum.
    """
    parts = [part.flatten() for part in moments(optimizer) if part is not None]
    return torch.cat(parts) if parts else None


def moments(optimizer: torch.optim.Optimizer) -> list[Tensor | None]:
    """The same, weight by weight; None where nothing is held."""
    held = [(weight, group) for group in optimizer.param_groups for weight in group["params"]]
    return [_moment(optimizer.state.get(weight, {}), group) for weight, group in held]


def _moment(state: dict[str, Any], group: dict[str, Any]) -> Tensor | None:
    if "exp_avg" in state:
        average: Tensor = state["exp_avg"]
        return average / (1 - group["betas"][0] ** float(state["step"]))
    buffer = state.get("momentum_buffer")
    return None if buffer is None else (1 - group["momentum"]) * buffer


class MomentumHistory:
    """The rows of one training run, after those that ``path`` holds of the epochs up to ``done``.

    ``images`` is what is trained on, ``beta`` and ``batch_size`` are the run's own. Raises ValueError where the file
    that is there can't be continued.
    """

    def __init__(self, network: nn.Module, images: Split, *, beta: float, batch_size: int, path: Path, done: int):
        self.network, self.path, self.beta, self.kept = network, path, beta, Kept(beta)
        sizes = [min(batch_size, len(images) - start) for start in range(0, len(images), batch_size)]
        self.nulls = dict(zip(("kept_null_low", "kept_null"), epoch_nulls(beta, sizes), strict=True))
        self.weights = tuple(network.parameters())
        count = min(batch_size, max(2, len(images) // _SHARE), len(images))
        first = self.weights[0]
        self.images, self.labels = next(images.batches(count, limit=count, device=first.device, dtype=first.dtype))
        self.rows: list[dict[str, Any]] = []
        if done and path.exists():
            self.rows += [row for row in read(path) if int(row["epoch"]) <= done]

    def follow(self, optimizer: torch.optim.Optimizer) -> None:
        """Take in the gradient of every step that ``optimizer`` makes from now on."""
        self.optimizer = optimizer
        optimizer.register_step_pre_hook(self._note)

    def _note(self, *_arguments: object) -> None:
        gradients = [weight.new_zeros(weight.shape) if weight.grad is None else weight.grad for weight in self.weights]
        self.kept.add(torch.cat([gradient.flatten() for gradient in gradients]))

    def record(self, epoch: int, name: str, loss: Callable[[Tensor, Tensor], Tensor]) -> None:
        """Add the rows of ``epoch``, which has ended; it was trained with ``loss``, of logits and labels."""
        momentum = first_moment(self.optimizer)
        gradients, errors = self._gradients(loss)
        for t, found in statistics(gradients, errors).items():
            along = math.nan if momentum is None else cosine(gradients[t], momentum)
            head = {"epoch": epoch, "loss": name, "timestep": t, "images": len(self.labels)}
            self.rows.append(head | found | {"cosine_to_momentum": along})
        norm = math.nan if momentum is None else float(momentum.norm())
        whole = {"momentum_norm": norm, "kept": self.kept.part, "steps": self.kept.count}
        self.rows[-1] |= whole | self.nulls  # timestep 0 comes last
        self.kept = Kept(self.beta)

    def _gradients(self, loss: Callable[[Tensor, Tensor], Tensor]) -> tuple[dict[int, Tensor], dict[int, float]]:
        """By timestep, on the fixed images; the network is left as it was."""
        training = self.network.training
        buffers = [(buffer, buffer.clone()) for buffer in self.network.buffers()]
        gradients, errors = {}, {}
        self.network.train()
        logits = self.network(self.images)
        for t, error, gradient in step_gradients(logits, self.labels, loss, self.weights):
            gradients[t], errors[t] = gradient, float(error.square().sum(1).mean().sqrt())
        self.network.train(training)
        for buffer, before in buffers:
            buffer.copy_(before)
        return gradients, errors

    def save(self) -> None:
        """Write all rows beside the run's history."""
        with replacing(self.path) as partial, partial.open("w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(self.rows)


def read(path: Path) -> list[dict[str, str]]:
    """The rows at ``path``, as text; those of earlier runs are without kept_null_low.

    Raises ValueError for a file that is damaged or another.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            lines = csv.DictReader(file, strict=True)
            rows = list(lines)
        for row in rows:
            _check(row)
        whole = tuple(lines.fieldnames or ()) in (COLUMNS, _EARLIER) and path.read_bytes().endswith(b"\n")
    except (csv.Error, ValueError, LookupError, TypeError):
        whole = False
    if not whole:
        raise ValueError(f"{path} is damaged or another file: move it away, and its epochs are left out")
    return rows


def _check(row: dict[Any, Any]) -> None:
    """Raise ValueError, LookupError or TypeError unless every field is its column's: a number or none, a known loss."""
    if row["loss"] not in OBJECTIVES or int(row["epoch"]) < 1:
        raise ValueError("no epoch of a known loss")
    for name in row.keys() - {"loss"}:
        float(row[name] if row[name] != "" else 0)
