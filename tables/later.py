"""What is imported when it is used: flags are read, and help is shown, before anything heavy is."""

import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any


def function(name: str) -> Callable[..., Any]:
    """The function ``package.module:name``, whose module is imported when it is called."""
    module, _, called = name.partition(":")

    def call(*arguments: Any, **named: Any) -> Any:
        return getattr(import_module(module), called)(*arguments, **named)

    return call


def names(package: str, *modules: str) -> Callable[[str], Any]:
    """A package's ``__getattr__`` (PEP 562): what it names in ``__all__`` comes from ``modules`` on first use."""

    def found(name: str) -> Any:
        if name in modules:
            return import_module(f"{package}.{name}")
        if name in sys.modules[package].__all__:
            for module in modules:
                if hasattr(loaded := import_module(f"{package}.{module}"), name):
                    return getattr(loaded, name)
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    return found
