"""Accuracy and loss under noise, rounding, unlike neurons, faulty spikes and shifted images."""

from typing import TYPE_CHECKING

from tables import later

from .. import line
from .flags import Config

if TYPE_CHECKING:
    from .command import NAMES, measure, run
    from .perturbing import perturbed
else:
    __getattr__ = later.names(__name__, "command", "perturbing")

__all__ = ["NAMES", "Config", "main", "measure", "perturbed", "run"]

main = line.of(__name__, Config)
