"""The gallery: every picture there is, drawn by the code as it is, with the lines that make it.

Tables are those in results/ where all that a picture needs are there, and else made-up ones, which is said.
"""

import hashlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import pandas as pd

from figures import draw
from figures.pictures.catalogue import PICTURES
from figures.pictures.picture import Picture
from tables.schema import SCHEMA

from .markdown import page

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "results"
_REAL = {  # by picture, the file of its table, and of networks of what
    "controls": ("controls/controls.csv", "SDT on digits, and controls of known answer"),
    "flatness": ("digits/compare.csv", "the README's networks on digits"),
    "generalization-loss": ("sweep/generalization.csv", "a sweep on digits"),
    "generalization-accuracy": ("sweep/generalization.csv", "a sweep on digits"),
}
_SOURCES = ("figures/**/*.py", "tables/**/*.py", "tests/figure_*.py", "tests/sweep_rows.py", "docs/making/gallery.py")
_BOTH = "runs/sdt-0/ckpt.pt runs/tet-0/ckpt.pt"
_TRAINED = "python -m models.train --loss {loss} --out runs/{loss}-0"
_FLAGS = {  # by picture, what its analysis has to be asked for beyond the checkpoints
    "trajectory": f"analysis.surface {_BOTH} --directions trajectory",
    "scalability-ways": f"analysis.timesteps {_BOTH} --recalibrate",
    "momentum-layers": f"analysis.momentum {_BOTH} --layers",
    "momentum-steps": f"analysis.momentum {_BOTH} --steps 20",
    "switch": f"analysis.momentum {_BOTH} --steps 20",
    "layers": f"analysis.hessian {_BOTH} --layers",
    "steps": f"analysis.hessian {_BOTH} --per-timestep",
}
_DOTS = 130  # per inch
_TRAINING = {"trajectory": "--snapshots 1", "momentum-history": "--record-momentum", "stability": "--snapshots 1"}


def lines(picture: Picture) -> tuple[str, str, str]:
    """The three commands from nothing to a picture: networks, its table, all pictures of what is there."""
    command = SCHEMA[picture.table].command
    draw = "python -m figures.paper runs"
    if command == "compare":
        return "python -m analysis.study --out runs", "python -m analysis.compare runs", draw
    if command == "generalization":
        return "python -m analysis.sweep plan.toml --out runs", "python -m analysis.generalization runs", draw
    flags = " ".join(
        filter(None, ["for loss in sdt tet; do", _TRAINED.format(loss="$loss"), _TRAINING.get(picture.name)])
    )
    asked = _FLAGS.get(picture.name, f"analysis.{command} {_BOTH}")
    if command == "stability":
        asked = "analysis.stability runs/sdt-0 runs/tet-0"
    out = "runs" if command == "controls" else "runs/tables"
    return f"{flags}; done", f"python -m {asked} --out {out}", draw


@cache
def _made_up() -> Mapping[str, pd.DataFrame]:
    """Made-up tables of two methods and five seeds, by name."""
    from tests.figure_tables import complete  # they are for tests first

    return complete(seeds=5)


def tables_of(picture: Picture) -> tuple[dict[str, pd.DataFrame], str]:
    """The tables that a picture is drawn of, and what they are of."""
    if picture.name in _REAL:
        file, words = _REAL[picture.name]
        return {picture.table: pd.read_csv(RESULTS / file)}, f"Drawn of [{file}](../../results/{file}): {words}."
    names = (picture.table, *picture.beside)
    return {name: _made_up()[name] for name in names}, "Drawn of made-up tables, of no network."


def write(folder: Path) -> None:
    """Draw every picture into ``folder``, unless they are there and no source has changed since."""
    sources = sorted({path for pattern in _SOURCES for path in ROOT.glob(pattern)})
    sources += [RESULTS / file for file in sorted({file for file, _ in _REAL.values()})]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()
    kept, files = folder / "drawn.sha256", {one.name: folder / f"{one.name}.png" for one in PICTURES}
    if kept.is_file() and kept.read_text() == digest and all(file.is_file() for file in files.values()):
        return
    folder.mkdir(parents=True, exist_ok=True)
    for picture in PICTURES:
        frames, _ = tables_of(picture)
        draw(picture.name, frames).savefig(files[picture.name], dpi=_DOTS)
    kept.write_text(digest)


def measured(name: str) -> list[Path]:
    """Where results/ has the picture of networks that were trained, digits before the others."""
    found = RESULTS.rglob(f"{name}.png")
    return sorted(found, key=lambda path: (path.parent.name != "digits", path.parent.name))


def gallery() -> str:
    """The page, in the catalogue's order."""
    parts = [
        "# Gallery",
        "Every picture, with the three lines that make it: networks, its table, and all pictures that the tables of a "
        "folder allow. `analysis.study` does all three for most of them. Any number of methods up to eight; PDF, PNG "
        "and SVG, the caption in a text file beside them (`--captions` draws it, too, as here), as wide as one column "
        "with `--width 3.4`. In Python, `figures.draw(NAME, tables)`. Below each picture stands what it is drawn of: "
        "made-up tables show what a picture looks like, and no result.",
    ]
    for picture in PICTURES:
        table = f"[{picture.table}](../reference/tables/{picture.table}.md)"
        parts += [f"## {picture.heading}", f"`{picture.name}`, of table {table}."]
        parts += [f"![{picture.heading}]({picture.name}.png)", tables_of(picture)[1] + _elsewhere(picture.name)]
        parts.append("\n".join(["```bash", *lines(picture), "```"]))
    return page(*parts)


def _elsewhere(name: str) -> str:
    """Where the picture of trained networks is shown, if its tables aren't here."""
    links = [f"[{path.parent.name}](../../{path.relative_to(ROOT)})" for path in measured(name)]
    return f" Of trained networks: {', '.join(links)}." if links and name not in _REAL else ""
