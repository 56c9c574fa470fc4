"""Accuracy, confidence and agreement against the number of timesteps."""

from typing import TYPE_CHECKING

from tables import later

from .. import line
from .flags import Config

if TYPE_CHECKING:
    from .command import horizon, measure, run
else:
    __getattr__ = later.names(__name__, "command")

__all__ = ["Config", "horizon", "main", "measure", "run"]

main = line.of(__name__, Config)
