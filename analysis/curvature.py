"""Which matrix, of which weights, in which coordinates: what the tables of curvature are asked with, and share.

Matrices, by the name that column ``operator`` holds:

- ``hessian``: the formal Hessian, and ``gauss_newton``: Jᵀ(∂²ℓ/∂O²)J; see :mod:`landscape.operators`
- ``empirical_fisher``: (1/N) Σ gᵢgᵢᵀ of single images' gradients at their own labels; see :mod:`landscape.fisher`
- ``fisher``: the same at labels drawn from the softmax of the mean output. For the SDT loss alone, whose probability
  that is, and there an unbiased estimate of ``gauss_newton``. The TET loss is −log of no one distribution of labels

Column ``coordinates``: ``raw`` is ∂²/∂w², in units of loss per squared weight; ``filter`` is D(∂²/∂w²)D with D the root
mean square of each weight's filter, in units of loss, which does not change when weights before a BatchNorm are
rescaled. Biases and BatchNorm's parameters do not move in it.
"""

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from tqdm import tqdm

from landscape.coordinates import Scaled
from landscape.directions import filter_scale
from landscape.fisher import EmpiricalFisher, Fisher, categorical
from landscape.lanczos import lanczos
from landscape.objective import Objective
from landscape.operators import GaussNewton, Hessian, Operator
from landscape.trace import trace

from . import command

SMALL = 100_000
ADDITIVE = ("hessian", "gauss_newton")
Matrix = Hessian | GaussNewton | EmpiricalFisher
Rows = list[dict[str, Any]]
_OF_THE_DATA: dict[str, type[Hessian] | type[GaussNewton] | type[EmpiricalFisher]] = {
    "hessian": Hessian,
    "gauss_newton": GaussNewton,
    "empirical_fisher": EmpiricalFisher,
}


@dataclass(frozen=True)
class Config(command.Config):
    """Top Hessian eigenvalues, trace, spectral density and curvature against radius of checkpoints."""

    operator: Literal["hessian", "gauss_newton", "empirical_fisher", "fisher", "both"] = "both"
    """The matrix; both: formal Hessian and Gauss-Newton. fisher goes with --loss sdt."""
    coordinates: Literal["raw", "filter", "both"] = "raw"
    """The weights', or filter-normalized ones, in which rescaling weights before a BatchNorm changes nothing."""
    layers: bool = False
    """Also each layer's own block: table layers."""
    per_timestep: bool = False
    """Also each timestep's part of the TET loss: table steps."""
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
    label_draws: int = 1
    """Labels drawn for each image, for --operator fisher."""
    backend: Literal["lanczos", "pyhessian"] = "lanczos"
    """pyhessian: a second opinion on the formal Hessian's eigenvalues and trace by that package (by magnitude)."""
    keep_graph: bool | None = None
    """Keep each batch's gradient graph for all products: faster, more memory. By default below 100,000 weights."""

    @property
    def operators(self) -> tuple[str, ...]:
        """The operators asked for."""
        return ADDITIVE if self.operator == "both" else (self.operator,)

    @property
    def systems(self) -> tuple[str, ...]:
        """The coordinates asked for."""
        return ("raw", "filter") if self.coordinates == "both" else (self.coordinates,)


def check(config: Config) -> None:
    """Raise ValueError for flags that do not go together."""
    plain = "hessian" in config.operators and config.coordinates == "raw"
    if config.backend == "pyhessian" and (not plain or config.layers or config.per_timestep):
        raise ValueError(
            "--backend pyhessian gives the formal Hessian of all weights in raw coordinates: "
            "leave --operator, --coordinates, --layers and --per-timestep out"
        )
    if config.operator == "fisher" and "tet" in config.losses:
        raise ValueError(
            "the TET loss is not -log of a probability of labels, so it has no Fisher matrix to draw them for: "
            "use --loss sdt, or --operator gauss_newton"
        )
    if config.per_timestep and ("tet" not in config.losses or config.operator not in (*ADDITIVE, "both")):
        raise ValueError(
            "only the TET loss has curvature that is a mean over timesteps, and only as hessian or gauss_newton; "
            f"--per-timestep got --loss {config.loss} --operator {config.operator}"
        )


def build(name: str, objective: Objective, config: Config, *, checked: bool = False) -> Matrix:
    """The matrix called ``name``. What is ``checked`` already, a part of a matrix that was, is not checked again."""
    small = sum(weight.numel() for weight in objective.model.parameters()) < SMALL
    keep = small if config.keep_graph is None else config.keep_graph
    if name == "fisher":
        return Fisher(
            objective, of_mean, draws=config.label_draws, seed=config.seed, keep_graph=keep, check=not checked
        )
    return _OF_THE_DATA[name](objective, keep_graph=keep, check=not checked)


def in_coordinates(matrix: Matrix, coordinates: str) -> Operator:
    """``matrix`` itself for "raw", D · matrix · D for "filter"."""
    return matrix if coordinates == "raw" else Scaled(matrix, filter_scale(matrix.objective.parameters))


def of_mean(logits: Tensor, generator: torch.Generator) -> Tensor:
    """Labels drawn from the softmax of the mean of ``logits`` over time."""
    return categorical(logits.mean(0), generator)


def outline(operator: Operator, config: Config, title: str) -> dict[str, Any]:
    """The columns top_eigenvalue, residual, converged, products, trace and stderr; the last two nan without probes.

    The trace is Hutchinson's: linear in the operator, and with one seed from the same probes for every operator of one
    dimension, those of the density too.
    """
    with tqdm(desc=title, unit="product", disable=config.quiet) as bar:
        pairs = lanczos(
            operator, top=1, tolerance=config.tolerance, max_products=config.max_products, seed=config.seed,
            progress=bar.update,
        )  # fmt: skip
        row = {
            "top_eigenvalue": float(pairs.values[0]),
            "residual": float(pairs.residuals[0]),
            "converged": bool(pairs.converged[0]),
            "products": pairs.products,
        }
        if not config.probes:
            return row | {"trace": float("nan"), "stderr": float("nan")}
        found = trace(operator, method="hutchinson", probes=config.probes, seed=config.seed, progress=bar.update)
    return row | {"trace": found.value, "stderr": found.stderr}
