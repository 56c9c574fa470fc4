"""Losses of single examples at points w + Σ cₖ dₖ of weight space, at little more than the price of the forward passes.

What a point costs beside its forward pass is kept small, exactly:

- examples are read once and stay on the device;
- a point's weights are written into the model's own memory, so that whatever shares it (a view, a tied weight) moves
  along, and from a copy the model gets them back, bit for bit;
- layers that see only the input come from :class:`~landscape.surfaces.first_layer.FirstLayers`;
- ``channels_last`` lays images and convolutions out channels innermost, which most convolutions and poolings prefer.

Only the third and the fourth round differently from a plain forward, in the last digits. A network of spikes passes
that on undamped where a membrane lies within rounding of its threshold: then one spike of one example differs, and with
it the example's loss. That happens between any two orders of summation, at a few points in a hundred in float32.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from copy import copy
from dataclasses import dataclass
from functools import partial
from typing import Any, Unpack

import torch
from jaxtyping import Float, Float64
from torch import Tensor, nn

from ..curvature.kept_graph import Held
from ..evaluation import WRITTEN, Batch, Evaluation, Reading, Source, check, checksum, mapped, same_bits
from ..objective import Parameters
from ..refusal import Refusal, explained
from .first_layer import FirstLayers
from .layout import laid_out

Metrics = Callable[[Any, Any], Mapping[str, Tensor]]
Point = tuple[float, ...]


class Points:
    """A model's metrics, example by example, at any point of the space that ``directions`` span from its weights.

    ``metrics(output, target)`` returns tensors of shape ``[batch]`` by name, all from the one output. ``directions``
    are vectors over ``parameters`` (default: all that train); only weights with a nonzero entry move. ``mode`` is
    "eval" or "train" (BatchNorm then uses each batch's statistics at each point). ``prepare(model)`` is called at
    every point before its pass and may write buffers: :func:`~landscape.evaluation.recalibrate`, say. ``batches`` and
    ``reading`` are what :class:`~landscape.objective.Objective` takes.
    ``channels_last`` is for models that don't take the layout of their maps for granted (``.view`` on them fails,
    ``.flatten`` works).

    Raises ValueError for batches without an example, a direction that does not fit, is not finite or is zero, an
    unknown mode, and for what an Objective refuses.
    """

    def __init__(
        self,
        model: nn.Module,
        metrics: Metrics,
        batches: Source,
        directions: Sequence[Float[Tensor, " dimension"]],
        *,
        parameters: Parameters | None = None,
        mode: str = "eval",
        prepare: Callable[[nn.Module], object] | None = None,
        channels_last: bool = False,
        **reading: Unpack[Reading],
    ):
        self._parameters = parameters = parameters or Parameters(model)
        _check_directions(parameters, directions)
        self._evaluation = Evaluation(model, batches, device=parameters.device, mode=mode, **reading)
        self.model, self.metrics, self.prepare = self._evaluation.model, metrics, prepare
        self._lay_out = partial(laid_out, channels_last=channels_last)
        self._batches = [
            Batch(mapped(batch.inputs, self._lay_out), batch.target, batch.size)
            for batch in self._evaluation.batches.kept()
        ]
        self._sums = [checksum((batch.inputs, batch.target)) for batch in self._batches]
        self._unused = set(range(len(self._batches)))
        if not self._batches:
            raise ValueError("the batches hold no example: nothing to average over")
        self.sizes = [batch.size for batch in self._batches]
        self._still: list[bool] = []
        if self._evaluation.checked:
            check(self._evaluation, self._stacked)
        self._lent = False
        self._lead(directions)

    def _lead(self, directions: Sequence[Float[Tensor, " dimension"]]) -> None:
        self.dimension = len(directions)
        self._moves = _moves(self._parameters, directions)
        steps = {move.weight: (move.found, move.steps) for move in self._moves}
        self._first = FirstLayers(self.model, steps, lay_out=self._lay_out)

    def along(self, directions: Sequence[Float[Tensor, " dimension"]]) -> "Points":
        """The points of other directions from the weights as they are now: same batches, read and checked already.

        Raises ValueError for a direction that does not fit, is not finite or is zero.
        """
        _check_directions(self._parameters, directions)
        other = copy(self)
        other._lead(directions)
        return other

    def values(self, point: Point, start: int = 0, stop: int | None = None) -> dict[str, Float64[Tensor, " example"]]:
        """Every metric of every example of the batches from ``start`` to before ``stop``, on the CPU, in their order.

        The model is given back as found. Raises ValueError for a metric that is not one value per example.
        """
        collected: dict[str, list[Tensor]] = {}
        with torch.no_grad(), self._at(point):
            for number in range(*slice(start, stop).indices(len(self._batches))):
                for name, value in self._measured(self._batches[number], number, point).items():
                    collected.setdefault(name, []).append(value.clone())
                self._check_unwritten(number)
        # In float64: the differences taken later are far smaller than the values.
        return {name: torch.cat(values).cpu().double() for name, values in collected.items()}

    @contextmanager
    def lent(self) -> Iterator[None]:
        """In here the model is given back once, at the end, and not after every point: a tenth of a small one's time.

        Weights come back after every point all the same. Only where nothing of a point can reach the next: no
        ``prepare``, and the check's passes, after the first, left everything in the model as it was. Else this does
        nothing.
        """
        if self.prepare is not None or not self._still or not all(self._still[1:]):
            yield
            return
        with self._evaluation.evaluating():
            self._lent = True
            try:
                yield
            finally:
                self._lent = False

    def _check_unwritten(self, number: int) -> None:
        """Raise ValueError where a batch other than the first was written to, the first time that it is used."""
        if number in self._unused and self._evaluation.checked and not self._evaluation.writes:
            self._unused.remove(number)
            batch = self._batches[number]
            if checksum((batch.inputs, batch.target)) != self._sums[number]:
                raise Refusal(WRITTEN)

    def _measured(self, batch: Batch, number: int, point: Point | None) -> dict[str, Tensor]:
        """The metrics of one batch; at a ``point`` with the first layers' outputs from what is kept."""
        shortcut = point is not None and not self._evaluation.writes
        with (
            self._first.served(number, batch.inputs, point, examples=(batch.size, sum(self.sizes)))
            if shortcut and point
            else nullcontext()
        ):
            output = self._evaluation.output(batch.inputs)
        with explained("the metrics fail on a batch", "Do they take what the model returns, and the target?"):
            found = dict(self.metrics(output, self._evaluation.given(batch.target)))
        for name, value in found.items():
            if not isinstance(value, Tensor):
                raise Refusal(f"metric {name!r} must be a tensor, one value per example, got a {type(value).__name__}")
            if value.shape != (batch.size,):
                raise Refusal(
                    f"metric {name!r} must be one value per example (reduction='none', no mean), got shape "
                    f"{list(value.shape)}"
                )
        return found

    def _stacked(self, batch: Batch) -> Tensor:
        """All metrics of one batch at the weights as found; notes whether the model then holds what it held before."""
        before = Held(self._evaluation)
        found = [value.detach().double() for value in self._measured(batch, 0, None).values()]
        self._still.append(not before.changed(self._evaluation))
        return torch.stack(found) if found else torch.zeros(0)

    @contextmanager
    def _at(self, point: Point) -> Iterator[None]:
        if len(point) != self.dimension:
            raise ValueError(f"a point has one coordinate per direction, {self.dimension}, got {point}")
        with nullcontext(self.model) if self._lent else self._evaluation.evaluating() as model:
            if not all(same_bits(move.weight, move.found) for move in self._moves):
                raise Refusal("the model's weights have changed since these points were laid out: make them anew")
            try:
                for move in self._moves:
                    move.to(point)
                torch.clear_autocast_cache()
                if self.prepare is not None:
                    self.prepare(model)
                yield
            finally:
                for move in self._moves:
                    move.back()


def _check_directions(parameters: Parameters, directions: Sequence[Tensor]) -> None:
    for direction in directions:
        if len(direction) != parameters.dimension or not direction.isfinite().all():
            raise ValueError(f"a direction must hold {parameters.dimension} finite numbers, got {len(direction)}")
        if not direction.any():
            raise ValueError("a direction is zero: along it nothing moves")


def evaluate_points(
    model: nn.Module,
    metrics: Metrics,
    batches: Source,
    directions: Sequence[Float[Tensor, " dimension"]],
    points: Sequence[Point],
    *,
    parameters: Parameters | None = None,
    mode: str = "eval",
    prepare: Callable[[nn.Module], object] | None = None,
    channels_last: bool = False,
    **reading: Unpack[Reading],
) -> Iterator[tuple[int, dict[str, Float64[Tensor, " example"]]]]:
    """Yield ``(index, values)`` for each point in the order given; ``values[name]`` has one number per example.

    ``points[index]`` holds one coordinate per direction. Points do not depend on one another: pass those still
    missing to resume, or a part to each process. Between points the model is as it was found, weights bit for bit,
    so that the iteration may be left at any time. Arguments and errors are those of :class:`Points`.
    """
    space = Points(
        model, metrics, batches, directions,
        parameters=parameters, mode=mode, prepare=prepare, channels_last=channels_last, **reading,
    )  # fmt: skip
    for index, point in enumerate(points):
        yield index, space.values(point)


@dataclass(frozen=True, eq=False)
class _Move:
    """One parameter, a copy of its value as found, and its directions."""

    weight: nn.Parameter
    found: Tensor
    steps: tuple[Tensor, ...]

    def to(self, point: Point) -> None:
        """Give the parameter its value at ``point``."""
        here = self.weight.data
        torch.add(self.found, self.steps[0], alpha=point[0], out=here)
        for coordinate, step in zip(point[1:], self.steps[1:], strict=True):
            here.add_(step, alpha=coordinate)

    def back(self) -> None:
        """Give it the value it was found with."""
        self.weight.data.copy_(self.found)


def _moves(parameters: Parameters, directions: Sequence[Tensor]) -> list[_Move]:
    parts = zip(*(parameters.split(direction) for direction in directions), strict=True)
    return [
        _Move(weight, weight.detach().clone(), tuple(step.to(weight) for step in part))
        for weight, part in zip(parameters.tensors, parts, strict=True)
        if any(step.any() for step in part)
    ]
