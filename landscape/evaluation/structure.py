"""Tensors inside tuples, named tuples, lists, mappings and data classes: found, replaced, moved, described."""

import copy
import dataclasses
import types
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

_BITS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


def leaves(value: Any, *, others: bool = False, depth: int = 8) -> Iterator[Any]:
    """The tensors and arrays in ``value``, in order; with ``others`` the numbers and strings beside them too.

    Objects of other classes are looked into by their attributes.
    """
    if isinstance(value, Tensor | np.ndarray):
        yield value
    elif isinstance(value, Mapping):
        for key, part in value.items():
            if others:
                yield str(key)
            yield from leaves(part, others=others, depth=depth)
    elif isinstance(value, tuple | list | set | frozenset | deque):
        for part in value:
            yield from leaves(part, others=others, depth=depth)
    elif isinstance(value, int | float | complex | str | bytes):
        if others:
            yield value
    elif depth and not isinstance(value, type | nn.Module | types.FunctionType) and hasattr(value, "__dict__"):
        yield from leaves(vars(value), others=others, depth=depth - 1)


def mapped(value: Any, function: Callable[[Tensor], Tensor], *, arrays: bool = False) -> Any:
    """``value`` with each tensor in it replaced; itself where nothing changes. Mappings keep their type if they can.

    With ``arrays`` NumPy arrays of numbers count as the tensors that they become.
    """
    again = partial(mapped, function=function, arrays=arrays)
    if isinstance(value, Tensor):
        return function(value)
    if arrays and isinstance(value, np.ndarray) and value.dtype.kind in "biufc":
        return function(torch.as_tensor(value))
    if isinstance(value, Mapping):
        parts = {key: again(part) for key, part in value.items()}
        return value if all(parts[key] is value[key] for key in parts) else _like_mapping(value, parts)
    if isinstance(value, tuple | list):
        found = [again(part) for part in value]
        if all(new is old for new, old in zip(found, value, strict=True)):
            return value
        return type(value)(*found) if hasattr(value, "_fields") else type(value)(found)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        changes = {field.name: again(getattr(value, field.name)) for field in dataclasses.fields(value)}
        if all(new is getattr(value, name) for name, new in changes.items()):
            return value
        other = copy.copy(value)
        for name, new in changes.items():
            object.__setattr__(other, name, new)
        return other
    return value


def _like_mapping(value: Mapping[Any, Any], parts: dict[Any, Any]) -> Any:
    before = dict(value.items())
    try:
        other: Any = copy.copy(value)
        for key, part in parts.items():
            other[key] = part
        if all(other[key] is part and value[key] is before[key] for key, part in parts.items()):
            return other
        for key, part in before.items():  # the copy was none
            value[key] = part  # type: ignore[index]
    except (TypeError, AttributeError):
        pass
    return parts


def on_device(value: Any, device: torch.device) -> Any:
    """``value`` with its tensors on ``device``, and NumPy arrays of numbers as tensors there.

    Other objects that know how to move (a packed sequence, a graph) are asked to.
    """
    plain = isinstance(value, Tensor | np.ndarray)
    if not plain and callable(move := getattr(value, "to", None)):
        return move(device)
    return mapped(value, lambda tensor: tensor.to(device), arrays=True)


def described(value: Any) -> str:
    """A few words for a message: the type, and of a tensor the shape."""
    if isinstance(value, Tensor | np.ndarray):
        return f"{type(value).__name__} {list(value.shape)}"
    if isinstance(value, tuple | list):
        return f"a {type(value).__name__} of {len(value)}"
    return f"a {type(value).__name__}"


def same_bits(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors hold the same bits; nan equals nan, and 0.0 is not −0.0."""
    if one is other:
        return True
    if one.is_nested or other.is_nested:
        return len(one) == len(other) and all(map(same_bits, one.unbind(), other.unbind()))
    if (one.shape, one.dtype, one.layout) != (other.shape, other.dtype, other.layout):
        return False
    if one.layout != torch.strided:
        return same_bits(one.to_dense(), other.to_dense())
    if one.is_complex():
        one, other = (torch.view_as_real(part.resolve_conj()) for part in (one, other))
    bits = _BITS[one.element_size()]
    return torch.equal(one.detach().resolve_neg().view(bits), other.detach().resolve_neg().view(bits))
