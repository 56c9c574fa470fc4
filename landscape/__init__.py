"""The loss as a function of the weights: any module, any loss, any batches.

Rooms, lower ones first: :mod:`~landscape.evaluation` (a model on batches, checked), :mod:`~landscape.objective` (the
loss and its gradient), :mod:`~landscape.curvature` (second derivatives as matrices), :mod:`~landscape.spectrum` (their
eigenvalues, density, trace), :mod:`~landscape.surfaces` (lines, planes, paths), :mod:`~landscape.sharpness` (rises and
norms). What most scripts need is here.
"""

from . import earlier
from .curvature import EmpiricalFisher, Fisher, GaussNewton, Hessian, Remainder
from .evaluation import recalibrate
from .objective import Closure, Objective, Parameters
from .refusal import Refusal
from .sharpness import average_rise, curvature_at_radius, smoothed_curvature, worst_rise
from .spectrum import density, diagonal, eigenpairs, frobenius, lanczos, trace
from .surfaces import grid, random_direction, surface

__all__ = [
    "Closure",
    "EmpiricalFisher",
    "Fisher",
    "GaussNewton",
    "Hessian",
    "Objective",
    "Parameters",
    "Refusal",
    "Remainder",
    "average_rise",
    "curvature_at_radius",
    "density",
    "diagonal",
    "eigenpairs",
    "frobenius",
    "grid",
    "lanczos",
    "random_direction",
    "recalibrate",
    "smoothed_curvature",
    "surface",
    "trace",
    "worst_rise",
]

earlier.alias()
