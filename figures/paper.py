"""Every picture of the paper from the tables of a folder: reads DIR/tables, writes DIR/figures as PDF and PNG.

    python -m figures.paper runs/demo

What there is gets drawn. On stderr one line names all pictures whose tables are not there, and a line each those whose
tables can't be used. The files are the same byte for byte for the same tables: no dates inside. Each is written beside
its place and renamed.
"""

import io
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import pandas as pd
import tyro
from matplotlib.figure import Figure

from . import (
    agreement,
    anytime,
    calibration,
    command,
    correlation,
    course,
    energy,
    flatness,
    momentum,
    momentum_layers,
    pairs,
    parts,
    paths,
    radius,
    robustness,
    scalability,
    sharpness,
    spectra,
    stability,
    style,
    surfaces,
    switch,
    tables,
    training,
    trajectory,
)


@dataclass(frozen=True)
class Picture:
    """One figure: its file name, the table it is made of, what draws it, its size in inches, and what else it needs.

    ``draw`` is given the figure, the table, and each table ``beside`` it.
    """

    name: str
    table: str
    draw: Callable[..., object]
    width: float
    height: float
    beside: tuple[str, ...] = ()


PICTURES = (
    Picture("surfaces", "surface", surfaces.planes, style.PAGE, 6.0),
    Picture("surface-lines", "surface", surfaces.lines, style.PAGE, 2.6),
    Picture(
        "trajectory", "surface_path", trajectory.trajectory, style.PAGE, 5.0, ("surface", "surface_axes"),
    ),
    Picture("eigenvalues", "hessian", spectra.eigenvalues, style.PAGE, 4.2),
    Picture("density", "density", spectra.density, style.PAGE, 4.2),
    Picture("radius", "radius", radius.radii, style.PAGE, 4.6),
    Picture("sharpness", "sharpness", sharpness.sharpness, style.PAGE, 4.2),
    Picture("scalability", "timesteps", scalability.cumulative, style.COLUMN, 2.9),
    Picture("per-timestep", "timesteps", scalability.at_step, style.COLUMN, 2.9),
    Picture("scalability-ways", "timesteps", scalability.ways, style.COLUMN, 3.1),
    Picture("agreement", "timesteps", agreement.agreement, style.PAGE, 2.6),
    Picture("calibration", "timesteps", calibration.calibration, style.PAGE, 2.6),
    Picture("anytime", "anytime", anytime.anytime, style.PAGE, 2.8, ("timesteps",)),
    Picture("momentum", "momentum", momentum.statistics, style.PAGE, 4.0),
    Picture("momentum-pairs", "momentum_pairs", pairs.cosines, style.COLUMN, 2.8),
    Picture("descent", "descent", momentum.descent, style.PAGE, 4.0),
    Picture(
        "momentum-layers", "momentum_layers", momentum_layers.layers, style.PAGE, 2.8, ("descent_layers",),
    ),
    Picture("momentum-steps", "momentum_steps", course.steps, style.PAGE, 4.0),
    Picture("momentum-history", "momentum_history", course.epochs, style.PAGE, 4.0),
    Picture("switch", "switch", switch.switch, style.PAGE, 4.0),
    Picture("energy", "energy", energy.accuracy, style.COLUMN, 2.8),
    Picture("training", "history", training.history, style.PAGE, 2.6),
    Picture("layers", "layers", parts.layers, style.PAGE, 4.0),
    Picture("steps", "steps", parts.steps, style.COLUMN, 2.6),
    Picture("robustness", "robustness", robustness.robustness, style.PAGE, 4.0),
    Picture("paths", "path", paths.paths, style.PAGE, 2.8),
    Picture("barriers", "barrier", paths.barriers, style.COLUMN, 2.6),
    Picture("gap-in-loss", "measures", correlation.gap_in_loss, style.PAGE, 6.0, ("correlation",)),
    Picture("gap-in-accuracy", "measures", correlation.gap_in_accuracy, style.PAGE, 6.0, ("correlation",)),
    Picture("stability", "stability", stability.stability, style.COLUMN, 2.9),
    Picture("flatness", "compare", flatness.forest, style.PAGE, 4.0),
)  # fmt: skip

_PROG = "python -m figures.paper"
_METADATA: dict[str, dict[str, str | None]] = {
    "pdf": {"Creator": "snn-landscape", "CreationDate": None},
    "png": {"Software": "snn-landscape"},
}


@dataclass(frozen=True)
class Config:
    """Draw every figure that the tables in DIR/tables allow, into DIR/figures, as PDF and PNG."""

    directory: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DIR")]
    """Folder that holds tables/; the pictures go to figures/ in it."""


def run(config: Config, say: command.Say) -> list[Path]:
    """Make the figures and return their files; ``say`` gets a line on what can't be made.

    Raises OSError when DIR/figures can't be written.
    """
    out = config.directory / "figures"
    files: list[Path] = []
    absent: dict[str, list[str]] = {}
    for picture in PICTURES:
        names = (picture.table, *picture.beside)
        if missing := [name for name in names if not tables.path(config.directory, name).is_file()]:
            absent[picture.name] = missing
            continue
        try:
            frame, *others = (tables.read(config.directory, name) for name in names)
        except (OSError, tables.TableError) as error:
            say(f"{picture.name}: {error}")
            continue
        if shared := tables.shared_seeds(frame):
            say(
                f"{picture.name}: {shared} checkpoints share a seed with another; each seed is averaged and counts once"
            )
        for suffix, part in tables.families(frame):
            try:
                files += _make(
                    picture, (part, *(tables.same(part, other) for other in others)), out / (picture.name + suffix)
                )
            except tables.TableError as error:
                say(f"{picture.name}{suffix}: {tables.path(config.directory, picture.table)}: {error}")
    if absent and files:
        say(_left_out(absent))
    return files


def _left_out(absent: Mapping[str, Sequence[str]]) -> str:
    """The pictures that nothing was measured for, each with the tables that it needs."""
    named = ", ".join(f"{name} ({' and '.join(missing)})" for name, missing in absent.items())
    which = f"{len(absent)} of {len(PICTURES)} pictures are" if len(absent) > 1 else "one picture is"
    return f"{which} left out, as {'their' if len(absent) > 1 else 'its'} tables (in brackets) are not there: {named}"


def _make(picture: Picture, frames: Sequence[pd.DataFrame], stem: Path) -> list[Path]:
    """Draw one picture and write it in both formats, with the panels where the first put them: placing is slow."""
    with style.paper():
        figure = Figure(figsize=(picture.width, picture.height), layout="constrained")
        picture.draw(figure, *frames)
        files = []
        for extension in _METADATA:
            files.append(_written(figure, stem, extension))
            figure.set_layout_engine("none")
        return files


def _written(figure: Figure, stem: Path, extension: str) -> Path:
    target, drawn = stem.with_name(f"{stem.name}.{extension}"), io.BytesIO()
    figure.savefig(drawn, format=extension, metadata=_METADATA[extension])
    with command.replacing(target) as partial:  # whole at once: on a full disk savefig fails with zlib's errors
        partial.write_bytes(drawn.getbuffer())
    return target


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    return command.main(_PROG, Config, run, argv)


if __name__ == "__main__":
    sys.exit(main())
