"""What a network spends: operations counted, and joules for them."""

from typing import TYPE_CHECKING

from tables import later

from .. import line
from .flags import Config

if TYPE_CHECKING:
    from .command import measure, run
else:
    __getattr__ = later.names(__name__, "command")

__all__ = ["Config", "main", "measure", "run"]

main = line.of(__name__, Config)
