"""One sentence for a picture, computed from the tables it is made of.

A sentence says which side is higher only where the 95 % interval leaves zero out, with the doubts of the comparison's
trust column; otherwise that the two can't be told apart, or that there are too few seeds. What describes the minimum
and is not a row of the comparison takes over its doubts about comparable minima. Sentences are not adjusted for how
many there are: the comparison's own p-values are. Where a choice has to be made (a radius, a T) it is fixed here,
whatever the numbers. Tables without what a sentence needs raise :class:`~tables.reading.TableError`.
"""

from collections.abc import Callable

from . import readings_minima as minima
from . import readings_parts as parts
from . import readings_time as time
from . import readings_training as training

READINGS: dict[str, Callable[[minima.Tables], str]] = {
    "surfaces": minima.surfaces,
    "surface-lines": minima.surface_lines,
    "trajectory": training.trajectory,
    "eigenvalues": minima.eigenvalues,
    "density": minima.density,
    "radius": minima.radius,
    "sharpness": minima.sharpness,
    "robustness": time.robustness,
    "scalability": time.scalability,
    "per-timestep": time.per_timestep,
    "scalability-ways": time.scalability_ways,
    "agreement": time.agreement,
    "calibration": time.calibration,
    "anytime": time.anytime,
    "momentum": time.momentum,
    "momentum-pairs": parts.momentum_pairs,
    "momentum-layers": parts.momentum_layers,
    "momentum-steps": training.momentum_steps,
    "momentum-history": training.momentum_history,
    "descent": time.descent,
    "switch": training.switch,
    "energy": time.energy,
    "training": training.training,
    "layers": parts.layers,
    "steps": parts.steps,
    "stability": training.stability,
    "gap-in-loss": minima.gap_in_loss,
    "gap-in-accuracy": minima.gap_in_accuracy,
    "paths": minima.paths,
    "barriers": minima.paths,
    "flatness": minima.flatness,
}

SUMMARY: dict[str, Callable[[minima.Tables], str]] = {
    "Which generalizes better?": minima.generalization,
    "Which minimum is flatter?": minima.flatness,
    "Does flatness go with the gap?": minima.gap_in_loss,
    "Which survives more?": time.robustness,
    "What does it cost?": time.energy,
}  # what a reader asks first
