"""Every picture of the paper from the tables of a folder: reads DIR/tables, writes DIR/figures as PDF and PNG.

    python -m figures.paper runs/demo

What there is gets drawn; a table that is missing or can't be read costs its pictures, and one line each on stderr. The
files are the same byte for byte for the same tables: no dates inside. Each is written beside its place and renamed.
"""

import contextlib
import io
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import pandas as pd
import tyro
from matplotlib.figure import Figure

from . import energy, flatness, momentum, pairs, radius, scalability, spectra, style, surfaces, tables, training


@dataclass(frozen=True)
class Picture:
    """One figure: its file name, the table it is made of, what draws it, and its size in inches."""

    name: str
    table: str
    draw: Callable[[Figure, pd.DataFrame], object]
    width: float
    height: float


PICTURES = (
    Picture("surfaces", "surface", surfaces.planes, style.PAGE, 6.0),
    Picture("surface-lines", "surface", surfaces.lines, style.PAGE, 2.6),
    Picture("eigenvalues", "hessian", spectra.eigenvalues, style.PAGE, 4.2),
    Picture("density", "density", spectra.density, style.PAGE, 4.2),
    Picture("radius", "radius", radius.radii, style.PAGE, 4.6),
    Picture("scalability", "timesteps", scalability.cumulative, style.COLUMN, 2.9),
    Picture("per-timestep", "timesteps", scalability.at_step, style.COLUMN, 2.9),
    Picture("momentum", "momentum", momentum.statistics, style.PAGE, 4.0),
    Picture("momentum-pairs", "momentum_pairs", pairs.cosines, style.COLUMN, 2.8),
    Picture("descent", "descent", momentum.descent, style.PAGE, 4.0),
    Picture("energy", "energy", energy.accuracy, style.COLUMN, 2.8),
    Picture("training", "history", training.history, style.PAGE, 2.6),
    Picture("flatness", "compare", flatness.forest, style.PAGE, 4.0),
)  # fmt: skip

_PROG = "python -m figures.paper"
_NO_BOX = str.maketrans("", "", "│╭╮╰╯─")
_METADATA: dict[str, dict[str, str | None]] = {
    "pdf": {"Creator": "snn-landscape", "CreationDate": None},
    "png": {"Software": "snn-landscape"},
}


@dataclass(frozen=True)
class Config:
    """Draw every figure that the tables in DIR/tables allow, into DIR/figures, as PDF and PNG."""

    directory: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DIR")]
    """Folder that holds tables/; the pictures go to figures/ in it."""


def run(config: Config, *, say: Callable[[str], None]) -> list[Path]:
    """Make the figures and return their files; ``say`` gets a line for each one that can't be made.

    Raises OSError when DIR/figures can't be written.
    """
    out = config.directory / "figures"
    files: list[Path] = []
    for picture in PICTURES:
        try:
            frame = tables.read(config.directory, picture.table)
        except (OSError, tables.TableError) as error:
            say(f"{picture.name}: {error}")
            continue
        if shared := tables.shared_seeds(frame):
            say(
                f"{picture.name}: {shared} checkpoints share a seed with another; each seed is averaged and counts once"
            )
        for suffix, part in tables.families(frame):
            try:
                files += _make(picture, part, out / (picture.name + suffix))
            except tables.TableError as error:
                say(f"{picture.name}{suffix}: {tables.path(config.directory, picture.table)}: {error}")
    return files


def _make(picture: Picture, frame: pd.DataFrame, stem: Path) -> list[Path]:
    """Draw one picture and write it in both formats, with the panels where the first put them: placing is slow."""
    with style.paper():
        figure = Figure(figsize=(picture.width, picture.height), layout="constrained")
        picture.draw(figure, frame)
        files = []
        for extension in _METADATA:
            files.append(_written(figure, stem, extension))
            figure.set_layout_engine("none")
        return files


def _written(figure: Figure, stem: Path, extension: str) -> Path:
    """Write a file whole or not at all."""
    target = stem.with_name(f"{stem.name}.{extension}")
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, partial = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    os.close(handle)
    try:
        figure.savefig(partial, format=extension, metadata=_METADATA[extension])
        Path(partial).chmod(0o644)
        Path(partial).replace(target)
    finally:
        Path(partial).unlink(missing_ok=True)
    return target


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status: 0 when at least one figure was made, 1 for none, 2 for usage."""
    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            config = tyro.cli(Config, args=argv, prog=_PROG)
    except SystemExit as stop:
        if stop.code:
            words = " ".join(complaint.getvalue().translate(_NO_BOX).split())
            _say(f"error: {words}")
        return stop.code if isinstance(stop.code, int) else 2
    try:
        if not config.directory.is_dir():
            raise FileNotFoundError(f"{config.directory} is no folder; expected one with tables/ in it")
        files = run(config, say=_say)
    except OSError as error:
        _say(f"error: {error}")
        return 1
    for file in files:
        print(file)
    if not files:
        _say(f"error: no figure made: no usable table in {config.directory / 'tables'}")
    return 0 if files else 1


def _say(line: str) -> None:
    print(f"{_PROG}: {' '.join(line.split())}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
