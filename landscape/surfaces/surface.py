"""The loss over a line or a plane through the weights: L(w + α d₁ + β d₂) (Goodfellow et al. 2015; Li et al. 2018).

At every point one forward pass over the data gives all metrics, example by example; the mean over examples is the
surface. Two standard errors come with it, both over the N examples:

    stderr       of the mean of ℓᵢ(α, β)                how well the height is known
    rise_stderr  of the mean of ℓᵢ(α, β) − ℓᵢ(0, 0)     how well the height above the centre is known

The second is paired and near the centre much the smaller: the same examples are hard at both points. Reading the
error of a difference off the first overstates it.

**Fewer examples.** With a tolerance a point takes only n of the N examples, as many as its paired differences ask for
(:mod:`landscape.surfaces.sampling`), and its height is the centre's over all examples plus the mean difference over n::

    L(α, β) ≈ L_N(0, 0) + mean over n of [ℓᵢ(α, β) − ℓᵢ(0, 0)]

``sampling_stderr``, sd(ℓᵢ(α, β) − ℓᵢ(0, 0)) √(1/n − 1/N), is how far that is from the surface of all N examples:
0 where n = N, which is everywhere without a tolerance.

A loss that overflows far out stays inf or nan in the result; nothing is dropped or replaced.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Unpack

import numpy as np
import pandas as pd
from jaxtyping import Float, Float64, Int
from torch import Tensor, nn

from ..evaluation import Reading, Source
from ..objective import Parameters
from .moments import Moments
from .points import Metrics, Points, evaluate_points
from .sampling import Found, Run, Task, in_turn, sampled

__all__ = ["Surface", "evaluate_points", "grid", "mean_and_stderr", "surface"]


@dataclass(frozen=True)
class Surface:
    """Mean, standard error, and paired standard error of the rise above the centre, of each metric at each point.

    Arrays are ``[alpha, beta]``; a line has the single β = 0. ``images`` is the number of examples a point took, out of
    ``examples``; ``sampling_stderr`` is the error of not having taken all.
    """

    alphas: Float[np.ndarray, " alpha"]
    betas: Float[np.ndarray, " beta"]
    mean: dict[str, Float[np.ndarray, "alpha beta"]]
    stderr: dict[str, Float[np.ndarray, "alpha beta"]]
    rise_stderr: dict[str, Float[np.ndarray, "alpha beta"]]
    sampling_stderr: dict[str, Float[np.ndarray, "alpha beta"]]
    images: Int[np.ndarray, "alpha beta"]
    examples: int

    def to_frame(self) -> pd.DataFrame:
        """One row per metric and point: metric, alpha, beta, value, stderr, rise_stderr, sampling_stderr, images."""
        alpha, beta = np.meshgrid(self.alphas, self.betas, indexing="ij")
        columns = {"value": self.mean, **{name: getattr(self, name) for name in _ERRORS}}
        place = {"alpha": alpha.ravel(), "beta": beta.ravel()}
        frames = [
            pd.DataFrame(
                {"metric": name, **place, **{column: found[name].ravel() for column, found in columns.items()}}
            ).assign(images=self.images.ravel())
            for name in self.mean
        ]
        return pd.concat(frames, ignore_index=True)


_ERRORS = ("stderr", "rise_stderr", "sampling_stderr")


def grid(start: float, stop: float, count: int) -> Float[np.ndarray, " count"]:
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
    batches: Source,
    directions: Sequence[Float[Tensor, " dimension"]],
    alphas: Iterable[float],
    betas: Iterable[float] | None = None,
    *,
    parameters: Parameters | None = None,
    mode: str = "eval",
    prepare: Callable[[nn.Module], object] | None = None,
    channels_last: bool = False,
    tolerance: Mapping[str, float] | None = None,
    run: Run = in_turn,
    progress: Callable[[int], object] | None = None,
    **reading: Unpack[Reading],
) -> Surface:
    """Every metric at every point of ``alphas`` × ``betas`` (a line when ``betas`` is None, with one direction).

    ``tolerance`` names metrics and the error wanted of each, relative to the range of its surface: with {"loss": 0.02}
    every point takes as many examples as bring its ``sampling_stderr`` to 2 % of the largest less the smallest height.
    Examples are then taken by whole batches, in the order given: pass them in random order, in batches of 50 or so.

    ``run(tasks, evaluate)`` yields ``evaluate(task)`` of each task in order; one of your own may spread tasks over
    processes, or keep what was found (:class:`~landscape.surfaces.Task` is all that a result depends on).
    ``progress`` is called after each task with the number done. The weights as found are evaluated first, over all
    examples. Other arguments and errors are those of :class:`~landscape.surfaces.points.Points`.
    """
    axes = [np.array(list(axis), dtype=float) for axis in (alphas, *(() if betas is None else (betas,)))]
    if len(axes) != len(directions) or not all(len(axis) for axis in axes):
        raise ValueError(f"each direction needs coordinates: got {len(directions)} directions, axes of {axes}")
    space = Points(
        model, metrics, batches, directions,
        parameters=parameters, mode=mode, prepare=prepare, channels_last=channels_last, **reading,
    )  # fmt: skip
    height = _Heights(space)
    points = list(product(*map(np.ndarray.tolist, axes)))
    with space.lent():
        found = sampled(points, space.sizes, height, tolerance or {}, _counted(run, progress))
        found[height.origin] = height.centre()  # of all examples, however few the other points took
    return _surface(axes, [found[point] for point in points], found[height.origin])


class _Heights:
    """The task's answer: moments of each metric and of its rise above the centre."""

    def __init__(self, space: Points):
        self.space = space
        self.origin = (0.0,) * space.dimension
        self.ends = np.cumsum([0, *space.sizes]).tolist()
        self.at_centre = cache(lambda: space.values(self.origin))

    def centre(self) -> Found:
        return {name: (Moments.of(each), Moments(len(each), 0.0, 0.0)) for name, each in self.at_centre().items()}

    def __call__(self, task: Task) -> Found:
        centre = self.at_centre()
        part = slice(self.ends[task.start], self.ends[task.stop])
        if task.point == self.origin:
            values = {name: each[part] for name, each in centre.items()}
        else:
            values = self.space.values(task.point, task.start, task.stop)
        return {name: (Moments.of(each), Moments.of(each - centre[name][part])) for name, each in values.items()}


def _counted(run: Run, progress: Callable[[int], object] | None) -> Run:
    done = 0

    def counted(tasks: Sequence[Task], evaluate: Callable[[Task], Found]) -> Iterable[Found]:
        nonlocal done
        for found in run(tasks, evaluate):
            done += 1
            if progress is not None:
                progress(done)
            yield found

    return counted


def _surface(axes: list[np.ndarray], found: Sequence[Found], centre: Found) -> Surface:
    shape = (len(axes[0]), -1)
    examples = next(iter(centre.values()))[0].size

    def table(of: Callable[[str, Moments, Moments], float]) -> dict[str, np.ndarray]:
        return {name: np.array([of(name, *moments[name]) for moments in found]).reshape(shape) for name in centre}

    def mean(name: str, value: Moments, rise: Moments) -> float:
        return value.mean if value.size == examples else centre[name][0].mean + rise.mean

    def stderr(_: str, value: Moments, rise: Moments) -> float:
        # Of the estimate above: its examples are among those of the centre, so that covariances cancel.
        return float(np.sqrt(value.variance / examples + rise.variance * (1 / rise.size - 1 / examples)))

    return Surface(
        axes[0],
        axes[1] if len(axes) > 1 else np.zeros(1),
        table(mean),
        table(stderr),
        table(lambda _, _value, rise: rise.stderr),
        table(lambda _, _value, rise: rise.stderr_of(examples)),
        np.array([next(iter(moments.values()))[0].size for moments in found]).reshape(shape),
        examples,
    )


def mean_and_stderr(values: Float64[Tensor, " example"]) -> tuple[float, float]:
    """The mean of independent values and its standard error; the latter is nan for a single value."""
    found = Moments.of(values)
    return found.mean, found.stderr
