"""How many examples each point of a surface needs: the saving that is worth most is not to evaluate.

All points see the same examples, so what has to be known of a point is the mean of its paired differences to the
centre. From n of N examples, drawn without replacement, its standard error is

    s = sd(ℓᵢ(α, β) − ℓᵢ(0, 0)) √(1/n − 1/N)

and vanishes when all are taken (Cochran 1977, section 2.5: the finite population's correction). Every point begins with
the same ``FEWEST`` examples; from what was found follow the range of the surface and the n each point needs for
s ≤ tolerance × range; it takes that many, the next ones in the one random order, and the two are looked at again.

A standard deviation from n values is itself known to about 1/√(2n) of its value, and stopping favours those that came
out small; so n is chosen with the standard deviation raised by that much. A point whose values are not finite takes
all examples.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import NamedTuple

import numpy as np

from .moments import Moments

FEWEST = 50


class Task(NamedTuple):
    """A point of weight space, to be evaluated on the batches from ``start`` to before ``stop``."""

    point: tuple[float, ...]
    start: int
    stop: int


Found = dict[str, tuple[Moments, Moments]]  # of each metric's values, and of their rise above the centre
Run = Callable[[Sequence[Task], Callable[[Task], Found]], Iterable[Found]]


def in_turn(tasks: Sequence[Task], evaluate: Callable[[Task], Found]) -> Iterator[Found]:
    """One task after the other."""
    return map(evaluate, tasks)


def sampled(
    points: Sequence[tuple[float, ...]],
    sizes: Sequence[int],
    evaluate: Callable[[Task], Found],
    tolerance: Mapping[str, float],
    run: Run,
) -> dict[tuple[float, ...], Found]:
    """What was found at each point, from as many of the batches of ``sizes`` examples as the ``tolerance`` asks for.

    ``tolerance`` gives each metric's error relative to its range. Without one, every point takes all examples at once.
    Raises ValueError for a tolerance that is not positive, and for a metric there is not.
    """
    if not all(0 < wanted < float("inf") for wanted in tolerance.values()):
        raise ValueError(f"a tolerance must be positive, got {dict(tolerance)}")
    ends = list(accumulate(sizes))
    reached = dict.fromkeys(points, 0)
    wanted = dict.fromkeys(points, _batches(ends, FEWEST) if tolerance else len(ends))
    found: dict[tuple[float, ...], Found] = {}
    while any(wanted[point] > reached[point] for point in points):
        tasks = [Task(point, reached[point], wanted[point]) for point in reached if wanted[point] > reached[point]]
        for task, part in zip(tasks, run(tasks, evaluate), strict=True):
            found[task.point] = _together(found[task.point], part) if task.start else part
            reached[task.point] = task.stop
        errors = _errors(found, tolerance)
        for point in reached:
            wanted[point] = max(
                (_needed(found[point][name][1], error, ends) for name, error in errors.items()), default=len(ends)
            )
    return found


def _together(one: Found, other: Found) -> Found:
    return {name: (value.with_(other[name][0]), rise.with_(other[name][1])) for name, (value, rise) in one.items()}


def _errors(found: Mapping[tuple[float, ...], Found], tolerance: Mapping[str, float]) -> dict[str, float]:
    """The standard error asked for, of each metric: its tolerance times the range of the surface as far as known."""
    errors = {}
    for name, wanted in tolerance.items():
        if name not in next(iter(found.values())):
            raise ValueError(f"no metric {name!r} to be accurate in; there are {', '.join(next(iter(found.values())))}")
        rises = np.array([0.0, *(each[name][1].mean for each in found.values())])
        errors[name] = wanted * float(np.ptp(rises[np.isfinite(rises)]))
    return errors


def _needed(rise: Moments, error: float, ends: Sequence[int]) -> int:
    """Batches that bring the standard error of ``rise`` to ``error``: those it has, or at least one more."""
    population, raised = ends[-1], 1 + (2 * rise.size) ** -0.5
    have = _batches(ends, rise.size)
    if raised * rise.stderr_of(population) <= error:
        return have
    if not error > 0 or not np.isfinite(rise.variance):
        return len(ends)
    examples = math.ceil(1 / (error**2 / (raised**2 * rise.variance) + 1 / population))
    return max(have + 1, _batches(ends, examples))


def _batches(ends: Sequence[int], examples: int) -> int:
    """How many batches hold so many examples; all, where there are not so many."""
    return min(1 + int(np.searchsorted(ends, examples)), len(ends))
