"""Heights of a surface from levels of points, the finer of which need fewer examples.

All points see the same examples in the same order. Points come in levels, coarse ones first; what a level adds to what
the levels before it foresee, the surplus, varies far less between examples than the heights do. So a level's mean
surplus comes from its own first n_k examples, n_0 ≥ n_1 ≥ …, and the heights are put together from above (multilevel
Monte Carlo: Giles 2008; with paired samples)::

    height(x) = Σ_k  I_k[ mean over n_k examples of the surplus of level k ](x)

with I_k the interpolant of :mod:`landscape.surfaces.spline`. With T_k an example's contribution from level k on, in
nested samples of N examples drawn without replacement, and n_{−1} = N,

    Var height(x) = Σ_k (1/n_k − 1/n_{k−1}) Var T_k(x).

At equal variance it is cheapest to have n_k ∝ √(v_k/p_k), for p_k points and v_k = Var T_k − Var T_{k+1}.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from jaxtyping import Float, Int

from .spline import interpolated

Rises = Float[np.ndarray, "metric example"]


@dataclass(frozen=True, eq=False)
class Levels:
    """Rises above the centre, finite ones, at some ``places`` of a grid.

    ``levels`` lists the numbers of places, coarse levels first; ``rises[number]`` holds what is known there, of at
    least as many examples as at any place of a later level. ``examples`` are N. With ``held_out`` nothing is
    interpolated from the last level.
    """

    places: Float[np.ndarray, "place axis"]
    levels: Sequence[Sequence[int]]
    rises: Mapping[int, Rises]
    examples: int
    held_out: bool = False

    @cached_property
    def counts(self) -> list[int]:
        """n_k, the examples that all places of each level have."""
        return [min(self.rises[place].shape[1] for place in level) for level in self.levels]

    def stacked(self, places: Sequence[int], examples: int) -> Float[np.ndarray, "place metric example"]:
        """The rises of the first ``examples`` examples."""
        return np.stack([self.rises[place][:, :examples] for place in places])

    def foreseen(
        self, level: int, values: Float[np.ndarray, "known ..."], at: Sequence[int] | np.ndarray
    ) -> Float[np.ndarray, "at ..."]:
        """What ``values`` of the levels before ``level`` give ``at`` some places; 0 before the first."""
        places = self.places[at]
        if level == 0:
            return np.zeros((len(places), *values.shape[1:]))
        return interpolated(self.places[self.before(level)], values, places)

    def before(self, level: int) -> list[int]:
        """The places of the levels before ``level``."""
        return [place for part in self.levels[:level] for place in part]

    def surplus(self, level: int, examples: int | None = None) -> Float[np.ndarray, "place metric example"]:
        """By how much each example's rise at the places of ``level`` is above what those before foresee."""
        count = self.counts[level] if examples is None else examples
        known = self.before(level)
        before = self.stacked(known, count) if known else np.zeros((0, *self.stacked(self.levels[0], count).shape[1:]))
        return self.stacked(self.levels[level], count) - self.foreseen(level, before, self.levels[level])

    def heights(self) -> Float[np.ndarray, "known metric"]:
        """The mean rise at every place of the levels, in their order, as an estimate of that of all examples."""
        found = np.zeros((0, next(iter(self.rises.values())).shape[0]))
        for number, level in enumerate(self.levels):
            mean = self.surplus(number).mean(-1)
            found = np.concatenate([found, self.foreseen(number, found, level) + mean])
        return found

    def everywhere(self) -> Float[np.ndarray, "place metric"]:
        """:meth:`heights`, and what they give at all places."""
        return self._at(np.arange(len(self.places)), len(self.levels), self.heights())

    def contributions(self, at: Int[np.ndarray, " at"]) -> list[Float[np.ndarray, "at metric example"]]:
        """T_k ``at`` some places, of the examples that all levels have."""
        stacked = self.stacked(self.before(len(self.levels)), self.counts[-1])
        known = [len(self.before(level)) for level in range(len(self.levels) + 1)]
        whole = self._at(at, len(self.levels), stacked)
        return [whole, *(whole - self._at(at, level, stacked[: known[level]]) for level in range(1, len(self.levels)))]

    def _at(self, at: Int[np.ndarray, " at"], level: int, values: np.ndarray) -> np.ndarray:
        """``values`` of the levels before ``level`` at places, interpolated where they hold none."""
        known = {place: number for number, place in enumerate(self.before(level))}
        fit = min(level, len(self.levels) - self.held_out)
        others = np.array([place not in known for place in at.tolist()])
        found = np.empty((len(at), *values.shape[1:]))
        found[~others] = values[[known[place] for place in at[~others].tolist()]]
        found[others] = self.foreseen(fit, values[: len(self.before(fit))], at[others])
        return found

    def weights(self, counts: Sequence[int]) -> list[float]:
        """1/n_k − 1/n_{k−1}."""
        inverse = [1 / self.examples, *(1 / count for count in counts)]
        return [max(0.0, after - before) for before, after in pairwise(inverse)]

    def counts_for(self, variances: Sequence[float], wanted: float) -> list[int]:
        """The cheapest n_k, n_0 ≥ n_1 ≥ …, for which Σ (1/n_k − 1/n_{k−1}) ``variances``[k] is at most ``wanted``."""
        left = np.maximum(np.subtract(variances, [*variances[1:], 0.0]), 0.0)
        points = np.array([len(level) for level in self.levels])
        budget = wanted + variances[0] / self.examples
        if not budget > 0:
            return [self.examples] * len(points)
        counts = np.sqrt(left / points) * np.sqrt(left * points).sum() / budget
        counts = np.minimum(np.maximum.accumulate(counts[::-1])[::-1], self.examples)
        return [int(np.ceil(count)) for count in counts]
