"""Losses of single examples at points w + Σ cₖ dₖ of weight space, at little more than the price of the forward passes.

What a point costs beside its forward pass is kept small, exactly:

- examples are read once and stay on the device;
- a point's weights are written into tensors that take the place of the model's own for the time of the pass. The
  model's are never written to, so giving them back is bit for bit and free; buffers likewise;
- layers that see only the input come from :class:`~landscape.first_layer.FirstLayers`;
- ``channels_last`` lays images and convolutions out channels innermost, which most convolutions and poolings prefer.

Only the third and the fourth round differently from a plain forward, in the last digits. A network of spikes passes
that on undamped where a membrane lies within rounding of its threshold: then one spike of one example differs, and with
it the example's loss. That happens between any two orders of summation, at a few points in a hundred in float32.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64
from torch import Tensor, nn

from .first_layer import FirstLayers
from .parameters import Parameters, preserved

Metrics = Callable[[Tensor, Tensor], dict[str, Tensor]]
Batches = Iterable[tuple[Tensor, Tensor]]
Point = tuple[float, ...]


class Points:
    """A model's metrics, example by example, at any point of the space that ``directions`` span from its weights.

    ``metrics(output, target)`` returns tensors of shape ``[batch]`` by name, all from the one output. ``directions``
    are vectors over ``parameters`` (default: all that train); only weights with a nonzero entry move. ``mode`` is
    "eval" or "train" (BatchNorm then uses each batch's statistics at each point). ``prepare(model)`` is called at
    every point before its pass and may write buffers: :func:`~landscape.recalibrate.recalibrate`, say.
    ``channels_last`` is for models that don't take the layout of their maps for granted (``.view`` on them fails,
    ``.flatten`` works).

    Raises ValueError for batches without an example, a direction that does not fit, is not finite or is zero, and an
    unknown mode.
    """

    def __init__(
        self,
        model: nn.Module,
        metrics: Metrics,
        batches: Batches,
        directions: Sequence[Float[Tensor, "dimension"]],
        *,
        parameters: Parameters | None = None,
        mode: str = "eval",
        prepare: Callable[[nn.Module], object] | None = None,
        channels_last: bool = False,
    ):
        parameters = parameters or Parameters(model)
        if mode not in ("eval", "train"):
            raise ValueError(f"mode must be 'eval' or 'train', got {mode!r}")
        for direction in directions:
            if len(direction) != parameters.dimension or not direction.isfinite().all():
                raise ValueError(f"a direction must hold {parameters.dimension} finite numbers, got {len(direction)}")
            if not direction.any():
                raise ValueError("a direction is zero: along it nothing moves")
        self.model, self.metrics, self.mode, self.prepare = model, metrics, mode, prepare
        self.dimension = len(directions)
        self._moves = _moves(parameters, directions, channels_last)
        self._batches = [
            (_laid_out(inputs.to(parameters.device), channels_last), target.to(parameters.device))
            for inputs, target in batches
            if len(target)
        ]
        if not self._batches:
            raise ValueError("the batches hold no example: nothing to average over")
        self.sizes = [len(target) for _, target in self._batches]
        self._first = FirstLayers(model, {move.weight: (move.base, move.steps) for move in self._moves})
        self._buffers = _Buffers(model)

    def values(self, point: Point, start: int = 0, stop: int | None = None) -> dict[str, Float64[Tensor, "example"]]:
        """Every metric of every example of the batches from ``start`` to before ``stop``, on the CPU, in their order.

        The model is given back as found. Raises ValueError for a metric that is not one value per example.
        """
        collected: dict[str, list[Tensor]] = {}
        with torch.no_grad(), self._at(point):
            for number in range(*slice(start, stop).indices(len(self._batches))):
                inputs, target = self._batches[number]
                with self._first.served(number, inputs, point, examples=(len(target), sum(self.sizes))):
                    output = self.model(inputs)
                for name, value in self.metrics(output, target).items():
                    if value.shape != (len(target),):
                        raise ValueError(
                            f"metric {name!r} must be one value per example, got shape {list(value.shape)}"
                        )
                    collected.setdefault(name, []).append(value)
        # In float64: the differences taken later are far smaller than the values.
        return {name: torch.cat(values).cpu().double() for name, values in collected.items()}

    @contextmanager
    def _at(self, point: Point) -> Iterator[None]:
        if len(point) != self.dimension:
            raise ValueError(f"a point has one coordinate per direction, {self.dimension}, got {point}")
        modes = [(module, module.training) for module in self.model.modules()]
        try:
            self._buffers.lend()
            self.model.train(self.mode == "train")
            for move in self._moves:
                move.to(point)
            if self.prepare is not None:
                self.prepare(self.model)
            yield
        finally:
            self._buffers.give_back()
            for move in self._moves:
                move.weight.data = move.found
            for module, training in modes:
                module.training = training


def evaluate_points(
    model: nn.Module,
    metrics: Metrics,
    batches: Batches,
    directions: Sequence[Float[Tensor, "dimension"]],
    points: Sequence[Point],
    *,
    parameters: Parameters | None = None,
    mode: str = "eval",
    prepare: Callable[[nn.Module], object] | None = None,
    channels_last: bool = False,
) -> Iterator[tuple[int, dict[str, Float64[Tensor, "example"]]]]:
    """Yield ``(index, values)`` for each point in the order given; ``values[name]`` has one number per example.

    ``points[index]`` holds one coordinate per direction. Points do not depend on one another: pass those still
    missing to resume, or a part to each process. Between points the model is as it was found, weights bit for bit,
    so that the iteration may be left at any time. Arguments and errors are those of :class:`Points`.
    """
    space = Points(
        model, metrics, batches, directions,
        parameters=parameters, mode=mode, prepare=prepare, channels_last=channels_last,
    )  # fmt: skip
    for index, point in enumerate(points):
        yield index, space.values(point)


def cached_size(model: nn.Module, example: Tensor, *, limit: int = 2**23) -> int:
    """Examples in one pass for which no layer's output takes more than ``limit`` bytes, judged by a pass of one.

    On a CPU larger passes are slower: a layer finds nothing of its input in the cache any more, and memory for outputs
    beyond some 30 MB is mapped anew for each. (ResNet-19 at T = 4 takes a quarter more time an image at 32 than at 4.)
    """
    largest = 1

    def note(_module: nn.Module, _inputs: object, output: object) -> None:
        nonlocal largest
        if isinstance(output, Tensor):
            largest = max(largest, output.numel() * output.element_size())

    hooks = [module.register_forward_hook(note) for module in model.modules()]
    try:
        with preserved(model), torch.no_grad():
            model.eval()(example)
    finally:
        for hook in hooks:
            hook.remove()
    return max(1, limit // largest)


@dataclass(frozen=True, eq=False)
class _Move:
    """One parameter: the tensor it was found with, that and its directions in the layout used, and room for the sum."""

    weight: nn.Parameter
    found: Tensor
    base: Tensor
    steps: tuple[Tensor, ...]
    room: Tensor

    def to(self, point: Point) -> None:
        """Give the parameter its value at ``point``."""
        torch.add(self.base, self.steps[0], alpha=point[0], out=self.room)
        for coordinate, step in zip(point[1:], self.steps[1:], strict=True):
            self.room.add_(step, alpha=coordinate)
        self.weight.data = self.room


def _moves(parameters: Parameters, directions: Sequence[Tensor], channels_last: bool) -> list[_Move]:
    parts = zip(*(parameters.split(direction) for direction in directions), strict=True)
    moves = []
    for weight, part in zip(parameters.tensors, parts, strict=True):
        if any(step.any() for step in part):
            steps = tuple(_laid_out(step.to(weight), channels_last) for step in part)
            base = _laid_out(weight.detach(), channels_last)
            moves.append(_Move(weight, weight.data, base, steps, torch.empty_like(base)))
    return moves


def _laid_out(tensor: Tensor, channels_last: bool) -> Tensor:
    """Channels innermost: of [batch, channel, H, W], and of [time, batch, channel, H, W] with time folded in."""
    if not channels_last or tensor.ndim not in (4, 5):
        return tensor
    folded = tensor.flatten(0, 1) if tensor.ndim == 5 else tensor
    # A copy, and not .contiguous(): with one channel that finds nothing to do, and what follows keeps channels first.
    folded = torch.empty_like(folded, memory_format=torch.channels_last).copy_(folded)
    return folded.unflatten(0, tensor.shape[:2]) if tensor.ndim == 5 else folded


class _Buffers:
    """A model's buffers, and copies that it works on meanwhile: the originals are never written to."""

    def __init__(self, model: nn.Module):
        found = [
            (module._buffers, name, buffer)
            for module in model.modules()
            for name, buffer in module.named_buffers(recurse=False, remove_duplicate=False)
        ]
        copies = {buffer: buffer.clone() for _, _, buffer in found}
        self._places = [(place, name, buffer, copies[buffer]) for place, name, buffer in found]

    def lend(self) -> None:
        for place, name, buffer, copy in self._places:
            place[name] = copy.copy_(buffer)

    def give_back(self) -> None:
        for place, name, buffer, _ in self._places:
            place[name] = buffer
