"""Curvature of the loss at a checkpoint: top eigenvalues, trace, spectral density, and curvature against radius.

    python -m analysis.hessian runs/tet-0/ckpt.pt

**Whose curvature.** A spike is a step, so the true loss of a spiking network is piecewise constant in every weight but
the last layer's, and has no useful Hessian. Three things are reported instead, each under its name:

- ``operator = hessian``: the *formal* Hessian, double backward through the surrogate derivative. It is symmetric, but
  no derivative of the true loss. For a network that doesn't spike it is the Hessian.
- ``operator = gauss_newton``: Jᵀ(∂²ℓ/∂O²)J with surrogate Jacobians; positive semi-definite.
- ``radius.csv``: second differences and mean rise of the *true* loss at stated radii, beside the formal value.

Two more operators on request, Fisher matrices, and filter-normalized coordinates: see :mod:`analysis.curvature`.

Tables, after the columns checkpoint, network, data, training, seed:

- ``hessian.csv``: loss (of the landscape), operator, coordinates ("raw" or "filter"), split, images, rank (1, 2 … from
  the largest eigenvalue, −1 … from the smallest), eigenvalue, residual ‖Hv − λv‖, converged, products (of the operator
  with a vector, for all ranks), symmetry |u·Hv − v·Hu| relative to the products' size, in raw coordinates
- ``trace.csv``: loss, operator, coordinates, trace, stderr, probes
- ``density.csv``: loss, operator, coordinates, probe, node, weight; a probe's weights sum to 1
- ``radius.csv``: loss, direction ("top": formal top eigenvector, "random": filter-normalized), draw, radius ‖Δw‖,
  relative_radius ‖Δw‖/‖w‖, second_difference and mean_rise with standard errors over images, formal uᵀHu; made with the
  formal Hessian in raw coordinates
- ``layers.csv`` (``--layers``): loss, operator, coordinates, layer (the module's name), weights (how many),
  top_eigenvalue of the layer's block, residual, converged, products (for it), trace, stderr; see :mod:`analysis.layers`
- ``steps.csv`` (``--per-timestep``): loss ("tet"), operator, coordinates, timestep (1 … T), top_eigenvalue of the
  step's own matrix H_t, residual, converged, products, trace, stderr, share (of H_t in the sum of the traces); see
  :mod:`analysis.steps`

Eigenvalues are in units of loss per squared weight. They change when weights before a BatchNorm are rescaled. In
filter-normalized coordinates they are in units of loss, and don't.
"""

import sys
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from landscape.density import density
from landscape.directions import random_direction
from landscape.lanczos import Eigenpairs, lanczos
from landscape.objective import Objective
from landscape.operators import Operator
from landscape.radius import curvature_at_radius

from . import command
from .command import analyse
from .curvature import Config, Rows, build, check, in_coordinates
from .layers import layers
from .result import Result
from .second_opinion import second_opinion
from .steps import steps
from .subject import Subject, per_image

TABLES = ("hessian", "trace", "density", "radius", "layers", "steps")


def measure(subject: Subject, config: Config) -> dict[str, pd.DataFrame]:
    """All tables of one checkpoint; those that were not asked for are missing."""
    rows: dict[str, Rows] = {name: [] for name in TABLES}
    batches = subject.batches(config.split, config.images, config.chunk)
    for loss in config.losses:
        objective = Objective(subject.network, per_image(loss), batches)
        if config.backend == "pyhessian":
            _second_opinion(objective, loss, config, rows)
        else:
            _curvature(objective, loss, config, rows)
        if config.layers:
            rows["layers"] += layers(objective, batches, loss, config)
        if config.per_timestep and loss == "tet":
            rows["steps"] += steps(objective, batches, config)
    return {name: pd.DataFrame(found) for name, found in rows.items() if found}


def _second_opinion(objective: Objective, loss: str, config: Config, rows: dict[str, Rows]) -> None:
    hessian, trace = second_opinion(
        objective,
        top=config.top,
        max_products=config.max_products,
        tolerance=config.tolerance,
        seed=config.seed,
    )
    key = {"loss": loss, "operator": "hessian", "coordinates": "raw"}
    rows["hessian"] += [{**key, "split": config.split, "images": objective.size, **row} for row in hessian]
    rows["trace"].append({**key, **trace})


def _curvature(objective: Objective, loss: str, config: Config, rows: dict[str, Rows]) -> None:
    for name in config.operators:
        matrix = build(name, objective, config)
        for coordinates in config.systems:
            key = {"loss": loss, "operator": name, "coordinates": coordinates}
            operator = in_coordinates(matrix, coordinates)
            pairs = _spectrum(operator, key, config, rows)
            rows["hessian"] += _eigenvalues(pairs, key, objective, config, matrix.symmetry)
            if config.draws and (name, coordinates) == ("hessian", "raw"):
                rows["radius"] += _radius(objective, operator, pairs, loss, config)


def _spectrum(operator: Operator, key: dict[str, str], config: Config, rows: dict[str, Rows]) -> Eigenpairs:
    """The outermost eigenpairs; trace and density go to their tables."""
    with tqdm(desc=" ".join(key.values()), unit="product", disable=config.quiet) as bar:
        pairs = lanczos(
            operator,
            top=config.top,
            bottom=config.bottom,
            tolerance=config.tolerance,
            max_products=config.max_products,
            seed=config.seed,
            progress=bar.update,
        )
        if config.probes:
            found = density(operator, probes=config.probes, steps=config.steps, seed=config.seed, progress=bar.update)
            trace = found.trace
            rows["trace"].append({**key, "trace": trace.value, "stderr": trace.stderr, "probes": trace.probes})
            rows["density"] += [{**key, **_strings(row)} for row in found.to_frame().to_dict("records")]
    return pairs


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
    """The tables hessian, trace, density, radius and, if asked for, layers and steps of every checkpoint."""
    check(config)
    return analyse(config, measure)


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    return command.main(Config, run, argv, "python -m analysis.hessian")


if __name__ == "__main__":
    sys.exit(main())
