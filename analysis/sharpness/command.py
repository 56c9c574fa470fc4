"""Sharpness: how far the true loss rises when the weights of a checkpoint are disturbed, and curvature beside them.

    python -m analysis.sharpness runs/tet-0/ckpt.pt
    python -m analysis.sharpness runs/tet-0/ckpt.pt --measures average m --m 10 50

Table ``sharpness.csv``, after checkpoint, network, data, method, training, seed: loss (of the landscape), split,
images, measure, radius (where there is one), setting (what else was chosen), value, stderr, over (what that error is
over), draws (how many of them, or restarts), converged, rescaling. By ``--measures``:

- ``average``: rise under Gaussian noise, relative to each filter (``average``), to each weight (``average_magnitude``)
  or to nothing (``average_absolute``); radius is the noise in these units: :mod:`landscape.sharpness.average`
- ``worst``: the largest rise found in the ball ‖ε‖ ≤ radius, and after SAM's one step (``sam``):
  :mod:`landscape.sharpness.worst`
- ``adaptive``: the same in filter-normalized coordinates (``adaptive_worst``, ``adaptive_sam``); radius is relative to
  ‖w‖ of the filters, so that at 1 all weights have moved by their own norm together
- ``m``: ``m_sharpness``, the mean over groups of m images of each one's worst rise:
  :mod:`landscape.sharpness.m_sharpness`
- ``pac-bayes``: the σ at which the loss, or the error, has risen by ``--rise``, absolute (``pac_bayes_sigma``) and
  relative to each weight (``pac_bayes_sigma_magnitude``), and the bound's number for the distance from 0
  (``pac_bayes_orig``) and from the initial weights (``pac_bayes_init``): :mod:`landscape.sharpness.pac_bayes`
- ``relative-flatness``: ``relative_flatness`` of ``--layer``, formal Hessian:
  :mod:`landscape.sharpness.relative_flatness`
- ``fisher-rao``: ``fisher_rao`` by Gauss-Newton (the Fisher matrix of the SDT loss; the TET loss is −log of no one
  distribution) and ``fisher_rao_empirical`` by the images' own gradients: :mod:`landscape.sharpness.fisher_rao`
- ``norms``: table ``norms.csv``: :mod:`analysis.sharpness.norms`

A worst case has ``converged`` when the second half of the ascent and the choice of the start no longer matter much; it
stays a lower bound of the maximum. ``rescaling`` says whether the value "changes" or is "invariant" when the weights
before a BatchNorm are rescaled.
"""

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pandas as pd
from torch import Tensor
from tqdm import tqdm

from landscape.objective import Outputs, fits
from landscape.sharpness import (
    NoiseBorne,
    bound,
    fisher_rao,
    noise_borne,
    relative_flatness,
    squared_distance,
    weight_matrix,
)
from tables.measures import CHANGES, INVARIANT
from tables.result import Result

from ..command import analyse
from ..subject import Subject, Subjects, Unsuited, check_value
from ..subject.outputs import Loss
from .flags import Config
from .norms import initial_weights, norms_table
from .rises import Case, Row, adaptive, average, by_group, row, worst


def measure(subject: Subject, config: Config) -> dict[str, pd.DataFrame]:
    """The tables of one checkpoint: sharpness, norms, or both."""
    batches = subject.batches(config.split, config.images, config.chunk)
    chosen = [name for name in _ROWS if name in config.measures]
    asked = subject.asked(config.loss)
    rows: list[Row] = []
    with tqdm(total=len(asked) * len(chosen), unit="measure", disable=config.quiet) as bar:
        outputs = Outputs() if len(asked) > 1 else None
        for loss, function in asked.items():
            objective = subject.objective(function, batches, outputs=outputs)
            check_value(subject, config.split, config.images, loss, objective.value())
            case = Case(subject, objective, config)
            head = {"loss": loss, "split": config.split, "images": objective.size}
            for name in chosen:
                bar.set_description(f"{loss} {name}")
                rows += [head | found for found in _ROWS[name](case)]
                bar.update()
    tables = {"sharpness": pd.DataFrame(rows)} if rows else {}
    return tables | ({"norms": norms_table(subject)} if "norms" in config.measures else {})


def _pac_bayes(case: Case) -> Iterator[Row]:
    config, objective = case.config, case.objective
    if config.rise_of == "error":
        right = case.subject.score
        if right is None:
            raise Unsuited(f"{case.subject.title} has no share of wrong answers: leave --rise-of error out")
        objective = case.subject.objective(partial(_error, right), case.batches(config.chunk))
    for noise, name in (("absolute", ""), ("magnitude", "_magnitude")):
        found = noise_borne(objective, rise=config.rise, noise=noise, draws=config.sigma_draws, seed=config.seed)
        estimates = {f"pac_bayes_sigma{name}": (found.value, found.stderr)}
        if noise == "absolute":
            estimates |= _bounds(case, found)
        for measured, estimate in estimates.items():
            yield row(
                measured, estimate, "draws", found.draws, CHANGES if noise == "absolute" else INVARIANT,
                setting=f"rise of {config.rise_of} {config.rise:g}", converged=found.converged,
            )  # fmt: skip


def _bounds(case: Case, found: NoiseBorne) -> dict[str, tuple[float, float]]:
    """The bound's numbers for m = all training images, whatever part of them was measured on, with σ's error."""
    parameters, start = case.objective.parameters, initial_weights(case.subject)
    squares = {
        "pac_bayes_orig": squared_distance(parameters),
        "pac_bayes_init": squared_distance(parameters, start) if start else math.nan,
    }
    images, relative = case.subject.count("train"), found.stderr / found.value
    return {
        name: (bound(square, found.value, images), (square / (2 * found.value**2) + 1) * relative)
        for name, square in squares.items()
    }


def _error(right: Loss, output: Any, target: Any) -> Tensor:
    return 1 - right(output, target)


def _relative_flatness(case: Case) -> Iterator[Row]:
    name = weight_matrix(case.objective.parameters, case.config.layer)
    objective = case.on(case.batches(case.config.chunk), [name])
    found = relative_flatness(objective, probes=case.config.probes, keep_graph=fits(objective), seed=case.config.seed)
    setting = f"layer {name.rpartition('.')[0]}"
    draws = 0 if found.exact else case.config.probes
    yield row("relative_flatness", (found.value, found.stderr), "probes", draws, INVARIANT, setting=setting)


def _fisher_rao(case: Case) -> Iterator[Row]:
    for name, fisher in (("fisher_rao", "gauss_newton"), ("fisher_rao_empirical", "empirical")):
        found = fisher_rao(case.objective, fisher=fisher)
        yield row(name, (found.value, found.stderr), "images", found.examples, INVARIANT)


_ROWS: dict[str, Callable[[Case], Iterator[Row]]] = {
    "relative-flatness": _relative_flatness,
    "fisher-rao": _fisher_rao,
    "m": by_group,
    "average": average,
    "worst": worst,
    "adaptive": adaptive,
    "pac-bayes": _pac_bayes,
}


def run(config: Config, subjects: Subjects = ()) -> Result:
    """The tables sharpness and norms of every subject."""
    if not config.measures:
        raise ValueError(f"nothing to measure: --measures takes one or more of {', '.join([*_ROWS, 'norms'])}")
    return analyse(config, measure, subjects)
