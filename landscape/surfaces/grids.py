"""What a surface is returned as, and the grid it lies on."""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from ..displayed import Displayed
from .adaptive import Error

_ERRORS = ("stderr", "rise_stderr", "sampling_stderr")


@dataclass(frozen=True)
class Surface(Displayed):
    """Mean, standard error, and paired standard error of the rise above the centre, of each metric at each point.

    Arrays are ``[alpha, beta]``; a line has the single β = 0. ``images`` is the number of examples a point took, out of
    ``examples``, 0 where it is ``interpolated``; ``sampling_stderr`` is the error of not having taken all. ``errors``
    has the error of each metric where there was a tolerance.
    """

    alphas: Float[np.ndarray, " alpha"]
    betas: Float[np.ndarray, " beta"]
    mean: dict[str, Float[np.ndarray, "alpha beta"]]
    stderr: dict[str, Float[np.ndarray, "alpha beta"]]
    rise_stderr: dict[str, Float[np.ndarray, "alpha beta"]]
    sampling_stderr: dict[str, Float[np.ndarray, "alpha beta"]]
    images: Int[np.ndarray, "alpha beta"]
    examples: int
    errors: dict[str, Error] = field(default_factory=dict)

    @property
    def interpolated(self) -> Bool[np.ndarray, "alpha beta"]:
        """Where nothing was evaluated."""
        return self.images == 0

    def to_frame(self) -> pd.DataFrame:
        """One row per metric and point.

        metric, alpha, beta, value, stderr, rise_stderr, sampling_stderr, images, interpolated.
        """
        alpha, beta = np.meshgrid(self.alphas, self.betas, indexing="ij")
        columns = {"value": self.mean, **{name: getattr(self, name) for name in _ERRORS}}
        place = {"alpha": alpha.ravel(), "beta": beta.ravel()}
        frames = [
            pd.DataFrame(
                {"metric": name, **place, **{column: found[name].ravel() for column, found in columns.items()}}
            ).assign(images=self.images.ravel(), interpolated=self.interpolated.ravel())
            for name in self.mean
        ]
        return pd.concat(frames, ignore_index=True)


def grid(start: float, stop: float, count: int) -> Float[np.ndarray, " count"]:
    """``count`` evenly spaced coordinates from ``start`` to ``stop``, both included.

    A symmetric range is exactly antisymmetric, so an odd ``count`` holds 0 exactly and the centre is the weights as
    found. Raises ValueError for fewer than two points or a range that is empty or not finite.
    """
    if count < 2:
        raise ValueError(f"a grid needs at least 2 points, got {count}")
    if not (np.isfinite([start, stop]).all() and start < stop):
        raise ValueError(f"a grid must run from a finite start up to a larger finite stop, got {start} to {stop}")
    points = np.linspace(start, stop, count)
    return (points - points[::-1]) / 2 if start == -stop else points
