"""What tests/test_processes.py starts with torchrun: compute, save, and then fail in the last process alone.

torchrun --nproc-per-node 2 tests/together.py CHECKPOINT --out FOLDER
"""

import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from analysis import command, hessian, line
from analysis.hessian.curvature import Labels
from landscape.curvature import Fisher, GaussNewton, Hessian
from landscape.objective import Objective, fits
from models import processes
from tables.result import Result

SPLITS = ([3, 4, 2], [9])  # of the second, one process gets nothing


def small_objective(sizes: list[int]) -> Objective:
    """A classifier on nine examples, cut into batches of ``sizes``, of which this process has its share."""
    generator = torch.Generator().manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 3)).double()
    for weight in model.parameters():
        weight.data = torch.randn(weight.shape, generator=generator, dtype=torch.float64)
    x, y = torch.randn(9, 3, generator=generator, dtype=torch.float64), torch.randint(3, (9,), generator=generator)
    batches = processes.share(list(zip(x.split(sizes), y.split(sizes), strict=True)))
    return Objective(model, lambda z, y: cross_entropy(z, y, reduction="none"), batches, group=processes.group())


def answers() -> Iterator[Tensor]:
    """Value, gradient, losses of examples and a product of every matrix, for every split."""
    for sizes in SPLITS:
        objective = small_objective(sizes)
        fisher = Fisher(objective, partial(drawn, labels=Labels(objective.offset)), draws=3, check=False)
        vector = torch.arange(1.0, objective.parameters.dimension + 1, dtype=torch.float64).sin()
        yield from (torch.tensor(objective.value()), objective.gradient(), objective.examples())
        yield from (matrix @ vector for matrix in (Hessian(objective), GaussNewton(objective), fisher))
        yield torch.tensor([objective.size, fits(objective)])


def drawn(logits: Tensor, generator: torch.Generator, *, labels: Labels) -> Tensor:
    """Labels of logits without time."""
    return labels(logits[None], generator)


def settings(checkpoint: Path, out: Path) -> hessian.Config:
    """All tables of curvature, small."""
    return hessian.Config(
        (checkpoint,), out=out, images=11, chunk=4, dtype="float64", loss="tet", per_timestep=True, top=1, bottom=0,
        max_products=8, trace_tolerance=0.9, probes=2, steps=3, radii=2, draws=2, save_vectors=True, quiet=True,
    )  # fmt: skip


def run(config: command.Config) -> Result:
    """Everything, and then a failure."""
    out = config.out or Path()
    result = hessian.run(settings(config.checkpoints[0], out))
    found = list(answers())
    order = processes.gathered([(processes.rank(), item) for item in processes.share(range(5))])
    if processes.is_main():
        torch.save([found, order], out / "answers.pt")
    if processes.rank() + 1 == processes.world() > 1:
        raise ValueError("the last process found something wrong")
    processes.gathered([0])
    return result


if __name__ == "__main__":
    sys.exit(line.main(command.Config, run, None, "together"))
