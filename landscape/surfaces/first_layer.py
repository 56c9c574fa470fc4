"""The layers that see only the input: their output at every point of a plane from three passes through them.

A convolution or linear layer is linear in its weights, y(W, b) = W ∗ x + b. Where x does not depend on the weights,

    y(α, β) = y(W, b) + α · y(d₁, e₁) + β · y(d₂, e₂),

with d and e the directions' parts that move W and b. Three passes per batch then serve all points.

It is an optimization, and where anything is in doubt the layer is computed as usual. A layer is taken only if its type
is exactly torch's own, or one whose class says ``linear_in_weights = True`` of itself (and not of its subclasses); if
it is called as that type is, without children, hooks, buffers or parametrizations, on a plain tensor that is the
model's input or a view of it, which nothing has written to since; with neither autocast, nor gradients, nor a function
transform or mode around; with its own weights, as they are at the point; and if its three outputs are finite and, over
all examples, fit into ``BUDGET`` bytes, where 0 switches the whole thing off. The choice depends on the model and the
data alone, never on the order of the points.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ..evaluation import leaves, same_bits

BUDGET = 2**28
Point = tuple[float, ...]
Steps = Mapping[nn.Parameter, tuple[Tensor, tuple[Tensor, ...]]]
_LINEAR = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
_HOOKS = (
    "_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks", "_buffers", "_modules",
)  # fmt: skip


class FirstLayers:
    """Outputs of the first layers of ``model``; ``moves`` holds each parameter that moves, its value and its steps.

    ``lay_out`` puts an output into the order in memory that the layers after it are fast with.
    """

    def __init__(self, model: nn.Module, moves: Steps, *, lay_out: Callable[[Tensor], Tensor] = lambda output: output):
        self._moves, self._lay_out = moves, lay_out
        self._axes = len(next(iter(moves.values()))[1])
        self._left = BUDGET
        self._served: dict[nn.Module, bool] = {}
        self._terms: dict[object, list[Tensor]] = {}
        self._layers = [layer for layer in model.modules() if BUDGET and _usable(layer)]
        self._own = {layer: dict(layer._parameters) for layer in self._layers}
        self._here: dict[nn.Parameter, Tensor] = {}
        self._point: Point = ()

    @contextmanager
    def served(self, batch: int, inputs: Any, point: Point, *, examples: tuple[int, int]) -> Iterator[None]:
        """In here the first layers take their outputs for ``batch``, whose ``inputs`` these are, from what is kept.

        ``examples`` counts those of this batch and of all together.
        """
        known = {leaf.untyped_storage().data_ptr(): leaf._version for leaf in leaves(inputs) if _is_plain(leaf)}
        layers = list(self._layers)
        try:
            for layer in layers:
                layer.forward = partial(self._forward, layer, batch, known, point, examples)
            yield
        finally:
            for layer in layers:
                del layer.forward
        self._layers = [layer for layer in layers if self._served.get(layer)]

    def _forward(
        self,
        layer: nn.Module,
        batch: int,
        known: dict[int, int],
        point: Point,
        examples: tuple[int, int],
        *seen: Any,
        **more: Any,
    ) -> Tensor:
        original: Callable[..., Tensor] = partial(type(layer).forward, layer)
        if more or len(seen) != 1 or self._served.get(layer) is False or not _is_input(seen[0], known):
            return original(*seen, **more)
        if not self._in_place(layer, point):
            return original(*seen)
        (x,) = seen
        key = (layer, batch, x.data_ptr(), x.shape, x.stride(), x.dtype)
        if key not in self._terms:
            terms = self._outputs(layer, x)
            if layer not in self._served:
                self._served[layer] = self._fits(terms, examples)
            if not self._served[layer]:
                return original(x)
            self._terms[key] = terms if all(term.isfinite().all() for term in terms) else []  # 0 · inf is nan
        return _combined(self._terms[key], point) if self._terms[key] else original(x)

    def _in_place(self, layer: nn.Module, point: Point) -> bool:
        """Whether the layer has its own parameters, with the values of ``point``: forward may have seen to others."""
        if self._point != point:
            self._point, self._here = point, {}
        for name, weight in layer._parameters.items():
            if weight is not self._own[layer][name]:
                return False
            if weight is not None and weight in self._moves and weight not in self._here:
                found, steps = self._moves[weight]
                self._here[weight] = _combined([found, *steps], point)
            if weight is not None and not same_bits(weight, self._here.get(weight, weight)):
                return False
        return True

    def _fits(self, terms: list[Tensor], examples: tuple[int, int]) -> bool:
        """Whether a layer's outputs over all examples fit into what is left."""
        here, everywhere = examples
        size = sum(term.numel() * term.element_size() for term in terms) // here * everywhere
        if size > self._left:
            return False
        self._left -= size
        return True

    def _outputs(self, layer: nn.Module, x: Tensor) -> list[Tensor]:
        """y(W, b), y(d₁, e₁), …"""
        parts = {name: self._part(weight) for name, weight in layer._parameters.items() if weight is not None}
        values = [{name: value for name, (value, _) in parts.items()}]
        values += [{name: steps[axis] for name, (_, steps) in parts.items()} for axis in range(self._axes)]
        return [self._lay_out(_at(layer, x, each)) for each in values]

    def _part(self, parameter: nn.Parameter) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Value and steps of a parameter; steps of zero where it doesn't move."""
        still = parameter.detach(), (torch.zeros_like(parameter),) * self._axes
        return self._moves.get(parameter, still)


def _usable(layer: nn.Module) -> bool:
    """A layer that is torch's own in all that it does."""
    return (
        (type(layer) in _LINEAR or vars(type(layer)).get("linear_in_weights") is True)
        and not any(getattr(layer, name) for name in _HOOKS)
        and not {"forward", "__call__", "_compiled_call_impl"} & {key for key, value in vars(layer).items() if value}
        and set(layer._parameters) == {"weight", "bias"}
        and layer._parameters["weight"] is not None
        and all(weight is None or type(weight) is nn.Parameter for weight in layer._parameters.values())
    )


def _is_plain(leaf: Any) -> bool:
    """A tensor that is nothing but its memory."""
    odd = type(leaf) is not Tensor or leaf.layout != torch.strided or leaf.requires_grad
    return not (odd or leaf.is_inference() or leaf.is_conj() or leaf.is_neg())


def _is_input(x: Any, known: dict[int, int]) -> bool:
    """Whether ``x`` is a view of an input, as that was given, in a plain pass."""
    if not _is_plain(x) or torch.is_grad_enabled() or torch.is_autocast_enabled(x.device.type):
        return False
    modes = torch._C._len_torch_dispatch_stack() or torch._C._len_torch_function_stack()
    if torch._C._functorch.peek_interpreter_stack() is not None or modes:
        return False
    return known.get(x.untyped_storage().data_ptr()) == x._version and not torch.autograd.forward_ad._current_level >= 0


def _at(layer: nn.Module, x: Tensor, values: Mapping[str, Tensor]) -> Tensor:
    """The layer's output with other weights, put into its place for them and not into their memory."""
    found: dict[str, Any] = dict(layer._parameters)
    try:
        layer._parameters.update(values)  # type: ignore[arg-type]
        output: Tensor = type(layer).forward(layer, x)
        return output
    finally:
        layer._parameters.update(found)


def _combined(terms: list[Tensor], point: Point) -> Tensor:
    total = torch.add(terms[0], terms[1], alpha=point[0])
    for coordinate, term in zip(point[1:], terms[2:], strict=True):
        total.add_(term, alpha=coordinate)
    return total
