"""Curvature along training, beside the curvature that the optimizer can stand.

    python -m analysis.stability runs/sdt-0 runs/tet-0        # runs trained with --snapshots

On a quadratic λw²/2 the iterations of :mod:`models.training.optimizer` converge below, and diverge above::

    gradient descent                             λ = 2/η
    with momentum β                              λ = (2 + 2β)/η
    Adam, P held fixed, λ of P^(-1/2) H P^(-1/2)  λ = (2 + 2β₁)/((1 − β₁) η), which is 38/η at β₁ = 0.9

(Cohen, Kaur, Li, Kolter, Talwalkar, ICLR 2021; Cohen et al. 2022, "Adaptive gradient methods at the edge of
stability".) They find that training on whole batches drives the top eigenvalue up to the limit and holds it there. Here
batches are small, which keeps it lower, and BatchNorm is in eval mode, unless ``--mode train``: then it normalises by
each chunk's statistics, so let ``--chunk`` be the batch size. A weight without effect in train mode, such as a bias
before a BatchNorm, has a tiny P; in eval mode it has curvature, and the preconditioned eigenvalue means nothing.

**Which loss.** ``loss = trained`` is the objective of training, whichever it was (of phases that of the epoch's), with
regulariser, label smoothing, TRT's term and weight decay: the one whose curvature the limit is about. TMC's is of whole
batches, so that ``--chunk`` has to be the batch size; one of the user's own is run if ``--code`` names it. sdt and tet
are the landscape's losses, as in all tables; where training lowered one of them alone, its rows are copied.

**Sharpness-aware steps** diverge on a quadratic above the same limit, since the point where SAM takes its gradient is
never farther than ρ; below it they end at a distance and not at the minimum, and hold the eigenvalue far lower (Long
and Bartlett, JMLR 2024). ASAM's ρ grows with the weights, which lowers the limit itself, of a single weight to
2/((1 + ρ)η). Of such a run "below the limit" says little, and ``trained`` is the loss at the weights.

**Which curvature.** ``curvature`` is "formal" where a spike's derivative is a surrogate (see :mod:`analysis.hessian`):
no theorem says that it meets the limit. It is "exact" for networks without steps.

**Which weights.** ``participation`` is 1/Σv⁴ of the unit eigenvector v, the number of weights that it lives on. Where
no gradient has come yet P is near ε, and the formal Hessian may be curved all the same: then a handful of weights
carries a preconditioned eigenvalue far above the limit, until gradients come and it drops.

Lanczos starts from the top eigenvector of the snapshot before (kept as a direction of the weights) amid a random one,
and iterates to a finer tolerance than a picture needs, lest it stop at an eigenvalue that another has overtaken since.
It saves a tenth of the products or so; ``--no-warm`` starts at random every time.

Table ``stability.csv``, a row a snapshot, loss and matrix, after checkpoint, network, data, method, training, seed:
epoch, optimizer, loss, matrix ("hessian"; with Adam also "preconditioned", from the first step on), top_eigenvalue,
residual, converged, participation, products, warm (started from an earlier snapshot), limit (none for Adam's
unpreconditioned matrix), learning_rate (of the epoch that led there), training_loss (the row's loss, on the images
measured), curvature.
"""

import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor
from torch.nn.functional import normalize
from tqdm import tqdm

from landscape.curvature import Hessian, Operator, Scaled
from landscape.objective import Objective, fits
from landscape.spectrum import lanczos
from models import processes
from models.checkpoint import naming
from models.code import parse
from models.losses import OBJECTIVES
from models.networks.layers import Network
from models.training.objective import recorded
from models.training.optimizer import Step
from tables.result import Result

from ..command import analyse
from ..subject import Subject, Subjects
from .flags import Config

Key = tuple[str, str]
TRAINED = "trained"


def limit(learning_rate: float, momentum: float, *, adam: bool) -> float:
    """The top eigenvalue above which the optimizer's steps diverge on a quadratic; inf at a rate of zero.

    With ``adam`` that of P^(-1/2) H P^(-1/2), and ``momentum`` is β₁.
    """
    rate = learning_rate * (1 - momentum) if adam else learning_rate
    return (2 + 2 * momentum) / rate if rate else math.inf


def trained_objective(subject: Subject, step: Step, config: Config) -> tuple[str, Callable[[Tensor, Tensor], Tensor]]:
    """The loss that training lowered, by name, and the whole objective: with regulariser, smoothing and c‖w‖²/2.

    One value per image. Raises CheckpointError where the checkpoint doesn't say what it was trained with, ValueError
    where the network's output isn't what that takes, CodeError for a loss of the user's own that --code doesn't name.
    """
    training = subject.trained("the objective of training").training
    with naming(subject.path):
        name, loss = recorded(training, subject.network, config.code)
        if name in OBJECTIVES and (subject.layout.time is None) != (name == "ce"):
            raise ValueError(f"trained with {name}, which doesn't take its outputs, so its objective is unknown")
    if name == "tmc" and config.chunk != (piece := training["batch_size"] // training.get("accumulate", 1)):
        raise ValueError(
            f"{subject.title}: tmc's ratio is of a whole batch, and it was trained with {piece} images at a time: "
            f"--chunk {piece}"
        )
    if not step.weight_decay:
        return name, loss

    def decayed(logits: Tensor, labels: Tensor) -> Tensor:
        squares = sum(weight.square().sum() for weight in subject.network.parameters())
        return loss(logits, labels) + 0.5 * step.weight_decay * squares

    return name, decayed


def plain(name: str, subject: Subject, step: Step) -> bool:
    """Whether the objective of training with the loss ``name`` is that loss alone."""
    regularised = subject.training["mse_weight"] or subject.training["label_smoothing"]
    return not (step.weight_decay or (name in OBJECTIVES and regularised))


def has_steps(subject: Subject) -> bool:
    """Whether the network's activation is a step, so that derivatives are surrogates; so for any spikes not ours."""
    if not isinstance(subject.network, Network):
        return subject.spikes
    arguments = subject.network.arguments
    return bool(arguments["spiking"] and arguments["surrogate"] != "smooth")


class Along:
    """The measurement of one snapshot after the other: keeps each top eigenvector, as a direction of the weights."""

    def __init__(self) -> None:
        self.run = Path()
        self.found: dict[Key, Tensor] = {}

    def measure(self, subject: Subject, config: Config) -> dict[str, pd.DataFrame]:
        """The rows of one snapshot."""
        checkpoint, run = subject.trained("stability"), _run(subject)
        if run != self.run:
            self.run, self.found = run, {}
        step = Step.of(checkpoint, subject.network)
        losses = {} if config.trained_only or not subject.has_losses else subject.asked(config.loss)
        name, loss = trained_objective(subject, step, config)
        own = name if name in OBJECTIVES else parse(name).name
        same = own in losses and plain(name, subject, step)
        batches = subject.batches("train", config.images, config.chunk)
        rows = []
        for name, function in (losses if same else losses | {TRAINED: loss}).items():
            objective = subject.objective(function, batches, mode=config.mode)
            rows += self._loss(name, objective, step, config)
        rows += [row | {"loss": TRAINED} for row in rows if same and row["loss"] == own]
        shared = {"epoch": checkpoint.training.get("epochs_done", 0), "optimizer": step.optimizer}
        kind = "formal" if has_steps(subject) else "exact"
        return {"stability": pd.DataFrame([{**shared, **row, "curvature": kind} for row in rows])}

    def _loss(self, name: str, objective: Objective, step: Step, config: Config) -> list[dict[str, Any]]:
        keep = fits(objective) if config.keep_graph is None else config.keep_graph
        matrix = Hessian(objective, keep_graph=keep, check=(name, "hessian") not in self.found)
        operators: dict[str, Operator] = {"hessian": matrix}
        if step.divisor is not None:
            scale = step.divisor.to(matrix.device).rsqrt().to(matrix.dtype)
            operators["preconditioned"] = Scaled(matrix, scale)
        value = objective.value()
        rows = []
        for kind, operator in operators.items():
            bound = limit(step.learning_rate, step.momentum, adam=step.optimizer == "adam")
            row = {"loss": name, "matrix": kind, **self._top((name, kind), operator, config)}
            row["limit"] = bound if kind == "preconditioned" or step.optimizer == "sgd" else math.nan
            rows.append(row | {"learning_rate": step.learning_rate, "training_loss": value})
        return rows

    def _top(self, key: Key, operator: Operator, config: Config) -> dict[str, Any]:
        before = self.found.get(key) if config.warm else None
        scale = (
            operator.scale
            if isinstance(operator, Scaled)
            else torch.ones((), dtype=operator.dtype, device=operator.device)
        )
        with tqdm(desc=" ".join(key), unit="product", disable=config.quiet, leave=False) as bar:
            pairs = lanczos(
                operator, top=1, tolerance=config.tolerance, max_products=config.max_products, seed=config.seed,
                start=None if before is None else normalize(before / scale), progress=bar.update,
            )  # fmt: skip
        self.found[key] = scale * pairs.vectors
        return {
            "top_eigenvalue": float(pairs.values[0]),
            "residual": float(pairs.residuals[0]),
            "converged": bool(pairs.converged[0]),
            "participation": 1 / float(pairs.vectors[0].pow(4).sum()),
            "products": pairs.products,
            "warm": before is not None,
        }


def snapshots(paths: Sequence[Path]) -> tuple[Path, ...]:
    """``paths`` with every folder replaced by the snapshots in it (or in its ``snapshots``), by epoch.

    Raises FileNotFoundError for a folder without any.
    """
    files: list[Path] = []
    for path in paths:
        inside = sorted([*path.glob("snapshots/epoch-*.pt"), *path.glob("epoch-*.pt")], key=_epoch)
        if path.is_dir() and not inside:
            raise FileNotFoundError(f"no snapshots in {path}: train with --snapshots n to keep every n-th epoch")
        files += inside or [path]
    return tuple(files)


def _epoch(path: Path) -> tuple[int, str]:
    digits = path.stem.removeprefix("epoch-")
    return (int(digits) if digits.isdecimal() else sys.maxsize), path.name


def run(config: Config, subjects: Subjects = ()) -> Result:
    """The table stability of all snapshots, and of subjects that were loaded from some."""
    found = replace(config, checkpoints=snapshots(config.checkpoints))
    result = analyse(found, Along().measure, subjects, chain=_run)
    if not (config.quiet or config.dry_run) and processes.is_main():
        _remark(result.to_frame())
    return result


def _run(one: Path | Subject) -> Path:
    """The folder of a snapshot's run."""
    return ((one.path if isinstance(one, Subject) else one) or Path()).parent


def _remark(table: pd.DataFrame) -> None:
    """Say on stderr what starting from the snapshot before saved."""
    for (loss, matrix), rows in table.groupby(["loss", "matrix"], sort=False):
        mean = rows.groupby("warm")["products"].mean()
        if len(mean) == 2:
            said = f"{mean[True]:.1f} products from the snapshot before, {mean[False]:.1f} from a random vector"
            print(f"{loss}, {matrix}: {said} (first snapshots)", file=sys.stderr)
