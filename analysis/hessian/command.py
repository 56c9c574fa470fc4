"""Curvature of the loss at a checkpoint: top eigenvalues, trace, spectral density, and curvature against radius.

    python -m analysis.hessian runs/tet-0/ckpt.pt

**Whose curvature.** A spike is a step, so the true loss of a spiking network is piecewise constant in every weight but
the last layer's, and has no useful Hessian. Three things are reported instead, each under its name:

- ``operator = hessian``: the *formal* Hessian, double backward through the surrogate derivative. It is symmetric, but
  no derivative of the true loss. For a network that doesn't spike it is the Hessian.
- ``operator = gauss_newton``: Jᵀ(∂²ℓ/∂O²)J with surrogate Jacobians; positive semi-definite, so that its smallest
  eigenvalues are zero and left out.
- ``radius.csv``: second differences and mean rise of the *true* loss at stated radii, beside the formal value.

On request: the remainder H − G, Fisher matrices, filter-normalized coordinates, and no more than so many seconds; see
:mod:`analysis.hessian.curvature`.

Tables, after the columns checkpoint, network, data, method, training, seed:

- ``hessian.csv``: loss (of the landscape), operator, coordinates ("raw" or "filter"), split, images, rank (1, 2 … from
  the largest eigenvalue, −1 … from the smallest), eigenvalue, residual ‖Hv − λv‖, relative_residual (over |λ|),
  converged (relative_residual within ``--tolerance``, or λ zero to rounding), products (of the operator with a vector,
  for all ranks), symmetry |u·Hv − v·Hu| relative to the products' size, in raw coordinates, and gradient_overlap
  (vᵀg)²/‖g‖² of the eigenvector with the loss's gradient, in the same coordinates
- ``trace.csv``: loss, operator, coordinates, trace, stderr, probes, products, converged (to ``--trace-tolerance``),
  estimator ("xtrace" or "hutchinson", whichever spreads less; "none": no time was left); see
  :mod:`landscape.spectrum.trace`
- ``density.csv``: loss, operator, coordinates, probe, node, weight (a probe's sum to 1), complete (False where the time
  was up before all probes had all steps)
- ``radius.csv``: loss, direction ("top", "top 2" …: formal eigenvectors; "random": filter-normalized Gaussian), draw,
  radius ‖Δw‖ (of random directions the root mean square), relative_radius ‖Δw‖/‖w‖, second_difference and mean_rise
  with standard errors over images, participation (of the images in the number: near 1/images a few of them make it),
  formal uᵀHu; made with the formal Hessian in raw coordinates
- ``smoothed.csv``: the curvature of the Gaussian-smoothed loss, the mean over the random directions of radius.csv:
  loss, radius, relative_radius, value, stderr (over draws), examples_stderr (over images), participation, decided
  (|value| exceeds two standard errors), draws, formal, formal_stderr; see :mod:`landscape.sharpness.smoothed`
- ``layers.csv`` (``--layers``): loss, operator, coordinates, layer (the module's name), weights (how many),
  top_eigenvalue of the layer's block, residual, converged, products (for it), trace, stderr; see
  :mod:`analysis.hessian.layers`
- ``steps.csv`` (``--per-timestep``): loss ("tet"), operator, coordinates, timestep (1 … T), top_eigenvalue of the
  step's own matrix H_t, residual, converged, products, trace, stderr, share (of H_t in the sum of the traces); see
  :mod:`analysis.hessian.steps`

Eigenvalues are in units of loss per squared weight. They change when weights before a BatchNorm are rescaled. In
filter-normalized coordinates they are in units of loss, and don't.
"""

import sys
from dataclasses import replace

import pandas as pd
import torch

from landscape.objective import Objective, Outputs, fits
from models import processes
from tables.result import Result

from ..command import analyse
from ..subject import Subject, Subjects, check_value
from .curvature import Rows, build, check, check_losses, fitted, in_coordinates, remark_on_ends
from .flags import Config
from .layers import layers
from .radius import radius
from .saved_products import forget, kept
from .second_opinion import second_opinion
from .spectrum import spectrum
from .steps import steps
from .vectors import save_vectors

TABLES = ("hessian", "trace", "density", "radius", "smoothed", "layers", "steps")


def measure(subject: Subject, config: Config) -> dict[str, pd.DataFrame]:
    """All tables of one checkpoint; those that were not asked for are missing."""
    rows: dict[str, Rows] = {name: [] for name in TABLES}
    batches = subject.share(config.split, config.images, config.chunk)
    asked = subject.asked(config.loss)
    check_losses(subject, asked, config)
    outputs = Outputs() if len(asked) > 1 else None
    for loss, function in asked.items():
        objective = subject.objective(function, batches, group=processes.group(), outputs=outputs)
        check_value(subject, config.split, config.images, loss, objective.value())
        settings = _settings(config, objective, subject)
        if config.backend == "pyhessian":
            _second_opinion(objective, loss, settings, rows)
        else:
            gradient = objective.gradient()
            for name in config.operators:
                _curvature(name, objective, gradient, subject, loss, settings, rows)
        if config.layers:
            rows["layers"] += layers(subject, objective, batches, loss, settings)
        if config.per_timestep and loss == "tet":
            rows["steps"] += steps(subject, objective, batches, settings)
    return {name: pd.DataFrame(found) for name, found in rows.items() if found}


def _settings(config: Config, objective: Objective, subject: Subject) -> Config:
    """Those of this objective; defaults that were lowered are said."""
    weights = objective.parameters.dimension
    settings = fitted(config, weights)
    lowered = [name for name in ("steps", "top", "bottom") if getattr(settings, name) != getattr(config, name)]
    if lowered and not config.quiet:
        shown = ", ".join(f"--{name} {getattr(settings, name)}" for name in lowered)
        print(f"{subject.title} has {weights} weights: measured with {shown}", file=sys.stderr)
    return replace(settings, keep_graph=config.keep_graph and fits(objective))


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


def _curvature(
    name: str,
    objective: Objective,
    gradient: torch.Tensor,
    subject: Subject,
    loss: str,
    config: Config,
    rows: dict[str, Rows],
) -> None:
    """Everything of one matrix, which is gone, with the graphs that it keeps, before the next is built."""
    matrix = build(name, objective, subject, config)
    for coordinates in config.systems:
        key = {"loss": loss, "operator": name, "coordinates": coordinates}
        operator, scale = in_coordinates(matrix, coordinates)
        operator = kept(operator, subject, objective, config, key)
        slope = gradient if scale is None else gradient * scale
        pairs = spectrum(operator, slope, key, objective, config, rows, symmetry=matrix.symmetry)
        if config.save_vectors and config.out and processes.is_main():
            save_vectors(config.out, subject, key, pairs, scale, objective.parameters)
        if config.radius and (name, coordinates) == ("hessian", "raw"):
            followed, smoothed = radius(objective, operator, pairs, loss, config)
            rows["radius"] += followed
            rows["smoothed"] += smoothed


def run(config: Config, subjects: Subjects = ()) -> Result:
    """The tables hessian, trace, density, radius, smoothed and, if asked for, layers and steps of every subject."""
    check(config)
    result = analyse(config, measure, subjects, shared=True)
    if (remark := remark_on_ends(config)) and not config.quiet and processes.is_main():
        print(remark, file=sys.stderr)
    if config.record and processes.is_main():
        forget(config.record, result.provenance["checkpoints"].values())
    return result
