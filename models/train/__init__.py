"""Train a network by any of several losses, and keep what every analysis needs."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tables import command_line, later

from ..training import recipes
from .flags import Config

if TYPE_CHECKING:
    from .command import done, run
else:
    __getattr__ = later.names(__name__, "command")

__all__ = ["Config", "done", "main", "run"]

_SHOW, _LISTED = later.function(f"{__name__}.command:show"), later.function("models.training.recipes.listing:table")


def main(argv: Sequence[str] | None = None, prog: str = "python -m models.train") -> int:
    """The command line; returns the exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    recipe = recipes.named(arguments)
    if recipe == "list":
        print(_LISTED())
        return 0
    try:
        before = recipes.flags(recipe) if recipe else []
    except ValueError as failure:
        print(f"{prog}: error: {failure}", file=sys.stderr)
        return 1
    return command_line.command(Config, _SHOW, [*before, *arguments], prog)
