"""The planes of the surface table as a page to turn and point at."""

from typing import TYPE_CHECKING

from tables import later

from .. import command as line
from .flags import Config

if TYPE_CHECKING:
    from .command import measured_images, page, run, words
else:
    __getattr__ = later.names(__name__, "command")

__all__ = ["Config", "main", "measured_images", "page", "run", "words"]

main = line.of(__name__, Config)
