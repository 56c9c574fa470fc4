"""Tensors in nests: complex numbers as pairs, nests as vectors and back, everything in float64."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


def reals(tensor: Tensor) -> Tensor:
    return torch.view_as_real(tensor.resolve_conj()) if tensor.is_complex() else tensor


def flat(tensors: Sequence[Tensor]) -> Tensor:
    """One vector: tensor after tensor, a complex number as its real and its imaginary part."""
    return torch.cat([reals(tensor.detach()).reshape(-1) for tensor in tensors])


def doubled(value: Any) -> Any:
    """Floating tensors in float64, also inside tuples, lists and mappings."""
    if isinstance(value, Tensor):
        return value.double() if value.is_floating_point() else value
    if isinstance(value, dict):
        return type(value)({name: doubled(part) for name, part in value.items()})
    if hasattr(value, "_fields"):
        parts = [doubled(part) for part in value]
        return value if hasattr(value, "batch_sizes") else type(value)(*parts)
    if isinstance(value, tuple | list):
        return type(value)([doubled(part) for part in value])
    return value


def leaves(value: Any) -> list[Tensor]:
    """The floating tensors in an output."""
    if isinstance(value, Tensor):
        return [value] if value.is_floating_point() or value.is_complex() else []
    parts = value.values() if hasattr(value, "values") else value if isinstance(value, tuple | list) else ()
    return [leaf for part in parts for leaf in leaves(part)]


def replaced(value: Any, new: list[Tensor]) -> Any:
    """``value`` with its floating tensors taken from the front of ``new`` in turn."""
    if isinstance(value, Tensor):
        return new.pop(0) if value.is_floating_point() or value.is_complex() else value
    if hasattr(value, "items"):
        pairs = {name: replaced(part, new) for name, part in value.items()}
        return type(value)(**pairs) if not isinstance(value, dict) else type(value)(pairs)
    if hasattr(value, "_fields"):
        return type(value)(*[replaced(part, new) for part in value])
    if isinstance(value, tuple | list):
        return type(value)([replaced(part, new) for part in value])
    return value


def unflat(vector: Tensor, like: Sequence[Tensor]) -> list[Tensor]:
    """The inverse of :func:`flat`, with a graph."""
    parts, place = [], 0
    for tensor in like:
        count = reals(tensor).numel()
        part = vector[place : place + count].view(reals(tensor).shape)
        parts.append(torch.view_as_complex(part.contiguous()) if tensor.is_complex() else part)
        place += count
    return parts
