"""Every picture of the paper from the tables of a folder."""

from typing import TYPE_CHECKING

from tables import later

from .. import command as line
from .flags import Config

if TYPE_CHECKING:
    from .command import run
else:
    __getattr__ = later.names(__name__, "command")

__all__ = ["Config", "main", "run"]

main = line.of(__name__, Config)
