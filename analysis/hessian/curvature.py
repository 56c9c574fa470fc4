"""Which matrix, of which weights, in which coordinates: what the tables of curvature share.

Matrices, by the name that column ``operator`` holds:

- ``hessian``: the formal Hessian, and ``gauss_newton``: Jᵀ(∂²ℓ/∂O²)J; see :mod:`landscape.curvature.operators`
- ``remainder``: the difference of the two, H − G, the loss's slope times the network's own second derivatives: of a
  spiking network what σ″, the surrogate's slope's slope, adds (the nonlinear modelling error of Dauphin et al. 2024)
- ``empirical_fisher``: (1/N) Σ gᵢgᵢᵀ of single images' gradients at their own labels; see
  :mod:`landscape.curvature.fisher`
- ``fisher``: the same at labels drawn from the softmax of the mean output. For the SDT loss alone, whose probability
  that is, and there an unbiased estimate of ``gauss_newton``. The TET loss is −log of no one distribution of labels

Column ``coordinates``: ``raw`` is ∂²/∂w², in units of loss per squared weight; ``filter`` is D(∂²/∂w²)D with D the root
mean square of each weight's filter, in units of loss, which does not change when weights before a BatchNorm are
rescaled. Biases and BatchNorm's parameters do not move in it.

**Smallest eigenvalues** are those of ``hessian`` and ``remainder``. The others are positive semi-definite: with more
weights than outputs their smallest is zero, thousands of times over, so it is left out and said so.

**Time** (``--seconds``) is each matrix's: its eigenvalues come first, the trace gets what they leave, and the density
what that leaves; what has no time left is not begun. An eigenvalue that was not reached has a row without a value, a
trace that was not begun one without any probe; neither they nor what was cut short are ``converged`` (``complete``).
Each layer and each timestep has as much time again, for its eigenvalue and trace.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from landscape.curvature import (
    Curvature,
    EmpiricalFisher,
    Fisher,
    GaussNewton,
    Hessian,
    Operator,
    Scaled,
    categorical,
    operators,
)
from landscape.objective import Objective
from landscape.surfaces import filter_scale
from models import processes

from ..budget import check_seconds
from ..subject import Subject, Unsuited
from ..subject.words import ALL
from .flags import BOTH, SEMIDEFINITE, Config

ADDITIVE = (*BOTH, "remainder")
CATEGORICAL = ("sdt", "ce")
Matrix = Curvature
Rows = list[dict[str, Any]]
_OF_THE_DATA: dict[str, type[Curvature]] = {
    "hessian": Hessian,
    "gauss_newton": GaussNewton,
    "empirical_fisher": EmpiricalFisher,
}
if hasattr(operators, "Remainder"):
    _OF_THE_DATA["remainder"] = operators.Remainder


def check(config: Config) -> None:
    """Raise ValueError for flags that do not go together, before anything is computed."""
    if config.backend == "pyhessian":
        _check_pyhessian(config)
    _check_loss(config.loss, config)
    _check_ends(config)
    for flag, given in (("save-vectors", config.save_vectors), ("record", config.record)):
        if given and not config.out:
            raise ValueError(f"--{flag} needs --out, the folder to write to")
    for asked, flag, count in (
        (config.density or config.layers or config.per_timestep, "probes", config.probes),
        (config.radius, "draws", config.draws),
    ):
        if asked and count < 2:
            raise ValueError(f"--{flag} must be at least 2 to have a standard error, got {count}")
    if min(config.radii, config.radius_top + 1, config.label_draws) < 1:
        raise ValueError(
            "--radii and --label-draws must be at least 1 and --radius-top at least 0, "
            f"got {config.radii}, {config.label_draws} and {config.radius_top}"
        )


def check_losses(subject: Subject, asked: Iterable[str], config: Config) -> None:
    """Raise ValueError for losses of this subject's that do not go with the flags."""
    if config.operator == "fisher" and subject.layout.answers != "classes":
        raise Unsuited(f"{subject.title} doesn't answer with one of several classes: there are no labels to draw")
    for loss in asked:  # of its own
        if config.operator == "fisher" and loss not in CATEGORICAL:
            _check_loss(loss, config)


def _check_loss(loss: str, config: Config) -> None:
    all_of_them = loss in ALL
    if config.operator == "fisher" and (all_of_them or loss not in CATEGORICAL):
        raise ValueError(
            f"the {'TET' if all_of_them else loss.upper()} loss is not -log of a probability of labels, so it has no "
            "Fisher matrix to draw them for: use --loss sdt, or --operator gauss_newton"
        )
    if config.per_timestep and (not (all_of_them or loss == "tet") or config.operator not in (*ADDITIVE, "both")):
        raise ValueError(
            "only the TET loss has curvature that is a mean over timesteps, and only as hessian, gauss_newton or "
            f"remainder; --per-timestep got --loss {loss} --operator {config.operator}"
        )


def _check_ends(config: Config) -> None:
    if config.top < 1 and (flat := [name for name in config.operators if name in SEMIDEFINITE]):
        raise ValueError(
            f"{' and '.join(flat)} is positive semi-definite: its smallest eigenvalues are zero and are left out. "
            "Ask for at least one --top, or for --operator hessian"
        )
    check_seconds(config.seconds, together=True)


def fitted(config: Config, weights: int) -> Config:
    """The settings with defaults that ``weights`` are too few for lowered to what they allow; what is asked stays."""
    usual = Config()
    steps, top, bottom = config.steps, config.top, config.bottom
    if weights < steps == usual.steps:
        steps = weights
    if (top, bottom) == (usual.top, usual.bottom) and weights < top + bottom:
        bottom = min(bottom, weights - 1)
        top = weights - bottom
    return replace(config, steps=steps, top=top, bottom=bottom)


def remark_on_ends(config: Config) -> str:
    """What is left out of what was asked for, in a line; empty if nothing is."""
    flat = [name for name in config.operators if name in SEMIDEFINITE and config.bottom]
    if not flat or config.backend == "pyhessian":
        return ""
    return f"{', '.join(flat)}: positive semi-definite, so the smallest eigenvalues are zero and left out"


def _check_pyhessian(config: Config) -> None:
    plain = "hessian" in config.operators and config.coordinates == "raw"
    if not plain or config.layers or config.per_timestep or config.save_vectors:
        raise ValueError(
            "--backend pyhessian gives the formal Hessian of all weights in raw coordinates: "
            "leave --operator, --coordinates, --layers, --per-timestep and --save-vectors out"
        )
    if processes.world() > 1:
        raise ValueError("--backend pyhessian works in one process: start it without torchrun")


def build(name: str, objective: Objective, subject: Subject, config: Config, *, checked: bool = False) -> Matrix:
    """The matrix called ``name``. What is ``checked`` already, a part of a matrix that was, is not checked again.

    Whether ``config.keep_graph`` can be had, :func:`analysis.hessian.measure` has seen to.
    """
    keep = config.keep_graph
    check = not checked and not config.low_precision
    if name == "fisher":
        labels = Labels(objective.offset, subject.class_logits)
        return Fisher(objective, labels, draws=config.label_draws, seed=config.seed, keep_graph=keep, check=check)
    if name not in _OF_THE_DATA:
        raise ValueError(f"no matrix called {name}; there are {', '.join(_OF_THE_DATA)}")
    return _OF_THE_DATA[name](objective, keep_graph=keep, check=check)


def in_coordinates(matrix: Matrix, coordinates: str) -> tuple[Operator, Tensor | None]:
    """``matrix`` itself for "raw"; D · matrix · D, and the diagonal of D, for "filter"."""
    if coordinates == "raw":
        return matrix, None
    scale = filter_scale(matrix.objective.parameters)
    return Scaled(matrix, scale), scale


class Labels:
    """Labels drawn from the softmax of the network's logits for an image, one number of a stream for every image.

    ``logits`` makes [batch, class] of what the network returns; by default the mean over time.
    The first ``skipped`` numbers of each stream belong to the images of other processes: any split of the images draws
    the same labels.
    """

    def __init__(self, skipped: int = 0, logits: Callable[[Any], Tensor] | None = None):
        self.skipped, self._logits = skipped, logits or _over_time
        self._begun: list[torch.Generator] = []

    def __call__(self, output: Any, generator: torch.Generator) -> Tensor:
        """A label for each image of the network's ``output``."""
        if not any(generator is other for other in self._begun):
            torch.rand(self.skipped, 1, generator=generator, dtype=torch.float64)
            self._begun.append(generator)
        return categorical(self._logits(output), generator)


def _over_time(output: Tensor) -> Tensor:
    return output.mean(0)


def records(found: Any, key: Mapping[str, Any], **more: Any) -> Rows:
    """One row for each of a result's frame, after the columns of ``key``."""
    return [{**key, **record, **more} for record in found.to_frame().to_dict("records")]
