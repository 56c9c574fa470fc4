"""The loss over a line or a plane through the weights: L(w + α d₁ + β d₂) (Goodfellow et al. 2015; Li et al. 2018).

At every point one forward pass over the data gives all metrics, example by example; the mean over examples is the
surface. Two standard errors come with it, both over the N examples:

    stderr       of the mean of ℓᵢ(α, β)                how well the height is known
    rise_stderr  of the mean of ℓᵢ(α, β) − ℓᵢ(0, 0)     how well the height above the centre is known

The second is paired and near the centre much the smaller: the same examples are hard at both points. Reading the
error of a difference off the first overstates it.

**Fewer points and examples.** With a tolerance only some points are evaluated, on only some of the N examples, as many
as the error asked for takes (:mod:`landscape.surfaces.adaptive`); between them the surface is interpolated. A height is
the centre's over all examples plus an estimate of its rise::

    L(α, β) ≈ L_N(0, 0) + rise(α, β)

``sampling_stderr`` is the standard error of not having taken all examples: 0 everywhere without a tolerance. What
interpolating adds, and a bound of both, is in ``errors``.

A loss that overflows far out stays inf or nan in the result; nothing is dropped or replaced.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import product
from typing import Unpack

import numpy as np
from jaxtyping import Float, Float64
from torch import Tensor, nn

from ..deadline import Deadline
from ..evaluation import Reading, Source
from ..objective import Parameters
from .grids import Surface, grid
from .moments import Moments
from .points import Metrics, Points, evaluate_points
from .sampling import Centre, Run, Task, counted, in_turn, moments
from .sparse import sparse

__all__ = ["Surface", "evaluate_points", "grid", "mean_and_stderr", "surface"]


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
    seed: int = 0,
    seconds: float | None = None,
    **reading: Unpack[Reading],
) -> Surface:
    """Every metric at every point of ``alphas`` × ``betas`` (a line when ``betas`` is None, with one direction).

    ``tolerance`` names metrics and the error wanted of each, relative to the range of its surface: with {"loss": 0.02}
    so many points and examples are taken that the root mean square error over the grid, against the surface of all
    points and all examples, is at most 2 % of the largest less the smallest height, with 95 % confidence. Examples are
    taken by whole batches, in the order given: pass them in random order, in batches of 50 or so. Coordinates must
    increase. ``seed`` draws the points that are held out. After about ``seconds``, which go with a tolerance alone, the
    surface is what has been found by then, with the error that it has.

    ``run(tasks, evaluate)`` yields ``evaluate(task)`` of each task in order; one of your own may spread tasks over
    processes, or keep what was found: plain JSON, and :class:`~landscape.surfaces.Task` is all that it depends on.
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
    carry_out = counted(run, progress)
    if seconds is not None and not tolerance:
        raise ValueError("seconds go with a tolerance: without one all points are needed")
    deadline = Deadline(seconds)
    with space.lent():
        if tolerance:
            return sparse(space, axes, tolerance, carry_out, seed, deadline)
        return _dense(space, axes, carry_out)


def _dense(space: Points, axes: list[np.ndarray], run: Run) -> Surface:
    """Every point on all examples."""
    centre = Centre(space)
    points = list(product(*map(np.ndarray.tolist, axes)))
    tasks = [Task(point, 0, len(space.sizes)) for point in points]
    found = [moments(each) for each in run(tasks, centre.moments)]
    shape = (len(axes[0]), -1)

    def table(of: Callable[[Moments, Moments], float]) -> dict[str, np.ndarray]:
        return {name: np.array([of(*each[name]) for each in found]).reshape(shape) for name in found[0]}

    rise_stderr = table(lambda _, rise: rise.stderr)
    return Surface(
        axes[0],
        axes[1] if len(axes) > 1 else np.zeros(1),
        table(lambda value, _: value.mean),
        table(lambda value, _: value.stderr),
        rise_stderr,
        {name: np.zeros_like(each) for name, each in rise_stderr.items()},
        np.full_like(next(iter(rise_stderr.values())), sum(space.sizes), dtype=int),
        sum(space.sizes),
    )


def mean_and_stderr(values: Float64[Tensor, " example"]) -> tuple[float, float]:
    """The mean of independent values and its standard error; the latter is nan for a single value."""
    found = Moments.of(values)
    return found.mean, found.stderr
