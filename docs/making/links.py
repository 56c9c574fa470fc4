"""Pages of the repository that are the documentation's too, with their links as seen from there."""

import os
import re
from pathlib import Path
from typing import Any

from .markdown import toctree

ROOT = Path(__file__).parents[2]
PLACE = ROOT / "docs" / "project"
SOURCES = {
    "contributing": "CONTRIBUTING.md",
    "changes": "CHANGELOG.md",
    "log": "benchmarks/LOG.md",
    "claims": "results/README.md",
}
_LINK = re.compile(r"(!?\[[^\]]*\]\()([^)#\s:]+)(#[^)]*)?\)")


def pages() -> dict[str, str]:
    """Those of :data:`SOURCES` that are there."""
    found = {name: ROOT / source for name, source in SOURCES.items()}
    return {name: _moved(path) for name, path in found.items() if path.is_file()}


def listed(_app: Any, name: str, content: list[str]) -> None:
    """The claims' page in the tree below the results, where results/README.md is there."""
    if name == "results/index" and "claims" in pages():
        content[0] += f"\n{toctree('../project/claims')}\n"


def _moved(path: Path) -> str:
    def seen(link: re.Match[str]) -> str:
        target = os.path.relpath((path.parent / link[2]).resolve(), PLACE)
        return f"{link[1]}{target}{link[3] or ''})"

    return _LINK.sub(seen, path.read_text(encoding="utf-8"))
