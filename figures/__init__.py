"""Pictures of saved tables: ``from figures import draw; draw("surfaces", frame)``."""

from typing import TYPE_CHECKING

from tables import later

if TYPE_CHECKING:
    from .drawn import draw
else:
    __getattr__ = later.names(__name__, "drawn")

__all__ = ["draw"]
