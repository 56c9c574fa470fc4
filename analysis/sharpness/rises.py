"""The rises of the loss when weights are moved: on average, at worst, by group.

Each function yields the rows of one measure; columns and measures are described in :mod:`analysis.sharpness`.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from landscape.evaluation import examples
from landscape.objective import Objective, Parameters
from landscape.sharpness import average_rise, m_sharpness, worst_rise
from landscape.surfaces import filter_scale
from tables.measures import CHANGES, INVARIANT

from ..subject import Subject
from ..subject.sources import selected
from .flags import Config

Row = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """One checkpoint under one loss."""

    subject: Subject
    objective: Objective
    config: Config

    def on(self, batches: Sequence[Any], names: Sequence[str] | None = None) -> Objective:
        """The same loss on other batches, as a function of all parameters or of those named."""
        parameters = Parameters(self.subject.network, names)
        return self.subject.objective(self.objective.loss, batches, parameters=parameters, check=False)

    def batches(self, size: int) -> list[tuple[Tensor, Tensor]]:
        """The images measured on, ``size`` a batch."""
        return self.subject.batches(self.config.split, self.config.images, size)

    def regular(self, size: int) -> list[tuple[Tensor, Tensor]]:
        """The same, no batch but the last smaller, whatever batches the data come in."""
        found, axis = self.batches(size), self.subject.axis
        if all(examples(None, target) == size for _, target in found[:-1]):
            return found
        whole = self.subject.batch(self.config.split, self.config.images)
        return [selected(whole, rows, axis) for rows in torch.arange(examples(None, whole[1])).split(size)]


def row(
    measure: str,
    estimate: tuple[float, float],
    over: str,
    draws: int,
    rescaling: str,
    *,
    radius: float = math.nan,
    setting: str = "",
    converged: bool = True,
) -> Row:
    """A row of the table, but for its loss and images; ``estimate`` is the value and its standard error."""
    value, stderr = estimate
    return {
        "measure": measure,
        "radius": radius,
        "setting": setting,
        "value": value,
        "stderr": stderr,
        "over": over,
        "draws": draws,
        "converged": converged,
        "rescaling": rescaling,
    }


def average(case: Case) -> Iterator[Row]:
    """Under each kind of noise, at each of its radii."""
    config = case.config
    for noise, name, radii in (
        ("filter", "average", config.noise),
        ("magnitude", "average_magnitude", config.magnitude),
        ("absolute", "average_absolute", config.absolute),
    ):
        if radii:
            found = average_rise(case.objective, radii=radii, draws=config.draws, noise=noise, seed=config.seed)
            for radius, value, stderr in zip(radii, found.value, found.stderr, strict=True):
                rescaling = CHANGES if noise == "absolute" else INVARIANT
                yield row(name, (float(value), float(stderr)), "draws", config.draws, rescaling, radius=radius)


def worst(case: Case) -> Iterator[Row]:
    """In each ball, and after one step in it."""
    return _balls(case, "", case.config.worst, 1.0, CHANGES)


def adaptive(case: Case) -> Iterator[Row]:
    """The unit of length is √n: a random point at that distance moves each filter by its norm."""
    unit = float((filter_scale(case.objective.parameters) > 0).sum()) ** 0.5
    return _balls(case, "adaptive_", case.config.adaptive, unit, INVARIANT)


def _balls(case: Case, prefix: str, radii: Sequence[float], unit: float, rescaling: str) -> Iterator[Row]:
    config = case.config
    for radius in radii:
        found = worst_rise(
            case.objective, radius=radius * unit, steps=config.steps, restarts=config.restarts, adaptive=bool(prefix),
            seed=config.seed,
        )  # fmt: skip
        yield row(
            f"{prefix}worst", (found.value, found.stderr), "images", config.restarts, rescaling, radius=radius,
            converged=found.converged,
        )  # fmt: skip
        yield row(f"{prefix}sam", (found.first, found.first_stderr), "images", 1, rescaling, radius=radius)


def by_group(case: Case) -> Iterator[Row]:
    """Of the images in stored order, m at a time; what is left over has no part in it."""
    config = case.config
    for m in config.m:
        if not 1 <= m <= case.objective.size // 2:
            raise ValueError(
                f"--m must be at least 1 and at most half the {case.objective.size} images, for two groups; got {m}"
            )
        size = max(part for part in range(1, min(m, config.chunk) + 1) if m % part == 0)
        parts, each = case.regular(size), m // size
        groups = [case.on(parts[place * each : (place + 1) * each]) for place in range(case.objective.size // m)]
        for radius in config.m_radii:
            found = m_sharpness(groups, radius=radius, steps=config.steps, seed=config.seed)
            yield row(
                "m_sharpness", (found.value, found.stderr), "groups", len(groups), CHANGES, radius=radius,
                setting=f"m = {m}", converged=found.converged,
            )  # fmt: skip
