"""The loss as a function of the weights, and its gradient."""

from .closure import Closure
from .derivative import cut, derivative
from .memory import fits
from .objective import Objective
from .parameters import Parameters, as_reals

__all__ = ["Closure", "Objective", "Parameters", "as_reals", "cut", "derivative", "fits"]
