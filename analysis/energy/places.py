"""Where the images lie in every operand of a pass, found out by passes of few images.

An axis of an operand holds the images where its size changes with their number; where it is k times that number, time,
heads or places are folded into it, before the images or behind them: [time·image·head] is (time, image, head). That is
seen when the images change places: of all ways to unfold, the one is right in which the operand's rows change places
with them. Operands without such an axis are weights.

So nothing has to be known of a network's layout. Where every way fits, as in layers that nothing reaches, time comes
first, as everywhere here, or last where the network's output says so. ValueError where a pass of fewer images isn't the
same pass with fewer images: where the network mixes them, takes other turns, or takes no other number of them.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import prod

import torch
from jaxtyping import Float64
from torch import Tensor, nn

from ..subject import Spiking
from .products import Product
from .watch import Watch

FEW = 3


@dataclass(frozen=True)
class Fold:
    """Images are the middle of an axis of size before · images · behind."""

    axis: int
    before: int = 1
    behind: int = 1

    def rows(self, shape: Sequence[int], images: int) -> int:
        """The size of all that comes before the images."""
        if shape[self.axis] != self.before * images * self.behind:
            raise ValueError(f"an operand of shape {list(shape)} for {images} images: its size isn't theirs")
        return self.before * prod(shape[: self.axis])

    def by_image(self, cost: Float64[Tensor, "*shape"], images: int) -> Float64[Tensor, "row {images}"]:
        """Sums of ``cost`` over all that comes behind the images."""
        return cost.reshape(self.rows(cost.shape, images), images, -1).sum(2)

    def moved(self, operand: Tensor, images: int, by: int) -> Tensor:
        """The operand with its images moved on ``by`` places."""
        shape = operand.shape
        apart = (*shape[: self.axis], self.before, images, self.behind, *shape[self.axis + 1 :])
        return operand.reshape(apart).roll(by, self.axis + 1).reshape(shape)


@dataclass(frozen=True)
class Evenly:
    """Where the images lie isn't known: each gets its share of the sum."""

    def rows(self, _shape: Sequence[int], _images: int) -> int:
        """All in one."""
        return 1

    def by_image(self, cost: Float64[Tensor, "*shape"], images: int) -> Float64[Tensor, "1 {images}"]:
        """The sum of ``cost`` over the number of images, for each."""
        return (cost.sum() / images).expand(1, images)


Place = Fold | Evenly | None
Places = list[tuple[Place, ...]]


class _Recorder(Watch):
    """The operands of every product and the outputs of all neurons, in the order of execution."""

    def __init__(self, network: nn.Module, spiking: Spiking):
        super().__init__(network, spiking)
        self.found: list[tuple[Tensor, ...]] = []

    def product(self, layer: str, made: Product) -> None:  # noqa: ARG002
        """Keep its operands."""
        self.found.append(tuple(each.detach().clone() for each in made.operands))

    def neurons(self, layer: str, output: Tensor, *, spiking: bool) -> None:  # noqa: ARG002
        """Keep what they gave."""
        self.found.append((output.detach().clone(),))


def places(network: nn.Module, spiking: Spiking, run: Callable[[Sequence[int]], object], first: int) -> Places:
    """Where the images lie in the operands of every product and in what all neurons give; None in weights.

    ``run`` passes the images of these indices; ``first`` is the number of steps that come before the images where
    nothing else tells, 1 where they come behind. Raises ValueError as above.
    """

    def recorded(index: Sequence[int]) -> list[tuple[Tensor, ...]]:
        recorder = _Recorder(network, spiking)
        with recorder.attached():
            run(index)
        return recorder.found

    every = list(range(FEW))
    fewer, given, rolled = recorded(every[:-1]), recorded(every), recorded(every[-1:] + every[:-1])
    if not len(fewer) == len(given) == len(rolled):
        raise ValueError("the number of its products depends on the images")
    both = zip(fewer, given, rolled, strict=True)
    return [tuple(_fold(*three, first) for three in zip(*each, strict=True)) for each in both]


def _fold(fewer: Tensor, given: Tensor, rolled: Tensor, first: int) -> Fold | None:
    """Where the images lie in one operand."""
    sizes = list(zip(fewer.shape, given.shape, strict=True)) if fewer.dim() == given.dim() else []
    axes = [axis for axis, (few, size) in enumerate(sizes) if few != size]
    if not axes and sizes and rolled.shape == given.shape:
        return None
    if len(axes) != 1 or sizes[axes[0]][0] * FEW != sizes[axes[0]][1] * (FEW - 1):
        raise ValueError(
            f"an operand of shape {list(given.shape)} for {FEW} images is {list(fewer.shape)} for {FEW - 1}: where in "
            "it they lie can't be told"
        )
    axis, times = axes[0], sizes[axes[0]][1] // FEW
    ways = [Fold(axis, before, times // before) for before in _divisors(times, first)]
    return min(ways, key=lambda way: _off(way, given, rolled)) if len(ways) > 1 else ways[0]


def _divisors(number: int, first: int) -> Iterator[int]:
    """Those of ``number``, ``first`` before all others where it is one."""
    found = [divisor for divisor in range(1, number + 1) if number % divisor == 0]
    yield from sorted(found, key=lambda divisor: divisor != first)


def _off(way: Fold, given: Tensor, rolled: Tensor) -> float:
    """The share of the operand that isn't where it should be if the images lay so."""
    expected = way.moved(given, FEW, 1)
    return float(1 - torch.isclose(rolled, expected, rtol=1e-3, atol=1e-6).double().mean())
