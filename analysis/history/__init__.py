"""The training curves that a checkpoint carries, and how it was trained."""

from typing import TYPE_CHECKING

from tables import later

from .. import line
from .flags import Config

if TYPE_CHECKING:
    from .command import SETTINGS, measure, run, settings
else:
    __getattr__ = later.names(__name__, "command")

__all__ = ["SETTINGS", "Config", "main", "measure", "run", "settings"]

main = line.of(__name__, Config)
