"""Gradients by timestep, what momentum keeps of them, and whether the loss follows them.

    python -m analysis.momentum runs/tet-0/ckpt.pt

Deng et al. 2022 (section 4.2) argue by a "loss of momentum" that they never define. These are definitions. W are the
weights of a checkpoint, b = 1 … K batches of training images, δ_i(t) = ∂ℓ_i/∂O_i(t) an image's error signal, and::

    g_b(t) = mean_i δ_i(t)ᵀ ∂O_i(t)/∂W        the step's term of equations 8 (SDT) and 10 (TET), its 1/T included,

so that Σ_t g_b(t) is the gradient g_b. For SDT δ is the same at every t, for TET it is not. ḡ is a mean over batches.
Everything but ``--steps`` is at frozen weights, and BatchNorm in training mode unless asked otherwise.

Tables, after checkpoint, network, data, method, training, seed, loss:

- ``momentum.csv``: timestep (1 … T; 0 is the whole gradient), error_norm √mean_i ‖T δ_i(t)‖² (at 0: of Σ_t δ_i(t); of
  the outputs, so the same for all layers), gradient_norm ‖ḡ(t)‖, gain = gradient_norm/error_norm, cosine_to_total
  cos(ḡ(t), ḡ), share ⟨ḡ(t), ḡ⟩/‖ḡ‖² (sums to 1 over t ≥ 1), noise √mean_b ‖g_b(t) − ḡ(t)‖², coherence
  ‖m_K‖ / mean_b ‖g_b(t)‖ with m the bias-corrected moving average of decay β over the batches, coherence_null, what
  noise would have if these images' own gradient were zero, coherence_null_sampled, if they were a sample of a
  distribution whose mean gradient is zero (both :mod:`models.training.nulls`), batches K, batch_size B, images n, beta
- ``momentum_pairs.csv``: timestep, other, cosine of ḡ(timestep) and ḡ(other)
- ``descent.csv``: direction ("gradient" ḡ, "momentum" m_K, "step-t" ḡ(t)) and the columns of
  :mod:`analysis.momentum.descent`

``--layers`` adds ``momentum_layers.csv``, ``momentum_pairs_layers.csv`` and ``descent_layers.csv`` (along the first two
directions): the same with a column layer, of the part of every vector that is a module's own weights. ``--steps K``
adds ``momentum_steps.csv`` and ``switch.csv``: :mod:`analysis.momentum.onward`.

Batches are drawn independently of each other (no image twice in one). So the square of ``gradient_norm`` holds, beside
the square of the gradient expected of a batch, noise²/(K − 1) in the mean: more ``--batches`` bring it down. A
coherence between the two nulls says that these images have a gradient, though no longer one than n images would have
by chance. Where a batch holds a large part of the images the second null is near 1, and coherence says little.

Memory: a batch's graph and backward (:mod:`models.training.step_gradients`), and 2T + 6 vectors of the weights' size,
twice that with ``--layers``, however many batches. VGGSNN at T = 10 with 50 images of 48×48 a batch takes 7.2 GiB on a
CPU with the fused neuron. BatchNorm ties a batch's images together, so it is one forward; for less memory take a
smaller ``--batch-size``.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import pandas as pd
import torch
from jaxtyping import Int
from torch import Tensor
from tqdm import tqdm

from landscape.evaluation import examples
from landscape.objective import Objective, Parameters
from landscape.refusal import Refusal
from models.data.splits import independent_draws
from models.training.nulls import coherence_null, sampled_null
from models.training.step_gradients import cosine, statistics, step_gradients
from tables.result import Result

from ..command import analyse
from ..hessian.layers import by_layer
from ..subject import Batch, NotFinite, Subject, Subjects, Unsuited, complex_weight
from ..subject.sources import selected
from .descent import descent
from .flags import Config
from .onward import Plan, onward
from .streams import Stream

WHOLE = "whole"
_OF_ONE = "more than 1 value per channel"
_USUAL = {"batch_size": 50, "momentum": 0.9}  # of subjects that don't say
Streams = dict[str, dict[int, Stream]]


def draw_batches(
    pool: Batch, *, count: int, size: int, seed: int, axis: int = 0
) -> tuple[list[Batch], Int[Tensor, " example"]]:
    """``count`` batches of ``size``, drawn independently of each other, and which image each of their examples is.

    No image is twice in a batch. ``axis`` is that of the examples in the pool's inputs: 1 for events [time, image, …].
    Raises ValueError for batches that can't be had.
    """
    generator = torch.Generator().manual_seed(seed)
    chosen = independent_draws(examples(None, pool[1]), count=count, size=size, generator=generator)
    return [selected(pool, index, axis) for index in chosen], chosen.flatten()


def measure(subject: Subject, config: Config) -> dict[str, pd.DataFrame]:
    """The tables of one checkpoint; both losses see the same batches. What dropout draws is of ``config.seed`` too."""
    with torch.random.fork_rng():
        torch.manual_seed(config.seed)
        return _measured(subject, config)


def _measured(subject: Subject, config: Config) -> dict[str, pd.DataFrame]:
    if named := complex_weight(subject.network):
        raise Unsuited(
            f"{subject.title}: parameter {named!r} is complex, and gradients by timestep are of real weights: they "
            "can't be measured"
        )
    pool = subject.batch(config.split, config.images)
    number, beta = examples(None, pool[1]), _beta(subject, config)
    size = _batch_size(subject, config, number)
    plan = Plan(config.steps, config.step_rate, size, beta, config.images, config.seed, config.quiet)
    batches, index = draw_batches(pool, count=config.batches, size=size, seed=config.seed, axis=subject.axis)
    tables: dict[str, list[pd.DataFrame]] = {}
    asked = subject.asked(config.loss)
    for loss, function in asked.items():
        settled = config.mode == "eval"  # in training, dropout may draw
        objective = subject.objective(function, batches, mode=config.mode, check=settled)
        pieces = _pieces(objective.parameters, config.layers)
        streams, errors = _stream(subject, loss, objective, pieces, beta, config)
        before = objective.examples() if config.relative_steps else None
        for layer, piece in pieces.items():
            numbers = _statistics(streams[layer], errors, size=size, images=number)
            found = {"momentum": numbers, "momentum_pairs": _pairs(streams[layer])}
            if before is not None:
                found["descent"] = _descent(objective, streams, layer, piece, index, before, config)
            for name, table in found.items():
                table.insert(0, "loss", loss)
                if layer != WHOLE:
                    table.insert(1, "layer", layer)
                tables.setdefault(name if layer == WHOLE else f"{name}_layers", []).append(table)
    stacked = {name: pd.concat(parts, ignore_index=True) for name, parts in tables.items()}
    return stacked | (onward(subject, tuple(asked), plan) if plan.steps else {})


def _batch_size(subject: Subject, config: Config, images: int) -> int:
    if config.batch_size:
        return config.batch_size
    usual = subject.training.get("batch_size", None if subject.checkpoint else _USUAL["batch_size"])
    if usual is None:
        raise ValueError(f"{subject.title} doesn't say what batches it was trained on: give --batch-size")
    return min(int(usual), images)


def _beta(subject: Subject, config: Config) -> float:
    known = subject.training.get("momentum", None if subject.checkpoint else _USUAL["momentum"])
    beta = known if config.beta is None else config.beta
    if beta is None:
        raise ValueError(f"{subject.title} doesn't say what momentum it was trained with: give --beta")
    if not 0 <= beta < 1:
        raise ValueError(f"beta must lie in [0, 1), got {beta}")
    return float(beta)


def _pieces(parameters: Parameters, layers: bool) -> dict[str, slice]:
    """Where in a vector of all weights the whole lies, and each layer."""
    pieces, start = {WHOLE: slice(0, parameters.dimension)}, 0
    sizes = dict(zip(parameters.names, parameters.sizes, strict=True))
    for layer, names in by_layer(parameters).items() if layers else ():
        end = start + sum(sizes[name] for name in names)
        pieces[layer], start = slice(start, end), end
    return pieces


def _stream(
    subject: Subject, loss: str, objective: Objective, pieces: Mapping[str, slice], beta: float, config: Config
) -> tuple[Streams, dict[int, float]]:
    """Gradients by layer and the error signals' root mean squares, by timestep, 0 for the whole, over all batches."""
    weights, function = objective.parameters.tensors, subject.timed(loss)
    streams: Streams = {layer: {} for layer in pieces}
    squares: dict[int, float] = {}
    with objective.evaluating(), torch.enable_grad():
        bar = tqdm(objective.batches(), unit="batch", disable=config.quiet, delay=2, leave=False)
        for share, inputs, target in bar:
            at_once = max(1, config.chunk // examples(None, target))
            with _in_training(config):
                output = subject.time_first(objective.output(inputs))
            _check(subject, loss, function(output.detach(), target), config)
            for t, error, gradient in step_gradients(output, target, function, weights, at_once=at_once):
                for layer, piece in pieces.items():
                    if t in streams[layer]:
                        streams[layer][t].add(gradient[piece])
                    else:
                        streams[layer][t] = Stream(gradient[piece], beta)
                squares[t] = squares.get(t, 0.0) + share * float(error.square().flatten(1).sum(1).mean())
    ordered = {layer: dict(sorted(found.items())) for layer, found in streams.items()}
    return ordered, {t: square**0.5 for t, square in squares.items()}


@contextmanager
def _in_training(config: Config) -> Iterator[None]:
    """Of BatchNorm, which in training has nothing to normalise one example by, the way out is said."""
    try:
        yield
    except Refusal as error:
        if config.mode == "train" and _OF_ONE in str(error):
            raise Refusal(f"{error}. Take its running statistics, --mode eval, or larger batches") from error
        raise


def _check(subject: Subject, loss: str, values: Tensor, config: Config) -> None:
    if not values.isfinite().all():
        said = f"the loss {loss} is {float(values.mean())} at these weights: it has no gradient to speak of"
        raise NotFinite(f"{subject.title}, {config.split} data: {said}")


def _statistics(streams: Mapping[int, Stream], errors: Mapping[int, float], *, size: int, images: int) -> pd.DataFrame:
    found = statistics({t: stream.mean for t, stream in streams.items()}, errors)
    rows = [
        {
            "timestep": t,
            **found[t],
            "noise": stream.noise,
            "coherence": stream.coherence,
            "coherence_null": coherence_null(stream.beta, stream.count),
            "coherence_null_sampled": sampled_null(stream.beta, stream.count, size=size, images=images),
            "batches": stream.count,
            "batch_size": size,
            "images": images,
            "beta": stream.beta,
        }
        for t, stream in streams.items()
    ]
    return pd.DataFrame(rows)


def _pairs(streams: Mapping[int, Stream]) -> pd.DataFrame:
    steps = {t: stream.mean for t, stream in streams.items() if t > 0}
    rows = [{"timestep": t, "other": s, "cosine": cosine(steps[t], steps[s])} for t in steps for s in steps]
    return pd.DataFrame(rows)


def _descent(
    objective: Objective, streams: Streams, layer: str, piece: slice, index: Tensor, before: Tensor, config: Config
) -> pd.DataFrame:
    """Along the vectors of ``layer``, zero elsewhere."""
    own = streams[layer]
    directions = {"gradient": own[0].mean, "momentum": own[0].momentum}
    if layer == WHOLE:
        directions |= {f"step-{t}": stream.mean for t, stream in own.items() if t > 0}
    whole, steps = streams[WHOLE][0].mean, config.relative_steps
    return descent(objective, whole, directions, relative_steps=steps, images=index, piece=piece, before=before)


def run(config: Config, subjects: Subjects = ()) -> Result:
    """The tables momentum, momentum_pairs and descent of every checkpoint, and with ``steps`` two more."""
    return analyse(config, measure, subjects)
