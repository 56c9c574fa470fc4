"""The gallery: every picture there is, with the lines that make it, and as it was drawn where results/ has it."""

from pathlib import Path

from figures.pictures.catalogue import PICTURES
from figures.pictures.picture import Picture
from tables.schema import SCHEMA

from .markdown import page

RESULTS = Path(__file__).parents[2] / "results"
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


def drawn(name: str) -> list[Path]:
    """Where results/ has the picture, digits before the others."""
    found = RESULTS.rglob(f"{name}.png")
    return sorted(found, key=lambda path: (path.parent.name != "digits", path.parent.name))


def gallery() -> str:
    """The page, in the catalogue's order."""
    parts = [
        "# Gallery",
        "Every picture, with the three lines that make it: networks, its table, and all pictures that the tables of a "
        "folder allow. `analysis.study` does all three for most of them. Any number of methods up to eight; PDF, PNG "
        "and SVG, the caption in a text file beside them (`--captions` draws it, too), as wide as one column with "
        "`--width 3.4`. A picture that isn't here is drawn from your tables as soon as they have what it needs.",
    ]
    for picture in PICTURES:
        table = f"[{picture.table}](../reference/tables/{picture.table}.md)"
        parts += [f"## {picture.heading}", f"`{picture.name}`, of table {table}."]
        parts += [f"![{picture.heading}](../../{path.relative_to(RESULTS.parent)})" for path in drawn(picture.name)[:1]]
        parts.append("\n".join(["```bash", *lines(picture), "```"]))
    return page(*parts)
