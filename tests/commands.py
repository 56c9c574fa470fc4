"""The commands that there are, as the packages themselves say it."""

import importlib
import pkgutil

import analysis
from analysis.command import Config


def _takes_checkpoints(name: str) -> bool:
    module = importlib.import_module(f"analysis.{name}")
    config = getattr(module, "Config", None)
    return (
        hasattr(module, "run") and hasattr(module, "main") and isinstance(config, type) and issubclass(config, Config)
    )


ANALYSES = [found.name for found in pkgutil.iter_modules(analysis.__path__) if _takes_checkpoints(found.name)]
assert {"hessian", "history", "path"} <= set(ANALYSES)
assert "command" not in ANALYSES
