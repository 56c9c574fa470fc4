"""How much the loss rises around the weights, on average and at worst, and norms beside it."""

from .average import average_rise
from .fisher_rao import fisher_rao
from .logit_scale import LOGITS, MEAN_SQUARE, mean_square, metric, network_scale, scaled
from .m_sharpness import m_sharpness
from .norms import UNSCALED, norms, squared_distance
from .pac_bayes import NoiseBorne, bound, noise_borne
from .quantize import FEWEST, MOST, rounded
from .radius import curvature_at_radius
from .relative_flatness import relative_flatness, weight_matrix
from .rise_curve import ALONG, RiseCurve, Span, ascending, random_spans, rise_curve
from .smoothed import gaussian_direction, smoothed_curvature
from .worst import worst_rise

__all__ = [
    "ALONG",
    "FEWEST",
    "LOGITS",
    "MEAN_SQUARE",
    "MOST",
    "UNSCALED",
    "NoiseBorne",
    "RiseCurve",
    "Span",
    "ascending",
    "average_rise",
    "bound",
    "curvature_at_radius",
    "fisher_rao",
    "gaussian_direction",
    "m_sharpness",
    "mean_square",
    "metric",
    "network_scale",
    "noise_borne",
    "norms",
    "random_spans",
    "relative_flatness",
    "rise_curve",
    "rounded",
    "scaled",
    "smoothed_curvature",
    "squared_distance",
    "weight_matrix",
    "worst_rise",
]
