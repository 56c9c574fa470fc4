"""How far the loss rises, as a function of the distance from the weights: flatness is a curve.

    rise(r) = mean over the points at distance r of L(w + Δ) − L(w),     r relative to each filter's norm

What lies at distance r, for one draw (``ALONG``):

    line     Δ = ±r d, with d filter-normalized (:func:`~landscape.surfaces.random_direction`)
    plane    Δ = r (d₁ cos θ + d₂ sin θ) at evenly spaced θ: the mean over a circle, without a grid between
    noise    Δ = ±r D ν, with ν standard normal (:mod:`landscape.sharpness.noise`): r is the noise's standard deviation
             relative to the filter, and E rise(r) is the loss smoothed at scale r, less the loss

In many dimensions d and D ν are nearly one thing, and small filters the difference. Points come in pairs ±Δ, which
cancels the slope. A circle begins half a step off the axes, which are lines of the same draw.

Any metric of an output may rise: with those of :mod:`landscape.sharpness.logit_scale`, which one pass gives together,
the loss of logits as they come stands beside that of logits at one scale.

Easy to get wrong: one flatness for all r. Which of two minima is the flatter may change on the way out, so that a mean
over r, or the curvature at w, answers for its own r alone. And ``stderr`` is over examples, at this draw's directions:
how much directions differ shows between draws, and how much networks do, between networks.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Unpack

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Float64
from torch import Tensor, nn

from ..displayed import Displayed
from ..evaluation import Reading, Source
from ..objective import Parameters
from ..surfaces import mean_and_stderr, random_direction
from ..surfaces.points import Metrics, Point, Points
from .noise import noise_scale, noises
from .radius import positive

ALONG = ("line", "plane", "noise")
Span = Sequence[Float[Tensor, " dimension"]]
Values = dict[str, Float64[Tensor, " example"]]


@dataclass(frozen=True)
class RiseCurve(Displayed):
    """The mean rise of each metric at each radius, for each draw; ``stderr`` is over examples, paired with the centre.

    ``centre`` is each metric's mean at the weights as found, from which it rises.
    """

    radii: Float[np.ndarray, " radius"]
    rise: dict[str, Float[np.ndarray, "draw radius"]]
    stderr: dict[str, Float[np.ndarray, "draw radius"]]
    centre: dict[str, float]
    examples: int

    def to_frame(self) -> pd.DataFrame:
        """One row per metric, draw and radius: metric, draw, radius, rise, stderr, value (at the centre)."""
        frames = []
        for name, rise in self.rise.items():
            draw, radius = np.meshgrid(np.arange(len(rise)), self.radii, indexing="ij")
            place = {"metric": name, "draw": draw.ravel(), "radius": radius.ravel()}
            found = {"rise": rise.ravel(), "stderr": self.stderr[name].ravel(), "value": self.centre[name]}
            frames.append(pd.DataFrame(place | found))
        return pd.concat(frames, ignore_index=True)


def ascending(radii: Iterable[float]) -> Float[np.ndarray, " radius"]:
    """The radii as an array. Raises ValueError where there is none, or they aren't positive, finite and ascending."""
    found = positive(radii)
    if not (np.diff(found) > 0).all():
        raise ValueError(f"radii must ascend, got {found.tolist()}")
    return found


def random_spans(parameters: Parameters, along: str, *, draws: int, seed: int = 0) -> Iterator[Span]:
    """``draws`` times the directions of a line, a plane or noise, the same numbers for every network of one shape.

    A plane's first direction is that of the line of the same draw. Raises ValueError for fewer than one draw, for
    another word, and for weights that nothing can be scaled to.
    """
    if along not in ALONG:
        raise ValueError(f"along must be one of {', '.join(ALONG)}, got {along!r}")
    if draws < 1:
        raise ValueError(f"draws must be at least 1, got {draws}")
    if along == "noise":
        moves = noises(noise_scale(parameters, "filter"), max(draws, 2), seed)
        return ([move] for move in islice(moves, draws))
    axes = range(1 if along == "line" else 2)
    return (
        [random_direction(parameters, seed=1000 * seed + 2 * draw + axis) for axis in axes] for draw in range(draws)
    )


def rise_curve(
    model: nn.Module,
    metrics: Metrics,
    batches: Source,
    spans: Iterable[Span],
    radii: Iterable[float],
    *,
    angles: int = 8,
    parameters: Parameters | None = None,
    mode: str = "eval",
    channels_last: bool = False,
    progress: Callable[[int], object] | None = None,
    **reading: Unpack[Reading],
) -> RiseCurve:
    """The mean rise of every metric at every radius along each of ``spans``, one direction (a line) or two (a plane).

    Costs 2 passes over the data per radius and line, ``angles`` per radius and plane, and one for the centre; one pass
    gives all metrics. ``progress(1)`` is called after each point. Other arguments and errors are those of
    :class:`~landscape.surfaces.points.Points`.

    Raises ValueError for radii that are not positive and ascending, for no span or one of other than one or two
    directions, for a number of angles that is odd or below 4, and for a metric that is not finite at the weights. A
    rise that overflows stays inf or nan.
    """
    radii = ascending(radii)
    if angles < 4 or angles % 2:
        raise ValueError(f"angles must be even and at least 4, got {angles}")
    centre: Values = {}
    found = []
    space: Points | None = None
    for directions in spans:
        rings = [ring(len(directions), radius, angles) for radius in radii.tolist()]
        if space:
            space = space.along(directions)
        else:
            space = Points(
                model, metrics, batches, directions,
                parameters=parameters, mode=mode, channels_last=channels_last, **reading,
            )  # fmt: skip
        with space.lent():
            centre = centre or _centre(space)
            found.append([_risen(space, centre, points, progress or (lambda _: None)) for points in rings])
    if not space:
        raise ValueError("no direction to rise along")
    rise, stderr = (
        {name: np.array([[point[name][which] for point in draw] for draw in found]) for name in centre}
        for which in (0, 1)
    )
    examples = sum(space.sizes)
    return RiseCurve(radii, rise, stderr, {name: float(each.mean()) for name, each in centre.items()}, examples)


def ring(dimension: int, radius: float, angles: int) -> list[Point]:
    """Both points of a line at ``radius``, or so many of a circle in a plane. Raises ValueError for more dimensions."""
    if dimension == 1:
        return [(radius,), (-radius,)]
    if dimension != 2:
        raise ValueError(f"a rise is along one direction or in the plane of two, got {dimension}")
    turns = 2 * np.pi * (np.arange(angles) + 0.5) / angles
    return [(radius * float(np.cos(turn)), radius * float(np.sin(turn))) for turn in turns]


def _centre(space: Points) -> Values:
    found = space.values((0.0,) * space.dimension)
    for name, values in found.items():
        if not values.isfinite().all():
            raise ValueError(f"{name!r} is not finite at the weights: there is no rise to measure from it")
    return found


def _risen(
    space: Points, centre: Values, points: Sequence[Point], progress: Callable[[int], object]
) -> dict[str, tuple[float, float]]:
    """Mean and standard error over examples of each one's mean rise over the points."""
    total = {name: torch.zeros_like(values) for name, values in centre.items()}
    for point in points:
        for name, values in space.values(point).items():
            total[name] += (values - centre[name]) / len(points)
        progress(1)
    return {name: mean_and_stderr(rise) for name, rise in total.items()}
