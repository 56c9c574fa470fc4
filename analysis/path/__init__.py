"""Paths between two checkpoints, and the barriers on them."""

from typing import TYPE_CHECKING

from tables import later

from .. import line
from .flags import Config

if TYPE_CHECKING:
    from .command import TABLES, measure, run
else:
    __getattr__ = later.names(__name__, "command")

__all__ = ["TABLES", "Config", "main", "measure", "run"]

main = line.of(__name__, Config)
