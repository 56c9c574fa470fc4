"""How far surfaces of few points and few images may be off: table ``surface_errors.csv``.

One row per landscape loss and line or plane of a split; after checkpoint, network, data, method, training, seed, loss,
split, directions, axes_loss, kind and draw:

- ``tolerance`` asked for, over ``range``, the largest less the smallest height
- ``points`` of the grid, ``evaluated`` of them, ``images`` that these took together
- ``held_out`` points, evaluated and in no interpolant; ``seen``, the interpolant's root mean square error there for the
  same images, and ``largest``. With none held out all points were evaluated, and these are 0
- ``sampling_stderr``: root mean square over the grid of the standard error of not having taken all images
- ``error``: the root mean square error over the grid is below it with 95 % confidence; ``converged``: it is at most
  tolerance · range
- ``accuracy_range``, ``accuracy_error``, ``accuracy_converged``: the same of the accuracy, which asks for no points and
  no images of its own
"""

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from landscape.surfaces import Surface

_FIRST = ["loss", "split", "directions", "axes_loss", "kind", "draw"]


def stated(found: Surface, losses: Sequence[str]) -> pd.DataFrame:
    """A row for each of ``losses`` that a tolerance was for."""
    accuracy = found.errors.get("accuracy")
    beside: dict[str, Any] = {"accuracy_range": math.nan, "accuracy_error": math.nan, "accuracy_converged": None}
    if accuracy is not None:
        beside = dict(zip(beside, (accuracy.range, accuracy.error, accuracy.converged), strict=True))
    errors = {loss: found.errors[loss] for loss in losses if loss in found.errors}
    return pd.DataFrame(
        {
            "loss": loss,
            "tolerance": error.tolerance,
            "range": error.range,
            "points": found.images.size,
            "evaluated": int((~found.interpolated).sum()),
            "images": int(found.images.sum()),
            "held_out": error.held_out,
            "seen": error.seen,
            "largest": error.largest,
            "sampling_stderr": error.sampling,
            "error": error.error,
            "converged": error.converged,
            **beside,
        }
        for loss, error in errors.items()
    )


def ordered(table: pd.DataFrame) -> pd.DataFrame:
    """Keys first."""
    return table[[*_FIRST, *(column for column in table if column not in _FIRST)]]
