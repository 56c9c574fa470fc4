"""Surfaces as files for ParaView: one VTU file for each view, a sheet of quadrilaterals over the (α, β) plane.

A point lies at (α, β, z) with z the loss; its data are loss, stderr, rise, rise_stderr (see
:mod:`figures.views` for what the errors are) and accuracy (a fraction). An infinite loss stays infinite in the data; in
the picture such a point, which must lie somewhere, lies at the highest finite loss, one not measured at the lowest, and
``finite`` is 0 at both: ParaView's Threshold takes them out.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tables.files import replacing_alone

from .views import KEYS, View

_LONGEST = 120  # bytes of a name


def write(views: Sequence[View], folder: Path, suffix: str = "") -> list[Path]:
    """Write every view into ``folder``; returns the files.

    Raises OSError where that can't be done, or where meshio is not installed.
    """
    try:
        import meshio
    except ImportError as error:
        raise OSError("files for ParaView need meshio: pip install meshio") from error
    files, taken = [], Counter(_name(view).casefold() for view in views)
    for view in views:
        points, cells, data = sheet(view)
        name = _name(view)
        files.append(folder / f"surface{suffix}-{_plain(name, alike=taken[name.casefold()] > 1)}.vtu")
        with replacing_alone(files[-1]) as partial:
            meshio.Mesh(points, [("quad", cells)], point_data=data).write(partial, file_format="vtu")
    return files


def _name(view: View) -> str:
    return "-".join(f"{key}-{view.key[key]}" if key in ("draw", "seed") else view.key[key] for key in KEYS)


def _plain(name: str, *, alike: bool) -> str:
    """As a file may be called; one that loses something, or is ``alike`` another but for case, ends in a digest."""
    plain = re.sub(r"[^\w .+-]+", "-", name)
    if plain == name and len(name.encode()) <= _LONGEST and not alike:
        return plain
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{plain.encode()[: _LONGEST - len(digest)].decode(errors='ignore')}-{digest}"


def sheet(view: View) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Points ``[point, 3]``, quadrilaterals ``[cell, 4]``, counterclockwise from above, and the data of the points."""
    finite = np.isfinite(view.value)
    low, high = view.value[finite].min(), view.value[finite].max()
    heights = np.clip(np.where(np.isnan(view.value), low, view.value), low, high)
    alphas, betas = np.meshgrid(view.alphas, view.betas)
    points = np.stack([alphas.ravel(), betas.ravel(), heights.ravel()], axis=1)
    index = np.arange(view.value.size).reshape(view.value.shape)
    corners = (index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1])
    cells = np.stack([corner.ravel() for corner in corners], axis=1)
    named = {"loss": view.value, "stderr": view.error, "rise": view.rise, "rise_stderr": view.rise_error}
    data = {name: values.ravel() for name, values in (named | {"accuracy": view.accuracy}).items()}
    return points, cells, data | {"finite": finite.ravel().astype(float)}
