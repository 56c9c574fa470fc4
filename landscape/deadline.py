"""A time budget: what may go on looks whether there is time left, and returns what it has when there is none."""

import math
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

_MOMENT = 1e-9
T = TypeVar("T")


class Deadline:
    """``seconds`` from now; never where they are None. Raises ValueError for what isn't a time to come."""

    def __init__(self, seconds: float | None, clock: Callable[[], float] = time.perf_counter):
        if seconds is not None and not seconds > 0:
            raise ValueError(f"seconds must be positive, got {seconds}")
        self._clock = clock
        self._end = math.inf if seconds is None else clock() + seconds

    @property
    def left(self) -> float:
        """Seconds left: infinite without a budget, not above zero when it is used up."""
        return self._end - self._clock() if self._end < math.inf else math.inf

    @property
    def passed(self) -> bool:
        """Whether the time is up."""
        return self.left <= 0

    @property
    def seconds(self) -> float | None:
        """What is left, for something that is begun now: None without a budget, a moment where it is used up."""
        return None if self._end == math.inf else max(self.left, _MOMENT)

    def pieces(self, items: Iterable[T], least: int = 1) -> Iterator[T]:
        """``items`` for as long as one more, were it to take as long as the longest, would end in time.

        The first ``least`` of them come in any case.
        """
        longest = 0.0
        for number, item in enumerate(items):
            if number >= least and self.left < longest:
                return
            begun = self._clock()
            yield item
            longest = max(longest, self._clock() - begun)
