"""Curvature of the loss at a checkpoint: top eigenvalues, trace, spectral density, and curvature against radius.

    python -m analysis.hessian runs/tet-0/ckpt.pt

**Whose curvature.** A spike is a step, so the true loss of a spiking network is piecewise constant in every weight but
the last layer's, and has no useful Hessian. Three things are reported instead, each under its name:

- ``operator = hessian``: the *formal* Hessian, double backward through the surrogate derivative. It is symmetric, but
  no derivative of the true loss. For a network that doesn't spike it is the Hessian.
- ``operator = gauss_newton``: Jᵀ(∂²ℓ/∂O²)J with surrogate Jacobians; positive semi-definite.
- ``radius.csv``: second differences and mean rise of the *true* loss at stated radii, beside the formal value.

Tables, after the columns checkpoint, network, data, training, seed:

- ``hessian.csv``: loss (of the landscape), operator, split, images, rank (1, 2 … from the largest eigenvalue, −1 … from
  the smallest), eigenvalue, residual ‖Hv − λv‖, converged, products (of the operator with a vector, for all ranks),
  symmetry |u·Hv − v·Hu| relative to the products' size
- ``trace.csv``: loss, operator, trace, stderr, probes
- ``density.csv``: loss, operator, probe, node, weight; a probe's weights sum to 1
- ``radius.csv``: loss, direction ("top": formal top eigenvector, "random": filter-normalized), draw, radius ‖Δw‖,
  relative_radius ‖Δw‖/‖w‖, second_difference and mean_rise with standard errors over images, formal uᵀHu

Eigenvalues are in units of loss per squared weight. They change when weights before a BatchNorm are rescaled.
"""

import sys
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from tqdm import tqdm

from landscape.density import density
from landscape.directions import random_direction
from landscape.lanczos import Eigenpairs, lanczos
from landscape.objective import Objective
from landscape.operators import GaussNewton, Hessian, Operator
from landscape.radius import curvature_at_radius

from . import command
from .command import analyse
from .result import Result
from .second_opinion import second_opinion
from .subject import Subject, per_image

SMALL = 100_000
OPERATORS = {"hessian": Hessian, "gauss_newton": GaussNewton}
Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Config(command.Config):
    """Top Hessian eigenvalues, trace, spectral density and curvature against radius of checkpoints."""

    operator: Literal["hessian", "gauss_newton", "both"] = "both"
    """Formal Hessian, Gauss-Newton matrix, or both."""
    top: int = 5
    """Eigenvalues from the largest."""
    bottom: int = 1
    """Eigenvalues from the smallest."""
    tolerance: float = 1e-3
    """Residual to reach, relative to the eigenvalue largest in size."""
    max_products: int = 100
    """Products of the operator with a vector to stop at, converged or not."""
    probes: int = 3
    """Random vectors for trace and density; 0 leaves both out."""
    steps: int = 16
    """Lanczos steps per probe of the density."""
    draws: int = 3
    """Random directions for the curvature against radius; 0 leaves it out."""
    radii: int = 9
    """Radii, over four decades up to the weights' own norm."""
    backend: Literal["lanczos", "pyhessian"] = "lanczos"
    """pyhessian: a second opinion on the formal Hessian's eigenvalues and trace by that package (by magnitude)."""
    keep_graph: bool | None = None
    """Keep each batch's gradient graph for all products: faster, more memory. By default below 100,000 weights."""

    @property
    def operators(self) -> tuple[str, ...]:
        """The operators asked for."""
        return tuple(OPERATORS) if self.operator == "both" else (self.operator,)


def measure(subject: Subject, config: Config) -> dict[str, pd.DataFrame]:
    """All four tables of one checkpoint; those that were not asked for are missing."""
    rows: dict[str, Rows] = {"hessian": [], "trace": [], "density": [], "radius": []}
    batches = subject.batches(config.split, config.images, config.batch_size)
    for loss in config.losses:
        objective = Objective(subject.network, per_image(loss), batches)
        if config.backend == "pyhessian":
            hessian, trace = second_opinion(
                objective,
                top=config.top,
                max_products=config.max_products,
                tolerance=config.tolerance,
                seed=config.seed,
            )
            key = {"loss": loss, "operator": "hessian"}
            rows["hessian"] += [{**key, "split": config.split, "images": objective.size, **row} for row in hessian]
            rows["trace"].append({**key, **trace})
        else:
            _curvature(objective, loss, config, rows)
    return {name: pd.DataFrame(found) for name, found in rows.items() if found}


def _curvature(objective: Objective, loss: str, config: Config, rows: dict[str, Rows]) -> None:
    small = objective.parameters.dimension < SMALL
    for name in config.operators:
        operator = OPERATORS[name](objective, keep_graph=small if config.keep_graph is None else config.keep_graph)
        bar = tqdm(desc=f"{loss} {name}", unit="product", disable=config.quiet)
        pairs = lanczos(
            operator,
            top=config.top,
            bottom=config.bottom,
            tolerance=config.tolerance,
            max_products=config.max_products,
            seed=config.seed,
            progress=bar.update,
        )
        key = {"loss": loss, "operator": name}
        rows["hessian"] += _eigenvalues(pairs, key, objective, config, operator.symmetry)
        if config.probes:
            found = density(operator, probes=config.probes, steps=config.steps, seed=config.seed, progress=bar.update)
            trace = found.trace
            rows["trace"].append(
                {**key, "trace": trace.value, "stderr": trace.stderr, "probes": trace.probes},
            )
            rows["density"] += [{**key, **_strings(row)} for row in found.to_frame().to_dict("records")]
        bar.close()
        if config.draws and name == "hessian":
            rows["radius"] += _radius(objective, operator, pairs, loss, config)


def _eigenvalues(pairs: Eigenpairs, key: dict[str, str], objective: Objective, config: Config, symmetry: float) -> Rows:
    shared = {**key, "split": config.split, "images": objective.size}
    return [
        {
            **shared,
            "rank": int(rank),
            "eigenvalue": float(value),
            "residual": float(residual),
            "converged": bool(converged),
            "products": pairs.products,
            "symmetry": symmetry,
        }
        for rank, value, residual, converged in zip(
            pairs.ranks, pairs.values, pairs.residuals, pairs.converged, strict=True
        )
    ]


def _radius(objective: Objective, operator: Operator, pairs: Eigenpairs, loss: str, config: Config) -> Rows:
    """The true loss along the formal top eigenvector and along random directions, beside the formal curvature."""
    norm = float(objective.parameters.vector().norm())
    directions = [("top", 0, pairs.vectors[0])]
    for draw in range(config.draws):
        direction = random_direction(objective.parameters, seed=config.seed + draw)
        directions.append(("random", draw, direction / direction.norm()))
    rows: Rows = []
    for kind, draw, unit in directions:
        formal = float(unit @ (operator @ unit))
        found = curvature_at_radius(objective, unit, norm * np.logspace(-4, 0, config.radii)).to_frame()
        found = found.assign(formal=formal)
        rows += [{"loss": loss, "direction": kind, "draw": draw, **_strings(row)} for row in found.to_dict("records")]
    return rows


def _strings(row: Mapping[Hashable, Any]) -> dict[str, Any]:
    return {str(name): value for name, value in row.items()}


def run(config: Config) -> Result:
    """The tables hessian, trace, density and radius of every checkpoint."""
    return analyse(config, measure)


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    return command.main(Config, run, argv, "python -m analysis.hessian")


if __name__ == "__main__":
    sys.exit(main())
