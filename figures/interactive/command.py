"""The planes of the surface table as a page to turn and point at: the networks of each method side by side.

    python -m figures.interactive runs/demo          # DIR/figures/surfaces.html
    python -m figures.interactive runs/demo --vtk    # and files for ParaView

One HTML file with everything inside, plotly.js too (4.8 MB): it opens without a network, and its content security
policy forbids it one. The loss that the landscape is made of, images, draw and network are chosen on the page, among
what the table holds: :mod:`figures.views` says what is averaged and what the errors are. Height and colour have one
scale, over all panels and choices, and all panels have one camera. Numbers are rounded to six digits.
"""

import html
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from plotly.offline import get_plotlyjs

from tables import reading as tables
from tables import rows
from tables.files import replacing_alone

from .. import command, folder, vtk
from ..style.bands import counted
from ..style.methods import compared, label, looks, losses, methods_of
from ..views import IMAGES, View, views
from ..words.prose import listed
from ..words.units import loss_unit
from .flags import Config

_TEMPLATE = Path(__file__).with_name("page.html")
_MATRICES = ("value", "error", "rise", "rise_error", "accuracy")


def run(config: Config, say: command.Say) -> list[Path]:
    """Write one page for each network and data set; returns the files. Raises OSError where that can't be done."""
    found, unusable = folder.read(config.directory)
    if "surface" in unusable:
        say(unusable["surface"])
        return []
    frame = found["surface"] if "surface" in found else tables.read(config.directory, "surface")
    with compared(methods_of(found)):
        return _pages(config, frame, say)


def _pages(config: Config, frame: pd.DataFrame, say: command.Say) -> list[Path]:
    files: list[Path] = []
    for suffix, part in rows.families(frame):
        try:
            found = views(part)
        except tables.TableError as error:
            say(f"surfaces{suffix}: {tables.path(config.directory, 'surface')}: {error}")
            continue
        target = config.directory / "figures" / f"surfaces{suffix}.html"
        with replacing_alone(target) as partial:
            partial.write_text(page(part, found, images=measured_images(config.directory)), encoding="utf-8")
        files.append(target)
        if config.vtk:
            files += vtk.write(found, config.directory / "figures" / "vtk", suffix)
    return files


def page(frame: pd.DataFrame, found: Sequence[View], *, images: int | None = None) -> str:
    """The page for the views ``found`` of ``frame``, one network on one data set."""
    heading, about = words(frame, images)
    seeds = frame.groupby("method")["seed"].nunique()
    methods = [
        {"name": name, "label": label(name), "colour": look.colour, "count": counted([int(seeds[name])])}
        for name, look in looks(frame["method"]).items()
    ]
    named = losses(frame["loss"])
    data = {"views": [_plain(view) for view in found], "methods": methods, "losses": named, "images": IMAGES}
    data["unit"] = loss_unit(named)
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    prose = {"TITLE": f"{heading} – snn-landscape", "HEADING": heading, "ABOUT": about}
    parts = {name: html.escape(content) for name, content in prose.items()} | {"PLOTLY": get_plotlyjs(), "DATA": text}
    template = re.split("@([A-Z]+)@", _TEMPLATE.read_text(encoding="utf-8"))  # text, name, text, name … text
    template[1::2] = [parts[name] for name in template[1::2]]
    return "".join(template)


def words(frame: pd.DataFrame, images: int | None) -> tuple[str, str]:
    """The heading, and a sentence on what was measured: networks, data, seeds, images."""
    network, data = (str(frame[name].iloc[0]) for name in ("network", "data"))
    parts = []
    for method in looks(frame["method"]):
        seeds = sorted(int(seed) for seed in frame.loc[frame["method"] == method, "seed"].unique())
        named = ", ".join(map(str, seeds))
        parts.append(f"{len(seeds)} trained with {label(method)} (seed{'s' * (len(seeds) > 1)} {named})")
    splits = " and ".join(IMAGES.get(split, split) for split in sorted(frame["split"].unique(), reverse=True))
    number = f"{images} " if images else ""
    what = "Loss and accuracy" if np.isfinite(frame["accuracy"]).any() else "Loss"
    about = f"Networks {network}: {listed(parts)}. {what} on {number}{splits}."
    return f"Loss around trained weights: {network} on {data}", about


def measured_images(directory: Path) -> int | None:
    """How many images the table was measured on, where the settings beside it say so."""
    try:
        found = json.loads(tables.path(directory, "surface").with_suffix(".json").read_text(encoding="utf-8"))
        return int(found["settings"]["images"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _plain(view: View) -> dict[str, Any]:
    """A view as JSON has it: infinite as the word, NaN as null, accuracy in percent."""
    numbers = {name: _rows(getattr(view, name) * (100.0 if name == "accuracy" else 1.0)) for name in _MATRICES}
    axes = {"alphas": _rows(view.alphas[None])[0], "betas": _rows(view.betas[None])[0]}
    return {**view.key, **axes, **numbers, "note": view.note, "summary": view.summary()}


def _rows(matrix: np.ndarray) -> list[list[float | str | None]]:
    return [[float(f"{x:.6g}") if np.isfinite(x) else "inf" if x > 0 else None for x in row] for row in matrix]
