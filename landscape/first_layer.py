"""The layers that see only the input: their output at every point of a plane from three passes through them.

A convolution or linear layer is linear in its weights, y(W, b) = W ∗ x + b. Where x does not depend on the weights,

    y(α, β) = y(W, b) + α · y(d₁, e₁) + β · y(d₂, e₂),

with d and e the directions' parts that move W and b. Three passes per batch then serve all points. Which layers those
are is seen as the model runs: any whose input is the model's own input, or a view of it.

A layer that is not linear in its weights after all (a subclass that standardises them, say) is found out by one point
of comparison, and computed as usual; so is one whose three outputs over all examples would take more memory than
``BUDGET`` bytes. Either way the choice depends on the model and the data alone, never on the order of the points.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

BUDGET = 2**28
_LINEAR = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
_PROBE = (0.5, -0.25, 0.75)
Point = tuple[float, ...]
Steps = Mapping[nn.Parameter, tuple[Tensor, tuple[Tensor, ...]]]


class FirstLayers:
    """Outputs of the first layers of ``model``; ``moves`` holds each parameter that moves, its value and its steps."""

    def __init__(self, model: nn.Module, moves: Steps):
        self._moves = moves
        self._axes = len(next(iter(moves.values()))[1])
        self._left = BUDGET
        self._served: dict[nn.Module, bool] = {}
        self._terms: dict[object, list[Tensor]] = {}
        compiled = "_orig_mod" in model._modules  # would be compiled anew for every change of a layer's forward
        self._layers = [layer for layer in model.modules() if not compiled and _usable(layer)]

    @contextmanager
    def served(self, batch: int, inputs: Tensor, point: Point, *, examples: tuple[int, int]) -> Iterator[None]:
        """In here the first layers take their outputs for ``batch``, whose ``inputs`` these are, from what is kept.

        ``examples`` counts those of this batch and of all together.
        """
        try:
            for layer in self._layers:
                layer.forward = partial(self._forward, layer, batch, inputs, point, examples)
            yield
        finally:
            for layer in self._layers:
                del layer.forward
        self._layers = [layer for layer in self._layers if self._served.get(layer)]

    def _forward(
        self,
        layer: nn.Module,
        batch: int,
        inputs: Tensor,
        point: Point,
        examples: tuple[int, int],
        *seen: Tensor,
        **more: Any,
    ) -> Tensor:
        original = partial(type(layer).forward, layer)
        if more or len(seen) != 1 or not _is_view(seen[0], inputs) or self._served.get(layer) is False:
            return original(*seen, **more)
        key = (layer, batch, seen[0].data_ptr(), seen[0].shape, seen[0].stride())
        if layer not in self._served:
            self._served[layer] = self._fits(layer, seen[0], examples)
            if not self._served[layer]:
                return original(*seen)
        if key not in self._terms:
            self._terms[key] = self._outputs(layer, seen[0])
        return _combined(self._terms[key], point)

    def _fits(self, layer: nn.Module, seen: Tensor, examples: tuple[int, int]) -> bool:
        """Whether the layer is linear in its weights, and its outputs over all examples fit into what is left."""
        terms = self._outputs(layer, seen)
        here, everywhere = examples
        size = sum(term.numel() * term.element_size() for term in terms) // here * everywhere
        if size > self._left:
            return False
        probe = _PROBE[: self._axes] + (0.1,) * (self._axes - len(_PROBE))
        wanted = self._at(layer, seen, [_combined([base, *steps], probe) for base, steps in self._parts(layer)])
        apart = (wanted - _combined(terms, probe)).abs().max()
        if not apart <= 100 * torch.finfo(wanted.dtype).eps * max(float(term.abs().max()) for term in terms):
            return False
        self._left -= size
        return True

    def _parts(self, layer: nn.Module) -> list[tuple[Tensor, tuple[Tensor, ...]]]:
        """Value and steps of each parameter of the layer; steps of zero where it doesn't move."""
        weights = list(layer.parameters(recurse=False))
        still = [(weight.data, (torch.zeros_like(weight.data),) * self._axes) for weight in weights]
        return [self._moves.get(weight, rest) for weight, rest in zip(weights, still, strict=True)]

    def _outputs(self, layer: nn.Module, seen: Tensor) -> list[Tensor]:
        """y(W, b), y(d₁, e₁), …"""
        parts = self._parts(layer)
        values = [[base for base, _ in parts], *([steps[axis] for _, steps in parts] for axis in range(self._axes))]
        return [self._at(layer, seen, value) for value in values]

    def _at(self, layer: nn.Module, seen: Tensor, values: list[Tensor]) -> Tensor:
        weights = list(layer.parameters(recurse=False))
        before = [weight.data for weight in weights]
        try:
            for weight, value in zip(weights, values, strict=True):
                weight.data = value
            output: Tensor = type(layer).forward(layer, seen)
            return output
        finally:
            for weight, value in zip(weights, before, strict=True):
                weight.data = value


def _usable(layer: nn.Module) -> bool:
    """A plain layer: no state, no forward put in place of its own, weights as they are."""
    plain = isinstance(layer, _LINEAR) and not layer._buffers and "forward" not in vars(layer)
    return plain and layer._parameters.get("weight") is not None


def _is_view(seen: Tensor, inputs: Tensor) -> bool:
    return seen.untyped_storage().data_ptr() == inputs.untyped_storage().data_ptr()


def _combined(terms: list[Tensor], point: Point) -> Tensor:
    total = torch.add(terms[0], terms[1], alpha=point[0])
    for coordinate, term in zip(point[1:], terms[2:], strict=True):
        total.add_(term, alpha=coordinate)
    return total
