"""A surface from few of its points and few of the examples, to an error that points held out vouch for.

Points are added cell by cell (:mod:`landscape.surfaces.cells`), each with the first 100 examples, until what is
interpolated from them is right where it is not known: at points held out, drawn at random from those that have not been
evaluated, whose values never enter the interpolant that they judge. Then the levels take as many examples as the error
asks for (:mod:`landscape.surfaces.levels`). The error that is stated is a root mean square over the grid,

    error² = U/G · bound of the mean of r²  +  quantile of the sampling error's mean square,

r being the interpolant's error at the U of G points that are not in the fit, for the same examples; its bound comes
from the points held out (:mod:`landscape.surfaces.bounds`), less the part of their squares that is the noise of few
examples, and never below that noise: the points share their examples, so that it may be small at all of them at once,
and hide an error of its size. Each part is a bound with 95 % confidence, at each look at the points held out. How often
their sum is above the error is counted by ``benchmarks.coverage``.

Nothing is interpolated next to a point whose loss is not finite: cells around it are cut until all their points are
evaluated. So are those of steps and cliffs, where surpluses stay large. When that has come to half of the grid, all of
it is evaluated. When the time is up, the surface is what has been found, and its error is stated as it is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from ..deadline import Deadline
from .bounds import CONFIDENCE, seen_bound
from .cells import Cells, Index
from .field import Field, variance
from .known import FEWEST, Known
from .levels import Levels, Rises

_ENOUGH = 0.25  # of the tolerance: a surplus that is worth no more points
_GAIN = 4  # by how much a level more should lower a mean square error, to judge whether it is worth its points


class Error(NamedTuple):
    """How far a surface may be from that of all points and all examples, in units of the metric.

    ``error`` bounds the root mean square over the grid with 95 % confidence; ``seen`` is the root mean square at the
    ``held_out`` points and ``largest`` the largest there, for the same examples; ``sampling`` is the root mean square
    of the standard errors of having taken few examples. ``converged``: ``error`` is at most ``tolerance`` times the
    ``range`` of heights.
    """

    error: float
    seen: float
    largest: float
    sampling: float
    held_out: int
    range: float
    tolerance: float
    converged: bool


@dataclass(frozen=True, eq=False)
class Estimate:
    """Mean rises above the centre on a grid, the variance of their sampling error, and variances over examples."""

    rises: Float[np.ndarray, "place metric"]
    sampling: Float[np.ndarray, "place metric"]
    rise_variance: Float[np.ndarray, "place metric"]
    value_variance: Float[np.ndarray, "place metric"]
    evaluated: Bool[np.ndarray, " place"]
    images: Int[np.ndarray, " place"]
    errors: list[Error]


class Search:
    """The search on a grid of ``shape``, whose points are the first places of ``known``, in C order.

    ``tolerance`` is relative to each metric's range; those that it ``drives`` are brought to it, of the others the
    error is stated. ``centre`` are the values at the weights as found.
    """

    def __init__(
        self,
        known: Known,
        shape: tuple[int, ...],
        tolerance: Float[np.ndarray, " metric"],
        drives: Bool[np.ndarray, " metric"],
        centre: Rises,
        seed: int,
        deadline: Deadline,
    ):
        self.known, self.tolerance, self.drives, self.centre = known, tolerance, drives, centre
        self._deadline = deadline
        self._cells, self._indices = Cells(shape), list(product(*map(range, shape)))
        self._number = {index: place for place, index in enumerate(self._indices)}
        self._generator = np.random.default_rng(seed)
        self._surplus: dict[Index, float] = {}
        self._errors = np.zeros((0, len(tolerance)))  # at the points held out
        self._unseen = np.zeros(len(tolerance))  # bound of the interpolant's mean square error over the grid

    def run(self) -> Estimate:
        """Evaluate what has to be, and put the surface together."""
        new = [self._number[corner] for corner in self._cells.corners()]
        if not self.known.can_hold_out(self.known.size - len(new)):
            new = list(range(self.known.size))
        met = True
        while new:
            self._add(new)
            left = self.known.unknown()
            late = self._late(len(left) * self.known.fewest)
            if (2 * len(left) < self.known.size and not late) or not self.known.hold_out(self._generator):
                self._all(left)
                met = True
                break
            if (met := self._met()) and not self._taking_loses():
                break
            new = self._next(set(self.known.unknown()))
            if self._late(len(new) * self.known.fewest):
                self._unseen = np.full_like(self._unseen, np.inf) if self._beside_lost() else self._unseen
                break
        if met:
            self._take_examples()
        return self._estimate()

    def _late(self, examples: int) -> bool:
        """Whether so many more examples would not be done in time."""
        return self.known.pace * examples > self._deadline.left

    def _beside_lost(self) -> bool:
        """Whether something is interpolated next to a point that is not finite."""
        return self._cells.beside([self._indices[place] for place in self.known.lost])

    def _taking_loses(self) -> bool:
        """Take the examples that the error asks for; whether a point turns out not finite in those after the first."""
        before = len(self.known.lost)
        self._take_examples()
        self.known.fewest = max(self.known.fewest, self.known.all().counts[-1])  # later levels have no more
        return len(self.known.lost) > before

    def _all(self, left: list[int]) -> None:
        """Evaluate the rest of the grid: nothing is interpolated any more, and nothing held out."""
        self._add(left)
        self._errors, self._unseen = self._errors[:0], np.zeros_like(self._unseen)

    def _add(self, places: Sequence[int]) -> None:
        scale = np.where(self.drives, self.tolerance * self.known.ranges(), np.inf)
        for place, surplus in self.known.add(places).items():
            with np.errstate(over="ignore"):  # of the first points, whose range is 0
                apart = np.abs(surplus[self.drives]) / np.maximum(scale[self.drives], 1e-300)
            self._surplus[self._indices[place]] = float(apart.max())

    def _next(self, left: set[int]) -> list[int]:
        """The points of the next cells to be cut, without those that are known; none where all are."""
        self._surplus |= {self._indices[place]: np.inf for place in self.known.lost}
        while left and (points := self._cells.cut(self._surplus, _ENOUGH)):
            if new := [number for point in points if (number := self._number[point]) in left]:
                return new
        return sorted(left)

    def _met(self) -> bool:
        """Whether the points held out say that more points are not worth it."""
        self._errors, noise = self._residuals()
        if self._beside_lost():
            return False
        wanted = np.square(self.tolerance * self.known.ranges())
        share = len(self.known.unknown()) / self.known.size
        bounds = np.array([seen_bound(each, CONFIDENCE) for each in self._errors.T])
        self._unseen = share * np.maximum(bounds - noise, noise)  # below the noise, common to all, nothing is seen
        if (np.maximum(np.square(self._errors).mean(0) - noise, self._unseen) > wanted)[self.drives].any():
            return False
        more = FEWEST * len(self.known.fit().before(len(self.known.levels)))
        return self._price(wanted - self._unseen) <= more + self._price(wanted - self._unseen / _GAIN)

    def _residuals(self) -> tuple[Float[np.ndarray, "held metric"], Float[np.ndarray, " metric"]]:
        """The interpolant's errors at the points held out, and the mean square of what in them is few examples."""
        levels = self.known.all()
        surplus = levels.surplus(len(levels.levels) - 1, FEWEST)
        taken = surplus.shape[-1]
        return surplus.mean(-1), variance(surplus).mean(0) * (1 / taken - 1 / self.known.examples)

    def _price(self, budget: Float[np.ndarray, " metric"]) -> float:
        """Examples to be evaluated in all, for a mean square sampling error of at most ``budget``."""
        levels = self.known.all()
        return float(np.dot(self._counts(levels, Field(levels), budget)[1:], [len(each) for each in levels.levels[1:]]))

    def _counts(self, levels: Levels, field: Field, budget: Float[np.ndarray, " metric"]) -> list[int]:
        """Examples of each level, as the metric that takes the most asks for."""
        wanted = budget / field.quantiles(levels.counts)
        counts = [
            levels.counts_for(field.variances[:, metric].tolist(), wanted[metric])
            for metric in np.flatnonzero(self.drives)
        ]
        return np.max([levels.counts, *counts], axis=0).tolist()

    def _take_examples(self) -> None:
        """Until the sampling error is small enough under each metric that drives, or all examples are taken."""
        while True:
            levels = self.known.all()
            field = Field(levels)
            budget = np.square(self.tolerance * self.known.ranges()) - self._unseen
            if (field.error(levels.counts) <= budget)[self.drives].all() or min(levels.counts) == levels.examples:
                return
            counts = self._counts(levels, field, budget)
            if counts == levels.counts:
                counts = [count + 1 for count in counts]
            if not (counts := self._in_time(levels, counts)):
                return
            for level, count in zip(levels.levels, counts, strict=True):
                self.known.evaluate(dict.fromkeys(level, count))

    def _in_time(self, levels: Levels, wanted: Sequence[int]) -> list[int]:
        """As many of the examples wanted as there is time for, a part of each level's; none where it is up."""
        more = [count - had for count, had in zip(wanted, levels.counts, strict=True)]
        examples = sum(count * len(level) for count, level in zip(more, levels.levels, strict=True))
        if not self._late(examples):
            return list(wanted)
        part = max(0.0, self._deadline.left) / (self.known.pace * examples)
        found = [had + int(part * count) for had, count in zip(levels.counts, more, strict=True)]
        return found if found != list(levels.counts) else []

    def _estimate(self) -> Estimate:
        known, levels = self.known, self.known.all()
        grid = np.arange(known.size)
        parts = levels.contributions(grid)
        rises = levels.everywhere()[: known.size]
        sampling = sum(
            (weight * variance(part) for weight, part in zip(levels.weights(levels.counts), parts, strict=True)),
            start=np.zeros_like(rises),
        )
        of_rise = variance(parts[0])
        of_value = variance(parts[0] + self.centre[:, : parts[0].shape[-1]])
        of_value[grid == known.origin] = variance(self.centre)  # which is known from all examples
        if known.examples == 1:  # which has no variance
            of_rise[:] = of_value[:] = np.nan
        for place in known.lost:
            rises[place] = known.rises[place].mean(-1)
            sampling[place] = of_rise[place] = of_value[place] = np.nan
        images = np.array([known.rises[place].shape[1] if place in known.rises else 0 for place in grid.tolist()])
        return Estimate(rises, sampling, of_rise, of_value, images > 0, images, self._stated(levels, rises))

    def _stated(self, levels: Levels, rises: Float[np.ndarray, "place metric"]) -> list[Error]:
        field = Field(levels)
        bound = np.sqrt(self._unseen + field.error(levels.counts))
        sampling = np.sqrt(field.mean(levels.counts))
        found = []
        for metric, tolerance in enumerate(self.tolerance):
            heights = rises[np.isfinite(rises[:, metric]), metric]
            size = float(np.ptp(np.append(heights, 0.0)))
            errors = self._errors[:, metric]
            found.append(
                Error(
                    float(bound[metric]), float(np.sqrt(np.square(errors).mean())) if len(errors) else 0.0,
                    float(np.abs(errors).max(initial=0.0)), float(sampling[metric]), len(errors), size,
                    float(tolerance), bool(bound[metric] <= tolerance * size),
                )
            )  # fmt: skip
        return found
