"""Every picture of the paper from the tables of a folder: reads DIR/tables, writes DIR/figures as PDF, PNG and SVG.

    python -m figures.paper runs/demo

What there is gets drawn. Beside each picture NAME.txt says what it shows: heading, caption, and what the tables say.
``--captions`` draws the caption below the picture, too; ``--width 3.4`` draws all as wide as one column.

On stderr one line names all pictures whose tables are not there, and a line each those whose
tables can't be used. The files are the same byte for byte for the same tables: no dates inside. Each is written beside
its place and renamed.
"""

import io
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import matplotlib
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
    "svg": {"Creator": "snn-landscape", "Date": None},
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
                files += _pictures(config, picture, found, say, timeless)
    if timeless and not config.quiet:
        say(f"with T = 1 alone there is nothing to see against time: {', '.join(timeless)}")
    if absent and files and not config.quiet:
        say(_left_out(absent))
    return files


def _pictures(
    config: Config, picture: Picture, found: Mapping[str, pd.DataFrame], say: command.Say, timeless: list[str]
) -> list[Path]:
    """One picture for each network and data set of its table; those that need time and have none are ``timeless``."""
    frame = found[picture.table]
    files: list[Path] = []
    if shared := rows.shared_seeds(frame):
        say(f"{picture.name}: {shared} checkpoints share a seed with another; each seed is averaged and counts once")
    for suffix, part in rows.families(frame):
        stem = config.directory / "figures" / (picture.name + suffix)
        try:
            files += _make(config, picture, {name: rows.same(part, one) for name, one in found.items()}, stem)
        except rows.Timeless:
            timeless.append(f"{picture.name}{suffix}")
        except rows.Unasked:  # its lack is no news
            continue
        except tables.TableError as error:
            if not config.quiet:
                say(f"{picture.name}{suffix}: {tables.path(config.directory, picture.table)}: {error}")
    return files


def _left_out(absent: Mapping[str, Sequence[str]]) -> str:
    """The pictures that nothing was measured for, each with the tables that it would need."""
    named = ", ".join(f"{name} ({' and '.join(missing)})" for name, missing in absent.items())
    return f"{len(absent)} of {len(catalogue.PICTURES)} pictures are of what was not measured here: {named}"


def _make(config: Config, picture: Picture, frames: Mapping[str, pd.DataFrame], stem: Path) -> list[Path]:
    """Draw one picture and write it in all formats, with the panels where the first put them: placing is slow."""
    with style.paper():
        matplotlib.rcParams["svg.hashsalt"] = "snn-landscape"
        width = max(config.width, picture.narrowest) if config.width else picture.width
        figure = Figure(figsize=(width, picture.height), layout="constrained")
        caption = picture.onto(figure, *(frames[name] for name in (picture.table, *picture.beside)))
        if config.captions:
            style.caption(figure, caption)
        files = []
        for extension in _METADATA:
            files.append(_written(figure, stem, extension))
            figure.set_layout_engine("none")
    return [*files, _told(picture, frames, caption, stem)]


def _told(picture: Picture, frames: Mapping[str, pd.DataFrame], caption: str, stem: Path) -> Path:
    """NAME.txt: the heading, the caption, and what the tables say, where they say it."""
    parts = [picture.heading, caption]
    with suppress(tables.TableError):
        parts.append(picture.read({name: one for name, one in frames.items() if len(one)}))
    target = stem.with_name(f"{stem.name}.txt")
    with replacing_alone(target) as partial:
        partial.write_bytes(("\n\n".join(parts) + "\n").encode())
    return target


def _written(figure: Figure, stem: Path, extension: str) -> Path:
    target, drawn = stem.with_name(f"{stem.name}.{extension}"), io.BytesIO()
    figure.savefig(drawn, format=extension, metadata=_METADATA[extension])
    with replacing_alone(target) as partial:  # whole at once: on a full disk savefig fails with zlib's errors
        partial.write_bytes(drawn.getbuffer())
    return target
