"""Weights under another name through which no gradient comes: a detached view that forward uses.

``self.alias = self.weight.data`` moves with the weight and is a constant to autograd: the loss's value follows, its
gradient and every matrix of second derivatives leave that path out, without an error. Whether forward uses such a
tensor shows in one pass with another one in its place.
"""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from .state import memory

Place = tuple[str, Any, Any, Tensor]  # its name, the mapping or list that holds it, where, and itself


def detached(model: nn.Module) -> list[Place]:
    """The tensors that share memory with a weight that trains and have no gradient: name, register, key and tensor."""
    trained = {where for weight in model.parameters() if weight.requires_grad and (where := memory(weight))}
    return [place for place in _tensors(model) if not place[3].requires_grad and memory(place[3]) in trained]


def used(places: list[Place], differs: Callable[[], bool]) -> str:
    """The name of the first of ``places`` that matters: with another tensor in its place, ``differs()`` is True."""
    for name, register, key, tensor in places:
        other = tensor.detach().clone()
        other = other + 1 if not other.is_floating_point() else other * 1.1 + 0.1
        register[key] = nn.Parameter(other, requires_grad=False) if isinstance(tensor, nn.Parameter) else other
        try:
            if differs():
                return name
        finally:
            register[key] = tensor
    return ""


def _tensors(model: nn.Module) -> Iterator[Place]:
    for prefix, module in model.named_modules():
        if isinstance(module, torch.jit.ScriptModule):
            continue
        registers: tuple[dict[str, Any], ...] = (module._parameters, module._buffers, module.__dict__)
        for register in registers:
            for key, value in list(register.items()):
                if key not in ("_parameters", "_buffers", "_modules"):
                    yield from _inside(f"{prefix}.{key}".lstrip("."), register, key, value)


def _inside(name: str, register: Any, key: Any, value: Any, depth: int = 3) -> Iterator[Place]:
    if isinstance(value, Tensor):
        yield name, register, key, value
    elif depth and isinstance(value, list | dict):
        for place, part in list(value.items() if isinstance(value, dict) else enumerate(value)):
            yield from _inside(f"{name}[{place!r}]", value, place, part, depth - 1)
