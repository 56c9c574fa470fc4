"""The loss as a function of the weights, and its gradient."""

from .closure import Closure
from .derivative import cut, derivative
from .memory import fits
from .objective import Objective, check_gradient
from .parameters import Parameters, as_reals
from .replay import Replay
from .sharing import Outputs, Sharing

__all__ = [
    "Closure",
    "Objective",
    "Outputs",
    "Parameters",
    "Replay",
    "Sharing",
    "as_reals",
    "check_gradient",
    "cut",
    "derivative",
    "fits",
]
