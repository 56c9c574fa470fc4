"""K steps of training on from a checkpoint, on a copy: what momentum does there, and whether a minimum is left.

From one and the same weights training goes on with each loss in turn, without regulariser, on the same batches. So a
network that SDT trained to the end goes on once with SDT and once with TET: the second is Figure 3 of Deng et al. 2022
(SDT for 200 epochs, then TET), the first is its control, which says what the new learning rate alone would have done.

Batches are drawn from all training images independently of each other, each without an image twice: not in epochs, as
training's were. So the gradient expected at a step is that of all images at its weights, whatever came before, and
noise about a gradient of zero has nulls that hold while the weights move (:mod:`models.training.nulls`).

The optimizer is the checkpoint's, with its state where the checkpoint holds one ("checkpoint"), else with none
("fresh"); of a subject without a checkpoint SGD, fresh, unless its factors say "adam". A finished run's rate is zero,
so K steps have a rate of their own: it falls along the last third of a cosine, as after two thirds of the paper's
schedule::

    η_k = 2r (1 + cos(π (2 + (k−1)/K) / 3)),   k = 1 … K,   from r (by default a quarter of training's first rate) to 0

At step k, g is the batch's gradient in training mode, g(t) its terms (:mod:`models.training.step_gradients`), m the
optimizer's first moment and w the weights, before the step and after it:

- ``momentum_steps.csv``, after loss (trained on with): optimizer, state, step k, timestep (1 … T; 0 is the whole),
  learning_rate, batch_size, error_norm, gradient_norm ‖g(t)‖, gain, cosine_to_total, share (of this batch),
  momentum_norm ‖m_k‖ (timestep 0 only), cosine_to_momentum cos(g_k(t), m_(k−1)), with the momentum before this gradient
  joined it, so 0 in the mean for noise (empty where there is none yet), kept and kept_null
  (:class:`models.training.step_gradients.Kept`, over the steps from 1 to k), predicted ⟨g(t), w_k − w_(k+1)⟩, realised
  L(w_k) − L(w_(k+1)) (timestep 0 only), both on this batch, and so of the loss that the step was made for
- ``switch.csv``, after loss: step (0 … K, at most 21 of them), split, images, each loss (loss_sdt and loss_tet, or the
  subject's own), accuracy (empty where nothing counts as right), all in eval mode, distance ‖w − w_0‖,
  relative_distance ‖w − w_0‖/‖w_0‖

Adam's m is corrected for its start; SGD's is (1 − β) times PyTorch's buffer, which is not.
"""

import math
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn
from tqdm import tqdm

from landscape.evaluation import examples, resetting
from landscape.objective import Parameters
from models.checkpoint import Checkpoint, CheckpointError, naming
from models.data.splits import independent_draws
from models.training import optimizer as optimizers
from models.training import recipe
from models.training.momentum import first_moment, moments
from models.training.step_gradients import Kept, cosine, statistics, step_gradients

from ..subject import Batch, Subject
from ..subject.copying import copied
from ..subject.passes import passes
from ..subject.sources import selected

_EVALUATIONS = 20  # after the one at the start


@dataclass(frozen=True)
class Plan:
    """``steps`` K, ``rate`` r (None: a quarter of training's first), batches of ``batch_size`` drawn with ``seed``.

    ``beta`` is the decay that ``kept`` is taken with, ``images`` how many of each split the losses are evaluated on.
    Raises ValueError for a negative number, and a rate that
    isn't positive.
    """

    steps: int
    rate: float | None
    batch_size: int
    beta: float
    images: int | None
    seed: int
    quiet: bool

    def __post_init__(self) -> None:
        if self.steps < 0 or (self.rate is not None and not 0 < self.rate < math.inf):
            raise ValueError(f"steps can't be negative and their rate is positive, got {self.steps} and {self.rate}")


def onward(subject: Subject, losses: tuple[str, ...], plan: Plan) -> dict[str, pd.DataFrame]:
    """The two tables of one checkpoint, whose network stays as it is.

    Raises ValueError when a loss stops being finite, CheckpointError for an optimizer's state that doesn't fit.
    """
    tables: dict[str, list[pd.DataFrame]] = {"momentum_steps": [], "switch": []}
    for loss in losses:
        walk = _Walk(subject, loss, plan)
        walk.go()
        for name, rows in (("momentum_steps", walk.rows), ("switch", walk.evaluations)):
            table = pd.DataFrame(rows)
            table.insert(0, "loss", loss)
            tables[name].append(table)
    return {name: pd.concat(parts, ignore_index=True) for name, parts in tables.items()}


class _Walk:
    """The copy of the network that takes the steps, and the rows found on its way."""

    def __init__(self, subject: Subject, loss: str, plan: Plan):
        self.loss, self.plan = loss, plan
        self.subject = replace(subject, network=copied(subject.network))
        self.network = self.subject.network
        self.weights = Parameters(self.network)
        self.settings = _settings(subject, plan.beta)
        if subject.checkpoint:
            self.optimizer, self.state = continued(subject.checkpoint, self.network)
        else:
            self.optimizer, self.state = optimizers.build(self.settings, self.network), "fresh"
        reset = self.subject.reading.get("reset") or resetting(self.network)
        self.evaluation = self.subject.evaluation([], reset=reset, mode="train")
        self.start = self.weights.vector()
        self.kept: dict[int, Kept] = {}
        self.rows: list[dict[str, Any]] = []
        self.evaluations: list[dict[str, Any]] = []

    def go(self) -> None:
        """Take the steps."""
        steps = self.plan.steps
        stops = {round(steps * i / _EVALUATIONS) for i in range(_EVALUATIONS + 1)}
        rate = self.plan.rate or self.settings.learning_rate / 4
        self._evaluate(0)
        batches = _batches(self.subject, self.plan) if steps else ()
        bar = tqdm(batches, total=steps, unit="step", disable=self.plan.quiet, delay=2, leave=False)
        for step, (inputs, target) in enumerate(bar, 1):
            for group in self.optimizer.param_groups:
                group["lr"] = 2 * rate * (1 + math.cos(math.pi * (2 + (step - 1) / steps) / 3))
            self._step(step, inputs, target)
            if step in stops:
                self._evaluate(step)

    @torch.enable_grad()
    def _step(self, step: int, inputs: Any, target: Any) -> None:
        loss, weights = self.subject.timed(self.loss), self.weights
        self.network.train()
        output = self.subject.time_first(self.evaluation.output(inputs))
        before = float(loss(output.detach(), target).mean())
        if not math.isfinite(before):
            if step == 1:
                raise ValueError(f"the loss of {self.subject.title} is {before} at its weights: no step leads on")
            raise ValueError(f"the loss is {before} at step {step} from {self.subject.title}: lower --step-rate")
        errors, gradients = {}, {}
        for t, error, gradient in step_gradients(output, target, loss, weights.tensors):
            errors[t], gradients[t] = float(error.square().flatten(1).sum(1).mean().sqrt()), gradient
        momentum, moved = first_moment(self.optimizer), weights.vector()
        for weight, part in zip(weights.tensors, weights.split(gradients[0]), strict=True):
            weight.grad = part
        self.optimizer.step()
        moved -= weights.vector()
        function = self.subject.asked(self.loss)[self.loss]
        batch = [(inputs, target)]
        after = self.subject.objective(function, batch, parameters=weights, mode="train", check=False).value()
        numbers = statistics(gradients, errors)
        found = {t: self._head(step) | {"timestep": t} | numbers[t] for t in gradients}
        for t, gradient in gradients.items():
            found[t] |= self._kept(t, gradient, momentum)
            found[t]["predicted"] = float(gradient.double() @ moved.double())
        moment = first_moment(self.optimizer)
        found[0] |= {"realised": before - after} | ({} if moment is None else {"momentum_norm": float(moment.norm())})
        self.rows += found.values()

    def _kept(self, t: int, gradient: Tensor, momentum: Tensor | None) -> dict[str, float]:
        kept = self.kept.setdefault(t, Kept(self.plan.beta))
        kept.add(gradient)
        along = math.nan if momentum is None else cosine(gradient, momentum)
        return {"cosine_to_momentum": along, "kept": kept.part, "kept_null": kept.null}

    def _head(self, step: int) -> dict[str, Any]:
        rate = self.optimizer.param_groups[0]["lr"]
        found = {"optimizer": self.settings.optimizer, "state": self.state, "step": step}
        return found | {"learning_rate": rate, "batch_size": self.plan.batch_size}

    @torch.no_grad()
    def _evaluate(self, step: int) -> None:
        distance = float((self.weights.vector() - self.start).norm())
        far = {"distance": distance, "relative_distance": distance / float(self.start.norm())}
        losses = {f"loss_{name}": function for name, function in self.subject.asked("all").items()}
        for split in self.subject.there:
            values: dict[str, list[Tensor]] = {name: [] for name in [*losses, "accuracy"]}
            for output, target in passes(self.subject, self.subject.batches(split, self.plan.images, 250), None):
                for name, function in losses.items():
                    values[name].append(function(output, target).double())
                right, like = self.subject.score, values[next(iter(losses))][-1]
                values["accuracy"].append(torch.full_like(like, math.nan) if right is None else right(output, target))
            means = {name: float(torch.cat(found).double().mean()) for name, found in values.items()}
            images = sum(len(found) for found in values["accuracy"])
            self.evaluations.append({"step": step, "split": split, "images": images} | means | far)


def continued(checkpoint: Checkpoint, network: nn.Module) -> tuple[torch.optim.Optimizer, str]:
    """The optimizer that ``checkpoint`` was trained with, on the weights of ``network``, and where its state is from.

    "checkpoint", or "fresh" where it begins anew. What a checkpoint made elsewhere doesn't say of its optimizer is what
    :class:`models.training.recipe.Config` says. Raises CheckpointError for a state that doesn't fit.
    """
    optimizer = optimizers.build(_known(checkpoint.training), network)
    state = (checkpoint.resume or {}).get("optimizer", {})
    if not state.get("state"):
        return optimizer, "fresh"
    optimizers.Step.of(checkpoint, network)  # looks through all but the first moments
    with naming(checkpoint.path):
        optimizer.load_state_dict(deepcopy(state))  # which keeps the tensors it is given, and steps change them
        for (name, weight), held in zip(network.named_parameters(), moments(optimizer), strict=True):
            if held is None or held.shape != weight.shape:
                raise CheckpointError(f"the optimizer's state can't be used: no momentum that fits {name}")
    return optimizer, "checkpoint"


def _settings(subject: Subject, beta: float) -> recipe.Config:
    """What is known of its training, the rest as in :class:`models.training.recipe.Config`; see the module for SGD."""
    if subject.checkpoint:
        return _known(subject.checkpoint.training)
    said = {name: subject.factors[name] for name in ("learning_rate", "weight_decay") if name in subject.factors}
    kind = "adam" if str(subject.factors.get("optimizer", "")).lower() == "adam" else "sgd"
    return _known(said | {"optimizer": kind, "momentum": beta})


def _known(training: Mapping[str, Any]) -> recipe.Config:
    known = {field.name for field in fields(recipe.Config)}
    given = {name: value for name, value in training.items() if name in known}
    return recipe.Config(**{"out": Path(), **given})


def _batches(subject: Subject, plan: Plan) -> Iterator[Batch]:
    """A batch of training images for each step, drawn independently of the others and augmented as in training."""
    checkpoint, generator = subject.checkpoint, torch.Generator().manual_seed(plan.seed)
    if checkpoint is None:
        pool = subject.batch("train", None)
        count = examples(None, pool[1])
        drawn = independent_draws(count, count=plan.steps, size=plan.batch_size, generator=generator)
        return (selected(pool, index, subject.axis) for index in drawn)
    data = subject.dataset or checkpoint.load_data()
    augment = data.augment if _known(checkpoint.training).augment else None
    return data.train.batches(
        plan.batch_size,
        generator=generator,
        augment=augment,
        device=subject.device,
        dtype=subject.dtype,
        draws=plan.steps,
    )
