"""Gradients by timestep, what momentum keeps of them, and whether the loss follows them.

    python -m analysis.momentum runs/tet-0/ckpt.pt

Deng et al. 2022 (section 4.2) argue by a "loss of momentum" that they never define. These are definitions. W are the
weights of a checkpoint, b = 1 … K batches of training images, δ_i(t) = ∂ℓ_i/∂O_i(t) an image's error signal, and::

    g_b(t) = mean_i δ_i(t)ᵀ ∂O_i(t)/∂W        the step's term of equations 8 (SDT) and 10 (TET), its 1/T included,

so that Σ_t g_b(t) is the gradient g_b. For SDT δ is the same at every t, for TET it is not. ḡ is a mean over batches.
Everything is at frozen weights, and BatchNorm in training mode unless asked otherwise.

Tables, after checkpoint, network, data, training, seed:

- ``momentum.csv``: loss, timestep (1 … T; 0 is the whole gradient), error_norm √mean_i ‖T δ_i(t)‖² (at 0: of
  Σ_t δ_i(t)), gradient_norm ‖ḡ(t)‖, noise √mean_b ‖g_b(t) − ḡ(t)‖², gain = gradient_norm/error_norm, cosine_to_total
  cos(ḡ(t), ḡ), share ⟨ḡ(t), ḡ⟩/‖ḡ‖² (sums to 1 over t ≥ 1), coherence ‖m_K‖ / mean_b ‖g_b(t)‖ with m the
  bias-corrected moving average of decay β over the batches, coherence_null (:func:`coherence_null`), batches K, beta
- ``momentum_pairs.csv``: loss, timestep, other, cosine of ḡ(timestep) and ḡ(other)
- ``descent.csv``: loss, direction ("gradient" ḡ, "momentum" m_K, "step-t" ḡ(t)) and the columns of
  :mod:`analysis.descent`

``gradient_norm`` of K batches still holds noise²/K in its square. One forward and T backwards a batch; beside that
graph, memory for 2T + 6 vectors of the weights' size (VGGSNN at T = 10: 0.9 GiB), however many batches.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd
import torch
import tyro
from jaxtyping import Float, Int
from torch import Tensor
from tqdm import tqdm

from landscape.objective import Objective

from . import command
from .command import analyse
from .descent import descent
from .result import Result
from .subject import Batch, Subject, per_image


@dataclass(frozen=True)
class Config(command.OneSplit):
    """Gradient and momentum statistics by timestep, and realised against predicted decrease of the loss."""

    batches: int = 20
    """K, the batches that the gradient is taken on."""
    batch_size: int = 0
    """Images in a batch; 0 takes as many as in training, or all images where they are fewer."""
    chunk: tyro.conf.Suppress[int] = 0
    """No part here: a batch is one pass."""
    beta: float | None = None
    """Decay of the moving average; by default the optimizer's momentum (Adam: the first beta)."""
    mode: Literal["train", "eval"] = "train"
    """BatchNorm's: each batch's own statistics as in training, or the running ones."""
    relative_steps: tuple[float, ...] = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
    """Steps of the descent, as length relative to the weights'; none leaves it out."""


class Stream:
    """Statistics of vectors g_1 … g_K that come one at a time; two are held, whatever K is."""

    def __init__(self, first: Float[Tensor, "dimension"], beta: float):
        self.beta, self.count = beta, 1
        self.mean = first.clone()
        self._average = (1 - beta) * first
        self._norms, self._scatter = float(first.norm()), 0.0

    def add(self, vector: Float[Tensor, "dimension"]) -> None:
        """Take the next vector in (Welford's update: a small scatter about a large mean keeps its digits)."""
        self.count += 1
        deviation = vector - self.mean
        self.mean.add_(deviation, alpha=1 / self.count)
        self._scatter += (1 - 1 / self.count) * float(deviation @ deviation)
        self._average.mul_(self.beta).add_(vector, alpha=1 - self.beta)
        self._norms += float(vector.norm())

    @property
    def momentum(self) -> Float[Tensor, "dimension"]:
        """m_K: Σ_b β^(K−b) g_b over Σ_b β^(K−b)."""
        return self._average / (1 - self.beta**self.count)

    @property
    def noise(self) -> float:
        """√mean_b ‖g_b − ḡ‖²; for the spread of a single batch multiply by √(K/(K−1))."""
        return float((self._scatter / self.count) ** 0.5)

    @property
    def coherence(self) -> float:
        """‖m_K‖ / mean_b ‖g_b‖: 1 when all agree, :func:`coherence_null` when they are noise, NaN when all are 0."""
        return float(self.momentum.norm() * self.count / self._norms)


def coherence_null(beta: float, batches: int) -> float:
    """The coherence of independent vectors of mean zero in many dimensions.

    √Σ_b w_b² for the moving average's weights w_b = (1−β) β^(K−b) / (1−β^K), which is::

        √( (1−β)(1+β^K) / ((1+β)(1−β^K)) )        →  √((1−β)/(1+β))  as K → ∞

    Batches of one permutation share no image and those of different ones may: for them it is close, not exact.
    """
    rest = beta**batches
    return float(((1 - beta) * (1 + rest) / ((1 + beta) * (1 - rest))) ** 0.5)


def step_gradients(
    objective: Objective, images: Float[Tensor, "..."], labels: Int[Tensor, "batch"]
) -> Iterator[tuple[int, Float[Tensor, "batch class"], Float[Tensor, "dimension"]]]:
    """(t, T·δ_i(t) of every image, g_b(t)) for t = 1 … T, then their mean and sum over t as (0, Σ_t δ_i(t), g_b).

    One forward, T backwards on its graph. Call it inside ``objective.evaluating()``; the loss gives one value an image.
    """
    logits = objective.model(images)
    leaf = logits.detach().requires_grad_()
    (errors,) = torch.autograd.grad(objective.loss(leaf, labels).sum(), leaf)
    whole = torch.zeros(objective.parameters.dimension, dtype=logits.dtype, device=logits.device)
    for t, error in enumerate(errors, 1):
        gradients = torch.autograd.grad(
            logits[t - 1],
            objective.parameters.tensors,
            error / len(labels),
            retain_graph=t < len(errors),
            allow_unused=True,
        )
        gradient = objective.parameters.flatten(gradients)
        whole += gradient
        yield t, len(errors) * error, gradient
    yield 0, errors.sum(0), whole


def draw_batches(
    images: Float[Tensor, "..."], labels: Int[Tensor, "image"], *, count: int, size: int, seed: int
) -> tuple[list[Batch], Int[Tensor, "example"]]:
    """``count`` batches of ``size`` from permutations of the images, and which image each of their examples is.

    As many permutations as it takes; what a permutation leaves over for a smaller batch is left out. Images are
    [image, ...], or [time, image, ...] for events. Raises ValueError for batches that can't be had.
    """
    if count < 1 or not 1 <= size <= len(labels):
        raise ValueError(
            f"can't draw {count} batches of {size} from {len(labels)} images: ask for at least one, of at most all"
        )
    generator = torch.Generator().manual_seed(seed)
    chosen: list[Tensor] = []
    while len(chosen) < count:
        order = torch.randperm(len(labels), generator=generator)
        chosen += order[: len(order) // size * size].split(size)
    chosen = [index.to(labels.device) for index in chosen[:count]]
    time_axes = images.dim() - 4
    return [(images.index_select(time_axes, index), labels[index]) for index in chosen], torch.cat(chosen)


def measure(subject: Subject, config: Config) -> dict[str, pd.DataFrame]:
    """The three tables of one checkpoint; both losses see the same batches."""
    images, labels = subject.batch(config.split, config.images)
    size = config.batch_size or min(subject.checkpoint.training["batch_size"], len(labels))
    batches, index = draw_batches(images, labels, count=config.batches, size=size, seed=config.seed)
    tables: dict[str, list[pd.DataFrame]] = {"momentum": [], "momentum_pairs": [], "descent": []}
    for loss in config.losses:
        objective = Objective(subject.network, per_image(loss), batches, mode=config.mode)
        streams, errors = _stream(objective, _beta(subject, config), config.quiet)
        found = {"momentum": _statistics(streams, errors), "momentum_pairs": _pairs(streams)}
        if config.relative_steps:
            found["descent"] = _descent(objective, streams, index, config)
        for name, table in found.items():
            table.insert(0, "loss", loss)
            tables[name].append(table)
    return {name: pd.concat(parts, ignore_index=True) for name, parts in tables.items() if parts}


def _beta(subject: Subject, config: Config) -> float:
    beta = float(subject.checkpoint.training["momentum"] if config.beta is None else config.beta)
    if not 0 <= beta < 1:
        raise ValueError(f"beta must lie in [0, 1), got {beta}")
    return beta


def _stream(objective: Objective, beta: float, quiet: bool) -> tuple[dict[int, Stream], dict[int, float]]:
    """Gradients and the error signals' root mean squares over all batches, by timestep, 0 for the whole."""
    streams: dict[int, Stream] = {}
    squares: dict[int, float] = {}
    with objective.evaluating():
        for weight, images, labels in tqdm(objective.batches(), unit="batch", disable=quiet, delay=2, leave=False):
            for t, error, gradient in step_gradients(objective, images, labels):
                if t in streams:
                    streams[t].add(gradient)
                else:
                    streams[t] = Stream(gradient, beta)
                squares[t] = squares.get(t, 0.0) + weight * float(error.square().sum(1).mean())
    return dict(sorted(streams.items())), {t: square**0.5 for t, square in squares.items()}


def _statistics(streams: Mapping[int, Stream], errors: Mapping[int, float]) -> pd.DataFrame:
    whole = streams[0].mean
    rows = [
        {
            "timestep": t,
            "error_norm": errors[t],
            "gradient_norm": float(stream.mean.norm()),
            "noise": stream.noise,
            "gain": float(stream.mean.norm() / errors[t]),
            "cosine_to_total": _cosine(stream.mean, whole),
            "share": float(stream.mean @ whole / (whole @ whole)),
            "coherence": stream.coherence,
            "coherence_null": coherence_null(stream.beta, stream.count),
            "batches": stream.count,
            "beta": stream.beta,
        }
        for t, stream in streams.items()
    ]
    return pd.DataFrame(rows)


def _pairs(streams: Mapping[int, Stream]) -> pd.DataFrame:
    steps = {t: stream.mean for t, stream in streams.items() if t > 0}
    rows = [{"timestep": t, "other": s, "cosine": _cosine(steps[t], steps[s])} for t in steps for s in steps]
    return pd.DataFrame(rows)


def _cosine(a: Tensor, b: Tensor) -> float:
    a, b = a.double(), b.double()
    return float(a @ b / (a.norm() * b.norm()))


def _descent(objective: Objective, streams: Mapping[int, Stream], index: Tensor, config: Config) -> pd.DataFrame:
    whole = streams[0]
    directions = {"gradient": whole.mean, "momentum": whole.momentum}
    directions |= {f"step-{t}": stream.mean for t, stream in streams.items() if t > 0}
    return descent(objective, whole.mean, directions, relative_steps=config.relative_steps, images=index)


def run(config: Config) -> Result:
    """The tables momentum, momentum_pairs and descent of every checkpoint."""
    return analyse(config, measure)


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    return command.main(Config, run, argv, "python -m analysis.momentum")


if __name__ == "__main__":
    sys.exit(main())
