"""Paths between two checkpoints, say SDT's and TET's: losses and accuracy on the way, and the barrier between them.

    python -m analysis.path runs/sdt-0/ckpt.pt runs/tet-0/ckpt.pt

``line`` is straight in all weights, biases and BatchNorm's parameters included; ``bezier`` is a quadratic curve whose
middle is trained under each landscape loss asked for (Garipov et al. 2018), in train mode, with surrogate gradients
where there are spikes; what is reported is the true loss. Formulas are in :mod:`landscape.surfaces.paths` and
:mod:`landscape.surfaces.bezier`. **No permutation of units is aligned**: networks that differ in nothing else have a
barrier.

BatchNorm's running statistics fit neither end's on the way. They are taken anew at every point from the training images
(the default; see :mod:`landscape.evaluation.recalibrate`), at the ends too, or with ``--no-recalibrate`` interpolated
linearly, on the straight line alone. The latter adds a barrier of their own misfit (Jordan et al. 2023).

The splits are measured in one pass over each at every point. Several pairs are named as
A B C D …; a pair that lies in ``--out`` already is not measured again. Tables, after checkpoint, network, data,
training, seed (of the path's start, t = 0) and other, other_training, other_seed (of its end, t = 1):

- ``path.csv``: kind ("line", "bezier"), fitted (the loss the curve was trained under, "-" for the line), statistics
  ("recalibrated", "interpolated"), split, images, loss, t, distance ‖φ(t) − φ(0)‖, value, stderr, excess (over the
  chord between the ends' losses), excess_stderr (paired), accuracy, accuracy_stderr; errors are over images
- ``barrier.csv``: kind, fitted, statistics, split, images, loss, barrier (largest excess), stderr (paired, at that t),
  crossed (the barrier with t picked on other images; the truth lies between), position (t), start, end (losses there),
  accuracy_drop (largest drop below the chord between the ends' accuracies), accuracy_drop_stderr
- ``bezier.csv``: fitted, steps, learning_rate, batch_size, line_loss and curve_loss (mean over t of the loss in train
  mode before and after), line_gradient and curve_gradient (norm of its gradient in the control point), converged,
  stretch (length over the chord's)
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pandas as pd
import torch
from torch import Tensor
from tqdm import tqdm

from landscape.evaluation import examples, recalibrate
from landscape.objective import Parameters
from landscape.surfaces import Fit, Path, barrier, excess, fit_bezier, grid, mean_and_stderr, placed
from tables.result import Result

from ..subject import Batch, Subject, Subjects, check_value
from ..subject.passes import passes
from .flags import Config
from .pairs import analyse_pairs

TABLES = ("path", "barrier", "bezier")
NO_FIT = "-"
Row = dict[str, Any]
Rows = list[Row]


def measure(first: Subject, second: Subject, config: Config) -> dict[str, pd.DataFrame]:
    """The tables of one pair."""
    walk = _Walk(first, second, config)
    ends = torch.stack([walk.weights.vector(), Parameters(second.network).vector()])
    for one, t in ((first, 0.0), (second, 1.0)):
        walk.check(one, ends[int(t)], t)
    rows: dict[str, Rows] = {name: [] for name in TABLES}
    if config.kind != "bezier":
        walk.record(Path(ends), {"kind": "line", "fitted": NO_FIT}, rows)
    if config.kind != "line":
        for loss in first.asked(config.loss):
            fit = _fit(first, ends, loss, config)
            rows["bezier"].append({"fitted": loss, **_outcome(fit, config)})
            walk.record(fit.path, {"kind": "bezier", "fitted": loss}, rows)
    return {name: pd.DataFrame(found) for name, found in rows.items() if found}


class _Walk:
    """Measures paths from the first subject to the second, on the first one's network."""

    def __init__(self, first: Subject, second: Subject, config: Config):
        self.first, self.network, self.config = first, first.network, config
        self.losses = first.asked(config.loss)
        self.weights = Parameters(first.network)
        self.positions = grid(0.0, 1.0, config.points).tolist()
        self.splits = {
            split: first.batches(split, config.images, config.chunk) for split in first.splits(config.splits)
        }
        self.training = first.batches("train", config.images, config.chunk) if config.recalibrate else []
        self.metrics: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
            **self.losses,
            "accuracy": first.score or _none,
        }
        self.statistics = "recalibrated" if config.recalibrate else "interpolated"
        self.buffers = [
            (name, one.clone(), other)
            for (name, one), other in zip(first.network.named_buffers(), second.network.buffers(), strict=True)
            if one.is_floating_point()
        ]

    def record(self, path: Path, key: Mapping[str, str], rows: dict[str, Rows]) -> None:
        """Add the path's rows to the tables path and barrier."""
        found, distances, start = [], [], path(0.0)
        for t in tqdm(self.positions, desc=" ".join(key.values()), unit="point", disable=self.config.quiet):
            weights = path(t)
            distances.append(float((weights - start).double().norm()))
            found.append(self._values(weights, t))
        for split in self.splits:
            values = {name: torch.stack([point[split][name] for point in found]) for name in self.metrics}
            accuracy = values["accuracy"]
            shared = {**key, "statistics": self.statistics, "split": split, "images": accuracy.shape[1]}
            for loss in self.losses:
                along = _along(self.positions, distances, values[loss], accuracy)
                rows["path"] += [{**shared, "loss": loss, **point} for point in along]
                rows["barrier"].append({**shared, "loss": loss, **_barrier(self.positions, values[loss], accuracy)})

    def check(self, end: Subject, weights: Tensor, t: float) -> None:
        """Raise NotFinite where an end of the path, at ``t``, has no loss."""
        for split, found in self._values(weights, t).items():
            for loss in self.losses:
                check_value(end, split, self.config.images, loss, float(found[loss].mean()))

    def _values(self, weights: Tensor, t: float) -> dict[str, dict[str, Tensor]]:
        """Every metric of every image of both splits at one point."""
        with placed(self.network, self.weights, weights), torch.no_grad():
            if self.config.recalibrate:
                recalibrate(self.network, self.training, check=False)
            else:
                for name, one, other in self.buffers:
                    self.network.get_buffer(name).copy_((1 - t) * one + t * other)
            return {split: self._metrics(batches) for split, batches in self.splits.items()}

    def _metrics(self, batches: Sequence[Batch]) -> dict[str, Tensor]:
        parts = []
        for output, target in passes(self.first, batches, None):
            parts.append({name: metric(output, target).cpu().double() for name, metric in self.metrics.items()})
        return {name: torch.cat([part[name] for part in parts]) for name in self.metrics}


def _none(_output: Any, target: Any) -> Tensor:
    """No accuracy, where nothing counts as right."""
    return torch.full((examples(None, target),), math.nan)


def _along(positions: Sequence[float], distances: Sequence[float], losses: Tensor, accuracy: Tensor) -> Iterator[Row]:
    over = excess(positions, losses)
    for index, t in enumerate(positions):
        row: Row = {"t": t, "distance": distances[index]}
        row["value"], row["stderr"] = mean_and_stderr(losses[index])
        row["excess"], row["excess_stderr"] = mean_and_stderr(over[index])
        row["accuracy"], row["accuracy_stderr"] = mean_and_stderr(accuracy[index])
        yield row


def _barrier(positions: Sequence[float], losses: Tensor, accuracy: Tensor) -> Row:
    height, drop = barrier(positions, losses), barrier(positions, -accuracy)
    return {
        "barrier": height.height,
        "stderr": height.stderr,
        "crossed": height.crossed,
        "position": height.position,
        "start": float(losses[0].mean()),
        "end": float(losses[-1].mean()),
        "accuracy_drop": drop.height,
        "accuracy_drop_stderr": drop.stderr,
    }


def _fit(subject: Subject, ends: Tensor, loss: str, config: Config) -> Fit:
    batches = subject.batches("train", config.images, config.batch_size)
    function = subject.asked(loss)[loss]
    objective = subject.objective(function, batches, mode="train", check=False)  # dropout may draw
    with tqdm(total=config.steps, desc=f"curve under {loss}", unit="step", disable=config.quiet) as bar:
        return fit_bezier(
            objective, ends[0], ends[1], steps=config.steps, learning_rate=config.learning_rate, seed=config.seed,
            progress=bar.update,
        )  # fmt: skip


def _outcome(fit: Fit, config: Config) -> Row:
    return {
        "steps": config.steps,
        "learning_rate": config.learning_rate,
        "batch_size": config.batch_size,
        "line_loss": fit.line.loss,
        "curve_loss": fit.curve.loss,
        "line_gradient": fit.line.gradient_norm,
        "curve_gradient": fit.curve.gradient_norm,
        "converged": fit.converged,
        "stretch": fit.path.stretch(),
    }


def run(config: Config, subjects: Subjects = ()) -> Result:
    """The tables path, barrier and bezier of every pair of checkpoints, or subjects."""
    if config.dry_run:
        raise ValueError(
            "a path's cost has no forecast before it is begun: its bars tell, from its first points and steps on"
        )
    if config.points < 3:
        raise ValueError(f"a path takes at least 3 points, its ends and one between, got {config.points}")
    if not config.recalibrate and config.kind != "line":
        raise ValueError(
            "the middle of a curve has no BatchNorm statistics to interpolate: --no-recalibrate goes with --kind line"
        )
    return analyse_pairs(config, TABLES, measure, subjects)
