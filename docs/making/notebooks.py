"""A page for each notebook, as it is, without outputs: the test suite runs them, the documentation doesn't."""

import json
from pathlib import Path

from .markdown import page

FOLDER = Path(__file__).parents[2] / "notebooks"


def notebooks() -> dict[str, str]:
    """All notebooks' pages, by name."""
    return {path.stem: _page(path) for path in sorted(FOLDER.glob("*.ipynb"))}


def _page(path: Path) -> str:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    first, *rest = [_cell(cell["cell_type"], "".join(cell["source"])) for cell in cells]
    return page(first, f"As it runs: `jupyter lab notebooks/{path.name}`.", *rest)


def _cell(kind: str, source: str) -> str:
    return source if kind == "markdown" else f"```py\n{source}\n```"
