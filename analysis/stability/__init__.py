"""Curvature along training, beside the curvature that the optimizer can stand."""

from typing import TYPE_CHECKING

from tables import later

from .. import line
from .flags import Config

if TYPE_CHECKING:
    from .command import Along, has_steps, limit, run, snapshots, trained_objective
else:
    __getattr__ = later.names(__name__, "command")

__all__ = ["Along", "Config", "has_steps", "limit", "main", "run", "snapshots", "trained_objective"]

main = line.of(__name__, Config)
