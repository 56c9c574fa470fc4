"""What a surface is put together from: a point on some of the batches, and the centre on the same.

All points see the same examples, so that what has to be known of a point are its paired differences to the centre.
What is found is plain JSON, that it may be kept in a file and come from another process.
"""

import base64
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Float64
from torch import Tensor

from .moments import Moments
from .points import Points


class Task(NamedTuple):
    """A point of weight space, to be evaluated on the batches from ``start`` to before ``stop``."""

    point: tuple[float, ...]
    start: int
    stop: int


Found = dict[str, Any]  # of each metric, plain JSON
Run = Callable[[Sequence[Task], Callable[[Task], Found]], Iterable[Found]]


def in_turn(tasks: Sequence[Task], evaluate: Callable[[Task], Found]) -> Iterator[Found]:
    """One task after the other."""
    return map(evaluate, tasks)


def counted(run: Run, progress: Callable[[int], object] | None) -> Run:
    """``run``, which calls ``progress`` with the number of tasks done after each."""
    done = 0

    def found(tasks: Sequence[Task], evaluate: Callable[[Task], Found]) -> Iterable[Found]:
        nonlocal done
        for each in run(tasks, evaluate):
            done += 1
            if progress is not None:
                progress(done)
            yield each

    return found


class Centre:
    """The weights as found, and what tasks are answered with beside them."""

    def __init__(self, space: Points):
        self.space = space
        self.origin = (0.0,) * space.dimension
        self.ends: list[int] = np.cumsum([0, *space.sizes]).tolist()

    @cached_property
    def values(self) -> dict[str, Float64[Tensor, " example"]]:
        """Every metric of all examples."""
        return self.space.values(self.origin)

    def moments(self, task: Task) -> Found:
        """Size, mean and squares of each metric's values, and of their rise above the centre."""
        centre = self._part(task)
        return {
            name: [[*Moments.of(each)], [*Moments.of(each - centre[name])]] for name, each in self._values(task).items()
        }

    def rises(self, task: Task) -> Found:
        """Each metric's rise above the centre, example by example: float64 in base 64."""
        centre = self._part(task)
        return {
            name: base64.b64encode((each - centre[name]).numpy().tobytes()).decode()
            for name, each in self._values(task).items()
        }

    def _values(self, task: Task) -> dict[str, Float64[Tensor, " example"]]:
        return self._part(task) if task.point == self.origin else self.space.values(*task)

    def _part(self, task: Task) -> dict[str, Float64[Tensor, " example"]]:
        part = slice(self.ends[task.start], self.ends[task.stop])
        return {name: each[part] for name, each in self.values.items()}


def moments(found: Found) -> dict[str, tuple[Moments, Moments]]:
    """What :meth:`Centre.moments` found."""
    return {name: (Moments(*value), Moments(*rise)) for name, (value, rise) in found.items()}


def rises(found: Found) -> Float[np.ndarray, "metric example"]:
    """What :meth:`Centre.rises` found."""
    return np.stack([np.frombuffer(base64.b64decode(each)) for each in found.values()])
