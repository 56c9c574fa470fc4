"""The true loss along formal eigenvectors and random directions, against radius: tables radius and smoothed."""

import numpy as np
from torch import Tensor
from tqdm import tqdm

from landscape.curvature import Operator
from landscape.objective import Objective
from landscape.sharpness import curvature_at_radius, gaussian_direction, smoothed_curvature
from landscape.spectrum import Eigenpairs

from .curvature import Rows, records
from .flags import Config


def radius(objective: Objective, operator: Operator, pairs: Eigenpairs, loss: str, config: Config) -> tuple[Rows, Rows]:
    """Rows of the tables radius and smoothed, whose formal values are the quadratic forms of ``operator``."""
    ladder = float(objective.parameters.vector().norm()) * np.logspace(-4, 0, config.radii)
    followed = int(min(config.radius_top, (pairs.ranks > 0).sum()))
    rows: Rows = []
    with tqdm(
        desc=f"{loss} radius", unit="radius", total=len(ladder) * (followed + config.draws), disable=config.quiet
    ) as bar:
        for place in range(followed):
            vector = pairs.vectors[place]
            found = curvature_at_radius(objective, vector, ladder, progress=bar.update)
            key = {"loss": loss, "direction": f"top {place + 1}" if place else "top", "draw": 0}
            rows += records(found, key, formal=form(operator, vector / vector.norm()))
        drawn = smoothed_curvature(objective, radii=ladder, draws=config.draws, seed=config.seed, progress=bar.update)
    formal = [
        form(operator, gaussian_direction(objective.parameters, seed=config.seed + draw))
        for draw in range(config.draws)
    ]
    for draw, found in enumerate(drawn.draws):
        rows += records(found, {"loss": loss, "direction": "random", "draw": draw}, formal=formal[draw])
    spread = float(np.std(formal, ddof=1)) / config.draws**0.5
    return rows, records(drawn, {"loss": loss}, formal=float(np.mean(formal)), formal_stderr=spread)


def form(operator: Operator, direction: Tensor) -> float:
    """uᵀAu."""
    return float(direction @ (operator @ direction))
