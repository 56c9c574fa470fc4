"""Second derivatives as matrices that are never made: what they do to a vector."""

from .coordinates import Scaled
from .curvature import Curvature
from .fisher import EmpiricalFisher, Fisher, categorical
from .linear_operator import Operator, check_vectors, products, rademacher
from .operators import GaussNewton, Hessian, Remainder
from .saved_products import Recorded

__all__ = [
    "Curvature",
    "EmpiricalFisher",
    "Fisher",
    "GaussNewton",
    "Hessian",
    "Operator",
    "Recorded",
    "Remainder",
    "Scaled",
    "categorical",
    "check_vectors",
    "products",
    "rademacher",
]
