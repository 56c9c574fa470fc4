"""Loss surfaces around a checkpoint, along filter-normalized random directions, in one and two dimensions.

    python -m analysis.surface runs/tet-0/ckpt.pt

The surface is L(w + α d₁ + β d₂) of the *true* loss (steps and all), d₁ and d₂ Gaussian with every filter scaled to the
norm of the weights' filter (Li, Xu, Taylor, Studer, Goldstein 2018, section 4); biases and BatchNorm stay put. One
forward at a point gives the loss under SDT and under TET and the accuracy. The paper's figure 2 is this plane for
α, β ∈ [−1, 1], one draw, weights trained with SDT and with TET, losses SDT and TET.

Table ``surface.csv``, after checkpoint, network, data, training, seed: loss, split, kind ("line" or "plane"), draw
(the seed of its directions), alpha, beta (0 on a line), value, stderr (of the value, over images), rise_stderr (of
value − value at the origin, over the same images: much smaller), accuracy.
"""

import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import pandas as pd
from torch import Tensor
from tqdm import tqdm

from landscape.directions import random_direction
from landscape.parameters import Parameters
from landscape.surface import Surface, grid, surface

from . import command
from .command import analyse
from .result import Result
from .subject import Subject, correct, per_image


@dataclass(frozen=True)
class Config(command.Config):
    """1D and 2D filter-normalized loss surfaces of checkpoints."""

    draws: int = 3
    """Independent random directions for the lines."""
    plane_draws: int = 1
    """Independent pairs of random directions for the planes; 0 leaves planes out."""
    points: int = 41
    """Points of a line."""
    plane_points: int = 21
    """Points of a plane along each axis."""
    extent: float = 1.0
    """Largest alpha and beta; at 1 a filter has moved by its own norm."""


def measure(subject: Subject, config: Config) -> dict[str, pd.DataFrame]:
    """The surface table of one checkpoint."""
    if config.draws < 1 or config.plane_draws < 0:
        raise ValueError(f"draws must be at least 1 and plane draws at least 0, got {config.draws, config.plane_draws}")
    alphas = grid(-config.extent, config.extent, config.points)
    plane = grid(-config.extent, config.extent, config.plane_points)
    batches = subject.batches(config.split, config.images, config.chunk)
    metrics = _metrics(config.losses)
    weights = Parameters(subject.network)
    total = config.draws * len(alphas) + config.plane_draws * len(plane) ** 2
    frames = []
    with tqdm(total=total, unit="point", disable=config.quiet) as bar:

        def evaluate(directions: list[Tensor], xs: Iterable[float], betas: Iterable[float] | None) -> Surface:
            return surface(
                subject.network, metrics, batches, directions, xs, betas, progress=lambda _: bar.update(),
            )  # fmt: skip

        for draw in range(config.draws):
            first = random_direction(weights, seed=_seed(config, draw, 0))
            frames.append(_rows(evaluate([first], alphas, None), "line", draw, config))
        for draw in range(config.plane_draws):
            pair = [random_direction(weights, seed=_seed(config, draw, axis)) for axis in (0, 1)]
            frames.append(_rows(evaluate(pair, plane, plane), "plane", draw, config))
    return {"surface": pd.concat(frames, ignore_index=True)}


def _rows(found: Surface, kind: str, draw: int, config: Config) -> pd.DataFrame:
    """One row per loss and point, the accuracy beside it."""
    table = found.to_frame()
    accuracy = table.loc[table["metric"] == "accuracy", "value"].to_numpy()
    losses = [table[table["metric"] == name].assign(accuracy=accuracy) for name in config.losses]
    rows = pd.concat(losses, ignore_index=True).rename(columns={"metric": "loss"})
    return rows.assign(split=config.split, kind=kind, draw=draw)[["loss", "split", "kind", "draw", *rows.columns[1:]]]


def _metrics(losses: Sequence[str]) -> Callable[[Tensor, Tensor], dict[str, Tensor]]:
    """What one forward gives, image by image: each loss asked for, and whether the class is right."""
    functions = {name: per_image(name) for name in losses} | {"accuracy": correct}
    return lambda logits, labels: {name: function(logits, labels) for name, function in functions.items()}


def _seed(config: Config, draw: int, axis: int) -> int:
    """A line and a plane of one draw share their first direction."""
    return 1000 * config.seed + 2 * draw + axis


def run(config: Config) -> Result:
    """The table surface of every checkpoint."""
    return analyse(config, measure)


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    return command.main(Config, run, argv, "python -m analysis.surface")


if __name__ == "__main__":
    sys.exit(main())
