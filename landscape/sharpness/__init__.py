"""How much the loss rises around the weights, on average and at worst, and norms beside it."""

from .average import average_rise
from .fisher_rao import fisher_rao
from .m_sharpness import m_sharpness
from .norms import UNSCALED, norms, squared_distance
from .pac_bayes import NoiseBorne, bound, noise_borne
from .quantize import FEWEST, MOST, rounded
from .radius import curvature_at_radius
from .relative_flatness import relative_flatness, weight_matrix
from .smoothed import gaussian_direction, smoothed_curvature
from .worst import worst_rise

__all__ = [
    "FEWEST",
    "MOST",
    "UNSCALED",
    "NoiseBorne",
    "average_rise",
    "bound",
    "curvature_at_radius",
    "fisher_rao",
    "gaussian_direction",
    "m_sharpness",
    "noise_borne",
    "norms",
    "relative_flatness",
    "rounded",
    "smoothed_curvature",
    "squared_distance",
    "weight_matrix",
    "worst_rise",
]
