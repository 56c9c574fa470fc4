"""Every picture of the paper from the tables of a folder: reads DIR/tables, writes DIR/figures as PDF and PNG.

    python -m figures.paper runs/demo

What there is gets drawn. On stderr one line names all pictures whose tables are not there, and a line each those whose
tables can't be used. The files are the same byte for byte for the same tables: no dates inside. Each is written beside
its place and renamed.
"""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from tables import reading as tables
from tables import rows
from tables.files import replacing_alone

from .. import command, folder
from ..pictures import catalogue
from ..pictures.picture import Picture
from ..style import look as style
from ..style.methods import compared, methods_of
from ..words.kinds import pictured
from .flags import Config

_METADATA: dict[str, dict[str, str | None]] = {
    "pdf": {"Creator": "snn-landscape", "CreationDate": None},
    "png": {"Software": "snn-landscape"},
}


def run(config: Config, say: command.Say) -> list[Path]:
    """Make the figures and return their files; ``say`` gets a line on what can't be made.

    Raises OSError when DIR/figures can't be written.
    """
    found, unusable = folder.read(config.directory)
    absent: dict[str, list[str]] = {}
    timeless: list[str] = []
    files: list[Path] = []
    with compared(methods_of(found)), pictured(found):
        for picture in catalogue.PICTURES:
            names = (picture.table, *picture.beside)
            if missing := [name for name in names if not tables.path(config.directory, name).is_file()]:
                absent[picture.name] = missing
            elif wrong := [unusable[name] for name in names if name in unusable]:
                say(f"{picture.name}: {wrong[0]}")
            else:
                files += _pictures(config, picture, [found[name] for name in names], say, timeless)
    if timeless:
        say(f"with T = 1 alone there is nothing to see against time: {', '.join(timeless)}")
    if absent and files:
        say(_left_out(absent))
    return files


def _pictures(
    config: Config, picture: Picture, frames: Sequence[pd.DataFrame], say: command.Say, timeless: list[str]
) -> list[Path]:
    """One picture for each network and data set of its table; those that need time and have none are ``timeless``."""
    frame, *others = frames
    files: list[Path] = []
    if shared := rows.shared_seeds(frame):
        say(f"{picture.name}: {shared} checkpoints share a seed with another; each seed is averaged and counts once")
    for suffix, part in rows.families(frame):
        stem = config.directory / "figures" / (picture.name + suffix)
        try:
            files += _make(picture, (part, *(rows.same(part, other) for other in others)), stem)
        except rows.Timeless:
            timeless.append(f"{picture.name}{suffix}")
        except rows.Unasked:  # its lack is no news
            continue
        except tables.TableError as error:
            say(f"{picture.name}{suffix}: {tables.path(config.directory, picture.table)}: {error}")
    return files


def _left_out(absent: Mapping[str, Sequence[str]]) -> str:
    """The pictures that nothing was measured for, each with the tables that it needs."""
    named = ", ".join(f"{name} ({' and '.join(missing)})" for name, missing in absent.items())
    which = f"{len(absent)} of {len(catalogue.PICTURES)} pictures are" if len(absent) > 1 else "one picture is"
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
    with replacing_alone(target) as partial:  # whole at once: on a full disk savefig fails with zlib's errors
        partial.write_bytes(drawn.getbuffer())
    return target
