"""What a study couldn't measure, and why: OUT/left_out.json, a list of lines, beside the tables it is missing from."""

import json
from collections.abc import Sequence
from pathlib import Path

from .files import replacing_alone

NAME = "left_out.json"
WHOLLY = "nothing was measured of "
"""How a line begins that names subjects of which there is no table at all."""


def write(directory: Path, lines: Sequence[str]) -> None:
    """Keep these lines for whoever reads ``directory``; none takes away what an earlier study left."""
    target = directory / NAME
    if not lines:
        target.unlink(missing_ok=True)
        return
    with replacing_alone(target) as partial:
        partial.write_text(json.dumps(list(lines), ensure_ascii=False, indent=1), encoding="utf-8")


def read(directory: Path) -> list[str]:
    """The lines; none where nothing was left out, or where the file is no list of lines."""
    try:
        found = json.loads((directory / NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    return [line for line in found if isinstance(line, str)] if isinstance(found, list) else []
