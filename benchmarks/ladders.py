"""What the growth of cost is measured on: each operation against one quantity, at levels over two decades."""

import math
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from torch import Tensor, nn

from analysis import compare, generalization, timesteps
from analysis.subject import Subject, per_image
from landscape.curvature import Hessian
from landscape.objective import Objective, Parameters
from landscape.surfaces import grid, random_direction, surface
from models.data import load
from models.networks import build
from tests.analysis.generalization.sweeps import written

Work = tuple[int, Callable[[], object]]
"""The level as it came out (weights of a network of so many channels), and what is timed."""


def network(timesteps: int = 4, channels: int | None = None) -> nn.Module:
    """The digits network, untrained, in eval mode: what it costs hardly depends on its weights."""
    own = {} if channels is None else {"channels": channels}
    return build("digits-cnn", seed=0, in_channels=1, image_size=8, timesteps=timesteps, **own).eval()


def digits(count: int) -> tuple[Tensor, Tensor]:
    """So many images and labels; beyond the data set's own, the same again."""
    images, labels = next(load("digits", train_images=200).train.batches(200))
    again = math.ceil(count / len(labels))
    return images.repeat(again, 1, 1, 1)[:count], labels.repeat(again)[:count]


def product(model: nn.Module, count: int, level: int) -> Work:
    """A Hessian–vector product over ``count`` images, 50 in a batch."""
    images, labels = digits(count)
    batches = list(zip(images.split(50), labels.split(50), strict=True))
    operator = Hessian(Objective(model, per_image("sdt"), batches))
    vector = random_direction(operator.objective.parameters, seed=0)
    return level, lambda: operator @ vector


def of_weights(channels: int) -> Work:
    """A product of networks that have ``channels`` in their first layer."""
    model = network(2, channels)
    return product(model, 50, sum(weight.numel() for weight in model.parameters()))


def training(steps: int) -> Work:
    """A step of training, forward and backward, of 50 images."""
    model, loss, (images, labels) = network(steps).train(), per_image("tet"), digits(50)
    return steps, lambda: loss(model(images), labels).mean().backward()


def plane(along: int) -> Work:
    """A plane of ``along`` × ``along`` points on 50 images."""
    return along**2, part_of_a_plane(along, 50)


def part_of_a_plane(along: int, images: int, first: int = 0, every: int = 1) -> Callable[[], object]:
    """Rows ``first``, ``first + every``, … of a plane of ``along`` × ``along`` points."""
    model = network()
    directions = [random_direction(Parameters(model), seed=seed) for seed in (0, 1)]
    axis = grid(-1.0, 1.0, along)
    losses = lambda output, target: {"sdt": per_image("sdt")(output, target)}  # noqa: E731
    return partial(surface, model, losses, [digits(images)], directions, axis[first::every], axis)


def subjects(count: int) -> Work:
    """analysis.timesteps of ``count`` networks on 50 images."""
    images, labels = digits(50)
    batches = [(images, labels)]
    found = [Subject(network(2), train=batches, test=batches, name=f"n{place}") for place in range(count)]
    return count, lambda: timesteps.run(timesteps.Config(quiet=True), found)


def compared(count: int) -> Work:
    """analysis.compare of tables of ``count`` made-up networks: two methods, and seeds."""
    folder = Path(tempfile.mkdtemp())
    written(folder, seeds=count // 2, factors={"method": ("sdt", "tet")})
    return count, lambda: compare.run(compare.Config((folder,), resamples=100))


def generalized(count: int) -> Work:
    """analysis.generalization of the same with two methods, six settings, and seeds."""
    folder = Path(tempfile.mkdtemp())
    written(folder, seeds=count // 12)
    return count, lambda: generalization.run(generalization.Config((folder,), deals=10))


@dataclass(frozen=True)
class Ladder:
    """One operation against one quantity: its levels, and the exponents that it should have (None: not told)."""

    work: Callable[[int], Work]
    levels: Sequence[int]
    seconds: float
    megabytes: float | None


LADDERS: dict[tuple[str, str], Ladder] = {
    ("product", "images"): Ladder(
        lambda level: product(network(), level, level), (50, 150, 500, 1500, 5000), 1, 0
    ),
    ("product", "weights"): Ladder(of_weights, (4, 8, 16, 32, 64, 128), 1, None),
    ("product", "timesteps"): Ladder(
        lambda level: product(network(level), 50, level), (1, 3, 10, 30, 100), 1, 1
    ),
    ("training", "timesteps"): Ladder(training, (1, 3, 10, 30, 100), 1, 1),
    ("surface", "points"): Ladder(plane, (5, 9, 15, 27, 51), 1, 0),
    ("timesteps", "networks"): Ladder(subjects, (1, 3, 10, 30, 100), 1, 0),
    ("compare", "networks"): Ladder(compared, (24, 72, 240, 720, 2400), 1, 1),
    ("generalization", "networks"): Ladder(generalized, (24, 72, 240, 720, 2400), 2, 2),
}  # fmt: skip
