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
    "table2": "results/table2/README.md",
    "scalability": "results/scalability/README.md",
}
_LINK = re.compile(r"(!?\[[^\]]*\]\()([^)#\s:]+)(#[^)]*)?\)")


def pages() -> dict[str, str]:
    """Those of :data:`SOURCES` that are there."""
    found = {name: ROOT / source for name, source in SOURCES.items()}
    return {name: _moved(path) for name, path in found.items() if path.is_file()}


def listed(_app: Any, name: str, content: list[str]) -> None:
    """The pages of results/ in the tree below the results, as far as they are there."""
    if name == "results/index":
        there = [f"../project/{page}" for page in ("claims", "table2", "scalability") if page in pages()]
        content[0] += f"\n{toctree(*there)}\n" if there else ""


def _moved(path: Path) -> str:
    def seen(link: re.Match[str]) -> str:
        found = (path.parent / link[2]).resolve()
        here = next((f"{name}.md" for name, source in SOURCES.items() if ROOT / source == found), None)
        target = here or os.path.relpath(found, PLACE)
        return f"{link[1]}{target}{link[3] or ''})"

    return _LINK.sub(seen, path.read_text(encoding="utf-8"))
