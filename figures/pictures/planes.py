"""A method's rises on a plane, seed by seed, and where those of two methods differ."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from tables.interval import FEWEST
from tables.reading import TableError

from ..style.paired import difference


@dataclass(frozen=True)
class Plane:
    """A method's rises: each seed's mean over draws ``[beta, alpha]`` above the loss at the weights.

    Above that of the lowest point where the grid doesn't hold the weights (``centred`` is False).
    """

    alphas: np.ndarray
    betas: np.ndarray
    seeds: dict[int, np.ndarray]
    draws: int
    centred: bool

    @property
    def mean(self) -> np.ndarray:
        """Over the seeds that have a value, ``[beta, alpha]``."""
        stack = np.array(list(self.seeds.values()))
        counts = (~np.isnan(stack)).sum(axis=0)
        total = np.where(np.isnan(stack), 0.0, stack).sum(axis=0)
        return np.where(counts > 0, total / np.maximum(counts, 1), np.nan)

    @property
    def lowest(self) -> tuple[float, float]:
        """alpha and beta of the grid point where the mean is lowest."""
        row, column = np.unravel_index(np.nanargmin(self.mean), self.mean.shape)
        return float(self.alphas[column]), float(self.betas[row])


def plane(frame: pd.DataFrame) -> Plane:
    """The rises of one panel. Raises TableError for a grid of fewer than two by two points."""
    everywhere = _grid(frame)
    if min(everywhere.shape) < 2:
        raise TableError(f"a plane needs at least 2 by 2 points, got {everywhere.shape[0]} by {everywhere.shape[1]}")
    alphas, betas = everywhere.columns.to_numpy(), everywhere.index.to_numpy()
    centre = int(np.abs(betas).argmin()), int(np.abs(alphas).argmin())
    centred = max(abs(betas[centre[0]]), abs(alphas[centre[1]])) < 1e-9
    seeds = {}
    for seed in sorted(frame["seed"].unique()):
        grid = _grid(frame[frame["seed"] == seed]).reindex_like(everywhere).to_numpy(copy=True)
        finite = grid[np.isfinite(grid)]
        base = grid[centre] if centred else finite.min() if len(finite) else np.nan
        seeds[int(seed)] = grid - base if np.isfinite(base) else np.full_like(grid, np.nan)
    return Plane(alphas, betas, seeds, int(frame.groupby("seed")["draw"].nunique().max()), bool(centred))


def _grid(rows: pd.DataFrame) -> pd.DataFrame:
    """Mean over draws, beta down and alpha across; a loss of −∞ is no loss and counts as not measured."""
    return rows.replace({"value": -np.inf}, np.nan).groupby(["beta", "alpha"])["value"].mean().unstack()


def apart(reference: Plane, method: Plane) -> tuple[np.ndarray, np.ndarray]:
    """Method − reference ``[beta, alpha]``, and at which points it is decided; NaN all over where grids differ."""
    shape = reference.mean.shape
    mean, decided = np.full(shape, np.nan), np.zeros(shape, dtype=bool)
    if not (np.array_equal(reference.alphas, method.alphas) and np.array_equal(reference.betas, method.betas)):
        return mean, decided
    for at in np.ndindex(shape):
        sides = [pd.Series({seed: grid[at] for seed, grid in one.seeds.items()}) for one in (reference, method)]
        _, found = difference(*(side[np.isfinite(side)] for side in sides))
        mean[at] = found.mean
        decided[at] = found.n >= FEWEST and abs(found.mean) > found.half
    return mean, decided
