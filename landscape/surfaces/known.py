"""What is known of a surface while it is searched: at which places, from how many examples, for what use."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
from jaxtyping import Float

from .levels import Levels, Rises

FEWEST = 100  # examples of a place
_HELD_OUT = (8, 24, 20)  # at least, at most, and one of so many points of the grid
Take = Callable[[Mapping[int, int]], Mapping[int, Rises]]


class Known:
    """Rises above the centre at ``places``, the first ``size`` of which are the grid.

    ``take({place: examples})`` gives the rises of the first so many examples at a place, or of more; those of the
    centre, at the place ``origin``, are 0. ``levels`` are the places that the surface is interpolated from, ``held``
    those that it is judged by. A place where a mean is not finite is in neither.
    """

    def __init__(self, places: Float[np.ndarray, "place axis"], size: int, origin: int, zeros: Rises, take: Take):
        self.places, self.size, self.take = places, size, take
        self.examples = zeros.shape[1]
        self.origin = origin
        self.rises: dict[int, Rises] = {origin: zeros}
        self.levels: list[list[int]] = [[origin]]
        self.held: list[int] = []
        self.lost: set[int] = set()
        self._spent, self._taken = 0.0, 0
        self.fewest = FEWEST  # examples of a place that is new
        least, most, part = _HELD_OUT
        self._wanted = int(np.clip(size // part, least, most))

    def evaluate(self, wanted: Mapping[int, int]) -> None:
        """See to it that places have as many examples as ``wanted``."""
        missing = {
            place: min(count, self.examples)
            for place, count in wanted.items()
            if place not in self.rises or self.rises[place].shape[1] < min(count, self.examples)
        }
        if missing:
            begun, had = time.perf_counter(), self._held(missing)
            self.rises |= self.take(missing)
            self._spent += time.perf_counter() - begun
            self._taken += self._held(missing) - had
            self.lost |= {place for place in missing if not np.isfinite(self.rises[place].mean(-1)).all()}
            self.levels = [kept for level in self.levels if (kept := [at for at in level if at not in self.lost])]
            self.held = [place for place in self.held if place not in self.lost]

    @property
    def pace(self) -> float:
        """Seconds of an example at a place, so far; 0 before the first."""
        return self._spent / self._taken if self._taken else 0.0

    def _held(self, places: Iterable[int]) -> int:
        return sum(self.rises[place].shape[1] for place in places if place in self.rises)

    def add(self, places: Sequence[int]) -> dict[int, Float[np.ndarray, " metric"]]:
        """Make a level of what is new among ``places``; each one's mean surplus, inf for what is not finite."""
        known = {place for level in self.levels for place in level}
        new = [place for place in places if place not in known | self.lost]
        self.held = [place for place in self.held if place not in set(new)]
        self.evaluate(dict.fromkeys(new, self.fewest))
        kept = [place for place in new if place not in self.lost]
        found = {place: np.full(len(self.rises[place]), np.inf) for place in self.lost}
        if kept:
            self.levels.append(kept)
            levels = self.fit()
            surplus = levels.surplus(len(self.levels) - 1, min(levels.counts)).mean(-1)
            found |= dict(zip(kept, surplus, strict=True))
        return found

    def unknown(self) -> list[int]:
        """The places of the grid that are interpolated, or held out to judge that."""
        known = {place for level in self.levels for place in level} | self.lost
        return [place for place in range(self.size) if place not in known]

    def can_hold_out(self, left: int) -> bool:
        """Whether that many places are enough to hold some out and still interpolate as many."""
        return left >= 2 * self._wanted

    def hold_out(self, generator: np.random.Generator) -> bool:
        """Draw as many places as are wanting of those to judge by; False where there are too few to draw from."""
        unknown = self.unknown()
        if not self.can_hold_out(len(unknown)):
            return False
        left = [place for place in unknown if place not in set(self.held)]
        drawn = generator.choice(left, max(0, self._wanted - len(self.held)), replace=False).tolist()
        self.held = sorted([*self.held, *drawn])
        self.evaluate(dict.fromkeys(drawn, self.fewest))
        return True

    def fit(self) -> Levels:
        """What is interpolated from."""
        return Levels(self.places, self.levels, self.rises, self.examples)

    def all(self) -> Levels:
        """That, and what was held out, as a last level that is not interpolated from."""
        if not self.held:
            return self.fit()
        return Levels(self.places, [*self.levels, self.held], self.rises, self.examples, held_out=True)

    def ranges(self) -> Float[np.ndarray, " metric"]:
        """Largest less smallest height of each metric, as far as known."""
        return np.ptp(self.all().heights(), axis=0)
