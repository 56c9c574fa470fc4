"""How long an iteration for eigenvalues will take: before it has begun, and from how its residuals fall.

**Before.** For spectra like networks', a few outliers over a bulk, residuals fall by a nearly constant factor a
product, later for inner eigenvalues than for the outermost. Counted on networks trained on digits (formal Hessian and
Gauss–Newton, one to eight eigenvalues, relative residuals of 1e-1 to 1e-4), k eigenvalues from the top to d = −log₁₀
tolerance digits take about

    2 + 1.75 k + (1.9 + 0.2 k) d

products, within a factor of 1.5, and the smallest of an indefinite matrix, which lies close to its bulk, 10 + 10 d.

**On the way.** From the worst relative residual r after each product: log r falls along a line, fitted to the last half
of the products, and reaches the tolerance (log r − log tolerance)/slope products from now. What is said is a
geometric mean of that and of what the count above leaves, whose weight falls as products come in.
"""

import math
import time
from collections.abc import Callable

import numpy as np

from .eigenpairs import Ritz
from .wanted import Wanted

_WORDS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_SHOWN = 3
_FEW = 4  # products through which a line can be laid


def products(wanted: Wanted) -> float:
    """How many products are likely to be needed, told from how much is wanted alone."""
    top, bottom = (wanted.largest, 0) if wanted.largest else (wanted.top, wanted.bottom)
    digits = max(-math.log10(wanted.tolerance), 0.0)
    upper = 2 + 1.75 * top + (1.9 + 0.2 * top) * digits if top else 0.0
    lower = 10 + 10 * digits + 3 * (bottom - 1) if bottom else 0.0
    return max(upper, lower)


def remaining(worst: list[tuple[int, float]], expected: float, tolerance: float) -> float:
    """How many products are likely to be still needed: ``worst`` holds products made, and the worst residual then.

    ``expected`` is what was expected in all. Residuals of fewer pairs than wanted are infinite.
    """
    made, last = worst[-1]
    if last <= tolerance:
        return 0.0
    before = max(expected - made, 0.15 * made, 1.0)
    at, logs = np.array([(count, math.log(one)) for count, one in worst if 0 < one < math.inf] or [(0, 0)]).T
    late = at >= made / 2
    if late.sum() < _FEW:
        return before
    slope = np.polyfit(at[late], logs[late], 1)[0]
    if not slope < 0:
        return max(before, made / 2)
    fitted = min(math.log(last / tolerance) / -slope, 10.0 * made)
    weight = min(made / expected, 1.0)
    return math.exp(weight * math.log(max(fitted, 1.0)) + (1 - weight) * math.log(before))


class Outlook:
    """What an iteration has found and has still to do, in words; to be told of the pairs after every product."""

    def __init__(
        self,
        wanted: Wanted,
        *,
        most: int,
        seconds: float | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ):
        self.wanted, self.most, self.seconds = wanted, most, seconds
        self.expected = products(wanted)
        self.worst: list[tuple[int, float]] = []
        self._clock, self._begun, self._spent = clock, clock(), 0.0
        self._said = ""

    def add(self, found: Ritz) -> None:
        """Take in the pairs as they stand now."""
        self._spent = self._clock() - self._begun
        whole = len(found.values) == self.wanted.count
        self.worst.append((found.products, found.worst if whole else math.inf))
        values = " ".join(f"{value:.4g}" for value in found.values[:_SHOWN])
        self._said = f"{values}, residual {found.worst:.0e}"

    @property
    def total(self) -> int:
        """Products in all, as it looks now."""
        left = remaining(self.worst, self.expected, self.wanted.tolerance) if self.worst else self.expected
        return min(self.most, math.ceil(self.worst[-1][0] + left if self.worst else left))

    @property
    def left(self) -> float:
        """Seconds, as it looks now; no more than are allowed."""
        made = self.worst[-1][0]
        left = (self.total - made) * self._spent / made
        return left if self.seconds is None else max(min(left, self.seconds - self._spent), 0.0)

    def forecast(self) -> str:
        """What is to be expected after the first product."""
        each, total = self._spent / self.worst[-1][0], self.total
        allowed = "" if self.seconds is None else f", {duration(self.seconds)} allowed"
        return (
            f"{duration(each)} a product; {values(self.wanted.count)} at {self.wanted.tolerance:.0e} take about "
            f"{total} products, {duration(total * each)}{allowed}"
        )

    def __str__(self) -> str:
        """The state: top values, the worst relative residual, and the time left."""
        return f"{self._said}, about {duration(self.left)} left" if self.left else self._said


def values(count: int) -> str:
    """ "five values"."""
    return f"{_WORDS[count] if count < len(_WORDS) else count} value{'s' * (count != 1)}"


def duration(seconds: float) -> str:
    """ "0.012 s", "4.0 s", "80 s", "12 min", "3.1 h"."""
    if seconds < 0.1:
        return f"{seconds:.2g} s"
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
