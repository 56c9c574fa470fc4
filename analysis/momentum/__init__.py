"""Gradients by timestep, what momentum keeps of them, and whether the loss follows."""

from typing import TYPE_CHECKING

from tables import later

from .. import line
from .flags import Config

if TYPE_CHECKING:
    from .command import draw_batches, measure, run
else:
    __getattr__ = later.names(__name__, "command")

__all__ = ["Config", "draw_batches", "main", "measure", "run"]

main = line.of(__name__, Config)
