"""Loss surfaces: lines and planes through checkpoints, and numbers for their shape."""

from typing import TYPE_CHECKING

from tables import later

from .. import line
from .flags import Config

if TYPE_CHECKING:
    from .command import measure, metrics, run
else:
    __getattr__ = later.names(__name__, "command")

__all__ = ["Config", "main", "measure", "metrics", "run"]

main = line.of(__name__, Config)
