"""The loss over a line or a plane through the weights: L(w + α d₁ + β d₂) (Goodfellow et al. 2015; Li et al. 2018).

At every point one forward pass over the data gives all metrics, example by example; the mean over examples is the
surface. Two standard errors come with it, both over the n examples:

    stderr       of the mean of ℓᵢ(α, β)                how well the height is known
    rise_stderr  of the mean of ℓᵢ(α, β) − ℓᵢ(0, 0)     how well the height above the centre is known

The second is paired and near the centre much the smaller: the same examples are hard at both points. Reading the
error of a difference off the first overstates it.

A loss that overflows far out stays inf or nan in the result; nothing is dropped or replaced.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Float64
from torch import Tensor, nn

from .parameters import Parameters, preserved

Metrics = Callable[[Tensor, Tensor], dict[str, Tensor]]
Batches = Iterable[tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Surface:
    """Mean, standard error, and paired standard error of the rise above the centre, of each metric at each point.

    Arrays are ``[alpha, beta]``; a line has the single β = 0.
    """

    alphas: Float[np.ndarray, "alpha"]
    betas: Float[np.ndarray, "beta"]
    mean: dict[str, Float[np.ndarray, "alpha beta"]]
    stderr: dict[str, Float[np.ndarray, "alpha beta"]]
    rise_stderr: dict[str, Float[np.ndarray, "alpha beta"]]
    examples: int

    def to_frame(self) -> pd.DataFrame:
        """One row per metric and point: metric, alpha, beta, value, stderr, rise_stderr."""
        alpha, beta = np.meshgrid(self.alphas, self.betas, indexing="ij")
        frames = [
            pd.DataFrame(
                {
                    "metric": name,
                    "alpha": alpha.ravel(),
                    "beta": beta.ravel(),
                    "value": self.mean[name].ravel(),
                    "stderr": self.stderr[name].ravel(),
                    "rise_stderr": self.rise_stderr[name].ravel(),
                }
            )
            for name in self.mean
        ]
        return pd.concat(frames, ignore_index=True)


def grid(start: float, stop: float, count: int) -> Float[np.ndarray, "count"]:
    """``count`` evenly spaced coordinates from ``start`` to ``stop``, both included.

    A symmetric range is exactly antisymmetric, so an odd ``count`` holds 0 exactly and the centre is the weights as
    found. Raises ValueError for fewer than two points or a range that is empty or not finite.
    """
    if count < 2:
        raise ValueError(f"a grid needs at least 2 points, got {count}")
    if not (np.isfinite([start, stop]).all() and start < stop):
        raise ValueError(f"a grid must run from a finite start up to a larger finite stop, got {start} to {stop}")
    points = np.linspace(start, stop, count)
    return (points - points[::-1]) / 2 if start == -stop else points


def surface(
    model: nn.Module,
    metrics: Metrics,
    batches: Batches,
    directions: Sequence[Float[Tensor, "dimension"]],
    alphas: Iterable[float],
    betas: Iterable[float] | None = None,
    *,
    parameters: Parameters | None = None,
    mode: str = "eval",
    progress: Callable[[int], object] | None = None,
) -> Surface:
    """Every metric at every point of ``alphas`` × ``betas`` (a line when ``betas`` is None, with one direction).

    ``progress`` is called after each point of the grid with the number of points done. The centre is evaluated first
    (once more than the grid asks for when the grid lacks it). The other arguments and the errors are those of
    :func:`evaluate_points`.
    """
    axes = [np.array(list(axis), dtype=float) for axis in (alphas, *(() if betas is None else (betas,)))]
    if len(axes) != len(directions) or not all(len(axis) for axis in axes):
        raise ValueError(f"each direction needs coordinates: got {len(directions)} directions, axes of {axes}")
    wanted = list(product(*axes))
    origin = (0.0,) * len(axes)
    points = [origin, *(point for point in wanted if point != origin)]
    counted = int(origin in wanted)
    centre: dict[str, Tensor] = {}
    found = {}
    for index, values in evaluate_points(model, metrics, batches, directions, points, parameters=parameters, mode=mode):
        centre = centre or values
        found[points[index]] = {name: _estimates(values[name], centre[name]) for name in values}
        if progress is not None and index + counted:
            progress(index + counted)
    shape = (len(axes[0]), -1)
    tables = {name: np.array([found[point][name] for point in wanted]).T for name in centre}
    mean, stderr, rise_stderr = (
        {name: table[row].reshape(shape) for name, table in tables.items()} for row in range(3)
    )
    examples = len(next(iter(centre.values())))
    return Surface(axes[0], axes[1] if len(axes) > 1 else np.zeros(1), mean, stderr, rise_stderr, examples)


def evaluate_points(
    model: nn.Module,
    metrics: Metrics,
    batches: Batches,
    directions: Sequence[Float[Tensor, "dimension"]],
    points: Sequence[tuple[float, ...]],
    *,
    parameters: Parameters | None = None,
    mode: str = "eval",
) -> Iterator[tuple[int, dict[str, Float64[Tensor, "example"]]]]:
    """Yield ``(index, values)`` for each point in the order given; ``values[name]`` has one number per example.

    ``points[index]`` holds one coordinate per direction. Points do not depend on one another: pass those still
    missing to resume, or a part to each process. Between points the model is as it was found, weights bit for bit,
    so that the iteration may be left at any time.

    ``metrics(output, target)`` returns tensors of shape ``[batch]`` by name, all from the one output. ``batches`` is
    iterated once per point and must give the same examples each time. ``directions`` are flat vectors over
    ``parameters`` (default: all that train); only weights with a nonzero entry are written. ``mode`` is "eval" or
    "train" (BatchNorm then uses each batch's statistics at each point).

    Raises ValueError for batches that are empty or can be read only once, a metric that is not one value per example,
    a direction that does not fit or is not finite, and an unknown mode.
    """
    parameters = parameters or Parameters(model)
    if mode not in ("eval", "train"):
        raise ValueError(f"mode must be 'eval' or 'train', got {mode!r}")
    if iter(batches) is batches:
        raise ValueError("batches can be read only once, and are needed at every point: pass a list or a loader")
    for direction in directions:
        if len(direction) != parameters.dimension or not direction.isfinite().all():
            raise ValueError(f"a direction must hold {parameters.dimension} finite numbers, got {len(direction)}")
    parts = zip(*(parameters.split(direction) for direction in directions), strict=True)
    moves = [(weight, part) for weight, part in zip(parameters.tensors, parts, strict=True) if any(map(_moves, part))]
    for index, point in enumerate(points):
        with parameters.restored(), preserved(model), torch.no_grad():
            model.train(mode == "train")
            for weight, part in moves:
                for coordinate, step in zip(point, part, strict=True):
                    weight.add_(step, alpha=coordinate)
            values = _evaluate(model, metrics, batches, parameters.device)
        yield index, values


def mean_and_stderr(values: Float64[Tensor, "example"]) -> tuple[float, float]:
    """The mean of independent values and its standard error; the latter is nan for a single value."""
    count = len(values)
    return float(values.mean()), float(values.std()) / count**0.5 if count > 1 else float("nan")


def _moves(step: Tensor) -> bool:
    return bool(step.any())


def _evaluate(model: nn.Module, metrics: Metrics, batches: Batches, device: torch.device) -> dict[str, Tensor]:
    collected: dict[str, list[Tensor]] = {}
    for inputs, target in batches:
        if not len(target):
            continue
        for name, value in metrics(model(inputs.to(device)), target.to(device)).items():
            if value.shape != (len(target),):
                raise ValueError(f"metric {name!r} must be one value per example, got shape {list(value.shape)}")
            collected.setdefault(name, []).append(value)
    if not collected:
        raise ValueError("the batches hold no example: nothing to average over")
    # In float64: the differences taken later are far smaller than the values.
    return {name: torch.cat(values).cpu().double() for name, values in collected.items()}


def _estimates(values: Tensor, centre: Tensor) -> tuple[float, float, float]:
    return *mean_and_stderr(values), mean_and_stderr(values - centre)[1]
