"""The loss along lines, planes and paths, and what their shape says."""

from .adaptive import Error
from .bezier import Fit, fit_bezier
from .directions import filter_scale, random_direction
from .layout import cached_size
from .moments import Moments
from .paths import Path, barrier, excess, placed
from .sampling import Found, Task
from .shape import Radius, mean_rise, radius_at_rise, roughness
from .surface import Surface, grid, mean_and_stderr, surface
from .topology import topology
from .trajectory import principal_components

__all__ = [
    "Error",
    "Fit",
    "Found",
    "Moments",
    "Path",
    "Radius",
    "Surface",
    "Task",
    "barrier",
    "cached_size",
    "excess",
    "filter_scale",
    "fit_bezier",
    "grid",
    "mean_and_stderr",
    "mean_rise",
    "placed",
    "principal_components",
    "radius_at_rise",
    "random_direction",
    "roughness",
    "surface",
    "topology",
]
