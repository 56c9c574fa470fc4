"""Sharpness: how far the true loss rises when the weights of a checkpoint are disturbed.

    python -m analysis.sharpness runs/tet-0/ckpt.pt

Formulas and sources are in :mod:`landscape.sharpness`. Table ``sharpness.csv``, after checkpoint, network, data,
training, seed: loss (of the landscape), split, measure, radius, value (rise of the loss above that of the weights as
trained), stderr, draws, converged, rescaling. Measures:

- ``average``: Gaussian noise on every filter; radius is the noise relative to the filter's norm; stderr over draws
- ``worst``: the largest rise found in the ball ‖ε‖ ≤ radius (SAM); stderr over images; draws are restarts
- ``adaptive_worst``: the same in filter-normalized coordinates (ASAM); radius is relative to ‖w‖ of the filters, so
  that at 1 all weights have moved by their own norm together; stderr over images

A worst case has ``converged`` when the second half of the ascent and the choice of the start no longer matter much;
it stays a lower bound of the maximum.

``rescaling`` says whether the value "changes" or is "invariant" when the weights before a BatchNorm are rescaled.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from tqdm import tqdm

from landscape.directions import filter_scale
from landscape.objective import Objective
from landscape.sharpness import average_rise, worst_rise

from . import command
from .command import analyse
from .result import Result
from .subject import Subject, per_image


@dataclass(frozen=True)
class Config(command.Config):
    """Average-case, worst-case and adaptive sharpness of checkpoints."""

    noise: tuple[float, ...] = (0.05, 0.1, 0.2, 0.5)
    """Radii of the average: noise relative to each filter's norm."""
    draws: int = 20
    """Noise draws, in antithetic pairs."""
    worst: tuple[float, ...] = (0.05, 0.1, 0.2)
    """Radii of the worst case, absolute."""
    adaptive: tuple[float, ...] = (0.005, 0.01, 0.02)
    """Radii of the adaptive worst case, relative to the weights' norm."""
    steps: int = 20
    """Ascent steps."""
    restarts: int = 3
    """Starting points of the ascent: the weights, and random points of the sphere."""


def measure(subject: Subject, config: Config) -> dict[str, pd.DataFrame]:
    """The sharpness table of one checkpoint."""
    batches = subject.batches(config.split, config.images, config.chunk)
    rows: list[dict[str, Any]] = []
    for loss in config.losses:
        objective = Objective(subject.network, per_image(loss), batches)
        found = [*_average(objective, config), *_worst(objective, config)]
        rows += [{"loss": loss, "split": config.split, **row} for row in found]
    columns = ["loss", "split", "measure", "radius", "value", "stderr", "draws", "converged", "rescaling"]
    return {"sharpness": pd.DataFrame(rows)[columns]}


def _average(objective: Objective, config: Config) -> list[dict[str, Any]]:
    found = average_rise(objective, radii=config.noise, draws=config.draws, seed=config.seed).to_frame()
    columns = ["radius", "value", "stderr", "draws"]
    rows = found[columns].assign(measure="average", converged=True, rescaling="invariant").to_dict("records")
    return [{str(name): value for name, value in row.items()} for row in rows]


def _worst(objective: Objective, config: Config) -> list[dict[str, Any]]:
    """Both balls. The adaptive one's unit is √n: a random point at that distance moves each filter by its norm."""
    unit = float((filter_scale(objective.parameters) > 0).sum()) ** 0.5
    balls = [("worst", radius, radius) for radius in config.worst]
    balls += [("adaptive_worst", radius, radius * unit) for radius in config.adaptive]
    rows = []
    for name, radius, length in tqdm(balls, unit="ball", disable=config.quiet):
        adaptive = name == "adaptive_worst"
        found = worst_rise(
            objective, radius=length, steps=config.steps, restarts=config.restarts, adaptive=adaptive, seed=config.seed
        )
        rows.append(
            {
                "measure": name,
                "radius": radius,
                "value": found.value,
                "stderr": found.stderr,
                "draws": config.restarts,
                "converged": found.converged,
                "rescaling": "invariant" if adaptive else "changes",
            }
        )
    return rows


def run(config: Config) -> Result:
    """The table sharpness of every checkpoint."""
    return analyse(config, measure)


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    return command.main(Config, run, argv, "python -m analysis.sharpness")


if __name__ == "__main__":
    sys.exit(main())
