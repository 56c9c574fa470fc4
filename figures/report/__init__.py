"""Everything that was measured as one page: DIR/report.html, from the tables in DIR/tables."""

from typing import TYPE_CHECKING

from tables import later

from .. import command as line
from .flags import Config

if TYPE_CHECKING:
    from .command import page, run
else:
    __getattr__ = later.names(__name__, "command")

__all__ = ["Config", "main", "page", "run"]

main = line.of(__name__, Config)
