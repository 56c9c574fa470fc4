"""``--dry-run``: what an analysis would cost, from the same analysis of a few images.

Three runs, on k images of a split in one piece, 2k in one and 2k in two, tell apart what a run takes once, for every
piece and for every image. Those asked for follow: seconds, memory, and forward passes of the network (of a piece each;
what goes back through graphs that are kept is none). A short run is begun with twice, since much of the first may be
done only once. Iterations are as many as the few images need. Memory is the process's own at its peak, or CUDA's
allocator's.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import pandas as pd
import torch
from scipy.optimize import nnls

from landscape.objective.memory import SHARE, available
from models import processes

from .flags import Config
from .peaks import Peaks, watched
from .subject import Subject

PIECES = (4, 16, 64)
"""Images that are tried, until they are enough for the analysis, and take long enough to be told apart."""
_GIB = 2**30
_LONG = 3  # seconds
C = TypeVar("C", bound=Config)
Measure = Callable[[Subject, C], Mapping[str, pd.DataFrame]]


@dataclass(frozen=True)
class Run:
    """What was seen of one run: images and pieces of a split, forward passes, seconds, and memory."""

    images: int
    pieces: int
    passes: int
    seconds: float
    memory: Peaks


def forecast(measure: Measure[C], subject: Subject, config: C) -> pd.DataFrame:
    """Table cost, a row: images (of a split), from_images, passes, seconds, at_most, gib, asking (seconds it took).

    ``at_most`` are the seconds if all of them were an image's.

    Raises what ``measure`` raises of the most images tried.
    """
    begun = time.perf_counter()
    images, pieces = _asked(subject, config)
    runs = _runs(measure, subject, config, round(images))
    without = config.without_graphs()
    if without is not config and _kept(runs, images) > SHARE * available(torch.device(subject.device)):
        config, runs = without, _runs(measure, subject, without, round(images))
    kept = 0.0 if without is config else _kept(runs, images)
    return pd.DataFrame(
        {
            "images": [round(images)],
            "from_images": sum(run.images for run in runs),
            "passes": round(_extended(runs, "passes", pieces, images)),
            "seconds": _extended(runs, "seconds", pieces, images),
            "at_most": runs[-1].seconds * images / runs[-1].images,
            "gib": (_peak(runs, images / pieces) + kept) / _GIB,
            "asking": time.perf_counter() - begun,
        }
    )


def instead(measure: Measure[C]) -> Measure[C]:
    """What makes the table cost where ``measure`` makes its own. Raises ValueError in one of several processes."""
    if processes.world() > 1:
        raise ValueError("--dry-run is asked of one process: start it without torchrun")
    return lambda subject, config: {"cost": forecast(measure, subject, config)}


def _asked(subject: Subject, config: Config) -> tuple[float, float]:
    """Images and pieces of a split, in the mean over splits."""
    amount = config.amount(subject.training)
    counts = [subject.count(split) for split in subject.splits(config.measured)]
    counts = [count if amount is None else min(count, amount) for count in counts]
    return float(np.mean(counts)), float(np.mean([-(-count // config.chunk) for count in counts]))


def _runs(measure: Measure[C], subject: Subject, config: C, asked: int) -> list[Run]:
    """Those of the fewest images that do; or, where few are asked for, all that is asked for, as it is."""
    first = None
    for few in (few for few in PIECES if 4 * few < asked):
        try:
            first = _run(measure, subject, config, few, 1)
        except ValueError:
            if few == PIECES[-1]:
                raise
        if first and first.seconds > _LONG:
            break
    if first is None:
        return [_run(measure, subject, config, asked, -(-asked // config.chunk))]
    if first.seconds < _LONG:  # what is done the first time may be much of it
        first = _run(measure, subject, config, first.images, 1)
    return [first, *(_run(measure, subject, config, 2 * first.images, pieces) for pieces in (1, 2))]


def _run(measure: Measure[C], subject: Subject, config: C, images: int, pieces: int) -> Run:
    with watched(subject.network, subject.device) as seen:
        begun = time.perf_counter()
        measure(subject, config.on_few(images, -(-images // pieces)))
        seconds = time.perf_counter() - begun
    return Run(images, pieces, seen.passes, seconds, seen)


def _extended(runs: list[Run], of: str, pieces: float, images: float) -> float:
    """A number of runs like these, linear in pieces and images, and falling in neither."""
    if len(runs) == 1:
        return float(getattr(runs[0], of))
    shapes = np.array([(1, run.pieces, run.images) for run in runs], dtype=float)
    slopes, _ = nnls(shapes, np.array([getattr(run, of) for run in runs], dtype=float))
    return float(np.dot((1, pieces, images), slopes))


def _peak(runs: list[Run], size: float) -> float:
    """Bytes at the peak with pieces of ``size``: one is there at a time."""
    if len(runs) == 1:
        return runs[0].memory.highest
    _, whole, halves = (run.memory for run in runs)
    images = runs[1].images
    more = max(whole.highest - halves.highest, whole.growth - halves.growth, 0.0)  # for half of them
    return whole.highest + 2 * more / images * (size - images)


def _kept(runs: list[Run], images: float) -> float:
    """Bytes more for the graphs that are kept of all ``images`` than for those of one of the largest pieces seen."""
    if len(runs) == 1:
        return 0.0
    few, many, split = runs
    more = max(split.memory.highest - few.memory.highest, 0.0)
    return more / (split.images - few.images) * max(images - many.images, 0.0)
