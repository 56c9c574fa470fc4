"""Every picture there is, in the page's order: those that the modules beside this one name in their ``PICTURES``."""

import pkgutil
from collections.abc import Iterator
from importlib import import_module

from .picture import Picture


def _found() -> Iterator[Picture]:
    package = __name__.rpartition(".")[0]
    for module in pkgutil.iter_modules(import_module(package).__path__):
        if module.name != "catalogue":
            yield from getattr(import_module(f"{package}.{module.name}"), "PICTURES", ())


PICTURES: tuple[Picture, ...] = tuple(sorted(_found(), key=lambda one: one.order))
