"""A surface within a tolerance: the grid's points as places to be searched, and what was found as a surface."""

from collections.abc import Mapping, Sequence
from itertools import accumulate, product

import numpy as np
from jaxtyping import Float

from ..deadline import Deadline
from .adaptive import Estimate, Search
from .grids import Surface
from .known import Known
from .levels import Rises
from .points import Points
from .sampling import Centre, Run, Task, rises


def sparse(
    space: Points,
    axes: Sequence[Float[np.ndarray, " coordinate"]],
    tolerance: Mapping[str, float],
    run: Run,
    seed: int,
    deadline: Deadline,
) -> Surface:
    """The surface over the grid of ``axes``, each metric's error at most its ``tolerance`` times its range.

    Metrics without one have the largest of the others', for what is said of them, and ask for nothing. Raises
    ValueError for a tolerance that is not positive, a metric there is not, and coordinates that do not increase.
    """
    if not all(0 < wanted < np.inf for wanted in tolerance.values()):
        raise ValueError(f"a tolerance must be positive, got {dict(tolerance)}")
    if not all((np.diff(axis) > 0).all() for axis in axes):
        raise ValueError("with a tolerance coordinates must increase along each axis: sort them")
    centre = Centre(space)
    names = list(centre.values)
    for name in tolerance:
        if name not in names:
            raise ValueError(f"no metric {name!r} to be accurate in; there are {', '.join(names)}")
    points = list(product(*(axis.tolist() for axis in axes)))
    size = len(points)
    if centre.origin not in points:
        points.append(centre.origin)
    scales = [np.ptp(axis) or 1.0 for axis in axes]
    values = np.stack([centre.values[name].numpy() for name in names])
    taking = _Taking(points, space.sizes, centre, run)
    known = Known(np.array(points) / scales, size, points.index(centre.origin), np.zeros_like(values), taking)
    wanted = np.array([tolerance.get(name, max(tolerance.values())) for name in names])
    drives = np.array([name in tolerance for name in names])
    found = Search(known, tuple(map(len, axes)), wanted, drives, values, seed, deadline).run()
    return _surface(axes, names, values, found)


class _Taking:
    """Places evaluated on more examples: as many more batches as it takes."""

    def __init__(self, points: Sequence[tuple[float, ...]], sizes: Sequence[int], centre: Centre, run: Run):
        self._points, self._centre, self._run = points, centre, run
        self._ends = list(accumulate(sizes))
        self._known: dict[int, tuple[int, Rises]] = {}

    def __call__(self, wanted: Mapping[int, int]) -> dict[int, Rises]:
        tasks = {}
        for place, examples in wanted.items():
            start = self._known[place][0] if place in self._known else 0
            stop = 1 + int(np.searchsorted(self._ends, min(examples, self._ends[-1])))
            tasks[place] = Task(self._points[place], start, max(stop, start))
        new = [place for place, task in tasks.items() if task.stop > task.start]
        found = self._run([tasks[place] for place in new], self._centre.rises) if new else ()
        for place, each in zip(new, found, strict=True):
            parts = [self._known[place][1]] if place in self._known else []
            self._known[place] = tasks[place].stop, np.concatenate([*parts, rises(each)], axis=1)
        return {place: self._known[place][1] for place in wanted}


def _surface(
    axes: Sequence[Float[np.ndarray, " coordinate"]], names: Sequence[str], centre: Rises, found: Estimate
) -> Surface:
    shape, examples = (len(axes[0]), -1), centre.shape[1]

    def table(of: Float[np.ndarray, "place metric"]) -> dict[str, np.ndarray]:
        return {name: of[:, number].reshape(shape) for number, name in enumerate(names)}

    return Surface(
        axes[0],
        axes[1] if len(axes) > 1 else np.zeros(1),
        table(centre.mean(1) + found.rises),
        table(np.sqrt(found.value_variance / examples + found.sampling)),
        table(np.sqrt(found.rise_variance / examples + found.sampling)),
        table(np.sqrt(found.sampling)),
        found.images.reshape(shape),
        examples,
        dict(zip(names, found.errors, strict=True)),
    )
