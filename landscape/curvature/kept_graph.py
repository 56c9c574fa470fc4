"""What a kept graph was built from, and whether the model and its inputs are still that.

A graph of a gradient holds tensors as they were when it was built. ``_version`` counts only some of the ways of writing
to one (not ``weight.data``, nor a fused optimizer), so contents are compared, bit for bit: of all parameters, frozen
ones too, buffers, attributes with what lies in them, the modules themselves and their hooks, a loss that is a module,
and the batches that lie in a list.
"""

import types
from collections import OrderedDict
from typing import Any

from torch import Tensor, nn

from ..evaluation import Evaluation, checksum, same_bits

_NUMBERS = (bool, int, float, complex, str, bytes, type(None))
_CONTAINERS = (tuple, list, dict, set, OrderedDict)
_BY_IDENTITY = (type, types.FunctionType, types.BuiltinFunctionType, types.MethodType)
_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


class Held:
    """A copy of what the model of ``evaluation`` holds now, and ``beside``, the loss."""

    def __init__(self, evaluation: Evaluation, beside: object = None):
        self._beside = beside
        self._tensors = _tensors(self._modules(evaluation))
        self._copies = [tensor.detach().clone() for tensor in self._tensors]
        self._weights = list(evaluation.model.parameters())
        self._versions = [weight._version for weight in self._weights]
        self._attributes = _attributes(self._modules(evaluation))
        self._batches = evaluation.batches.present()

    def usable(self) -> bool:
        """Whether autograd still takes the graph: no weight was written to under its eyes, not even back and forth."""
        return self._versions == [weight._version for weight in self._weights]

    def changed(self, evaluation: Evaluation) -> bool:
        """Whether anything is other than it was."""
        modules = self._modules(evaluation)
        now = _tensors(modules)
        return (
            len(now) != len(self._copies)
            or not all(same_bits(one, other) for one, other in zip(now, self._copies, strict=True))
            or self._attributes != _attributes(modules)
            or self._batches != evaluation.batches.present()
        )

    def _modules(self, evaluation: Evaluation) -> list[nn.Module]:
        beside = self._beside.modules() if isinstance(self._beside, nn.Module) else ()
        return [*evaluation.model.modules(), *beside]


def _tensors(modules: list[nn.Module]) -> list[Tensor]:
    found = []
    for module in modules:
        found += [value for value in (*module._parameters.values(), *module._buffers.values()) if value is not None]
        found += [value for value in vars(module).values() if isinstance(value, Tensor)]
    return found


def _attributes(modules: list[nn.Module]) -> list[tuple[int, dict[str, Any]]]:
    """Of each module which it is, and its attributes: numbers as they are, functions and hooks by which they are."""
    return [(id(module), {name: _shown(name, value) for name, value in vars(module).items()}) for module in modules]


def _shown(name: str, value: Any) -> Any:
    if name in _HOOKS:
        return tuple(map(id, value.values()))
    if name in ("training", "_parameters", "_buffers", "_modules") or isinstance(value, Tensor):
        return None
    if isinstance(value, _NUMBERS):
        return value
    if type(value) in _CONTAINERS and (not value or (type(value) is tuple and all(type(one) is int for one in value))):
        return type(value), len(value), value if type(value) is tuple else ()  # all but a few: nothing to look into
    if isinstance(value, _BY_IDENTITY):
        return id(getattr(value, "__func__", value))
    return type(value), checksum([value])
