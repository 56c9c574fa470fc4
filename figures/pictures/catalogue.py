"""Every picture there is: its file, its table, what draws it."""

from collections.abc import Callable
from dataclasses import dataclass

from ..style import look as style
from . import (
    agreement,
    anytime,
    calibration,
    correlation,
    course,
    energy,
    flatness,
    momentum,
    momentum_layers,
    pairs,
    parts,
    paths,
    radius,
    robustness,
    scalability,
    sharpness,
    spectra,
    stability,
    surfaces,
    switch,
    training,
    trajectory,
)


@dataclass(frozen=True)
class Picture:
    """One figure: its file name, the table it is made of, what draws it, its size in inches, and what else it needs.

    ``draw`` is given the figure, the table, and each table ``beside`` it.
    """

    name: str
    table: str
    draw: Callable[..., object]
    width: float
    height: float
    beside: tuple[str, ...] = ()


PICTURES = (
    Picture("surfaces", "surface", surfaces.planes, style.PAGE, 6.0),
    Picture("surface-lines", "surface", surfaces.lines, style.PAGE, 2.6),
    Picture(
        "trajectory", "surface_path", trajectory.trajectory, style.PAGE, 5.0, ("surface", "surface_axes"),
    ),
    Picture("eigenvalues", "hessian", spectra.eigenvalues, style.PAGE, 4.2),
    Picture("density", "density", spectra.density, style.PAGE, 4.2),
    Picture("radius", "radius", radius.radii, style.PAGE, 4.6),
    Picture("sharpness", "sharpness", sharpness.sharpness, style.PAGE, 4.2),
    Picture("scalability", "timesteps", scalability.cumulative, style.COLUMN, 2.9),
    Picture("per-timestep", "timesteps", scalability.at_step, style.COLUMN, 2.9),
    Picture("scalability-ways", "timesteps", scalability.ways, style.COLUMN, 3.1),
    Picture("agreement", "timesteps", agreement.agreement, style.PAGE, 2.6),
    Picture("calibration", "timesteps", calibration.calibration, style.PAGE, 2.6),
    Picture("anytime", "anytime", anytime.anytime, style.PAGE, 2.8, ("timesteps",)),
    Picture("momentum", "momentum", momentum.statistics, style.PAGE, 4.0),
    Picture("momentum-pairs", "momentum_pairs", pairs.cosines, style.COLUMN, 2.8),
    Picture("descent", "descent", momentum.descent, style.PAGE, 4.0),
    Picture(
        "momentum-layers", "momentum_layers", momentum_layers.layers, style.PAGE, 2.8, ("descent_layers",),
    ),
    Picture("momentum-steps", "momentum_steps", course.steps, style.PAGE, 4.0),
    Picture("momentum-history", "momentum_history", course.epochs, style.PAGE, 4.0),
    Picture("switch", "switch", switch.switch, style.PAGE, 4.0),
    Picture("energy", "energy", energy.accuracy, style.COLUMN, 2.8),
    Picture("training", "history", training.history, style.PAGE, 2.6),
    Picture("layers", "layers", parts.layers, style.PAGE, 4.0),
    Picture("steps", "steps", parts.steps, style.COLUMN, 2.6),
    Picture("robustness", "robustness", robustness.robustness, style.PAGE, 4.0),
    Picture("paths", "path", paths.paths, style.PAGE, 2.8),
    Picture("barriers", "barrier", paths.barriers, style.COLUMN, 2.6),
    Picture("gap-in-loss", "measures", correlation.gap_in_loss, style.PAGE, 6.0, ("correlation",)),
    Picture("gap-in-accuracy", "measures", correlation.gap_in_accuracy, style.PAGE, 6.0, ("correlation",)),
    Picture("stability", "stability", stability.stability, style.COLUMN, 2.9),
    Picture("flatness", "compare", flatness.forest, style.PAGE, 4.0),
)  # fmt: skip
