"""A copy of a network, also of one that holds results of its last pass."""

from collections.abc import Iterator
from copy import deepcopy
from typing import Any, TypeVar

from torch import Tensor, nn

Network = TypeVar("Network", bound=nn.Module)


def copied(network: Network) -> Network:
    """A deep copy, in which what the last pass left (a neuron's membrane) is cut from its graph.

    torch copies no tensor that has one. Raises RuntimeError for a network that can't be copied otherwise.
    """
    held = [tensor for module in network.modules() for tensor in _tensors(list(vars(module).values()))]
    return deepcopy(network, {id(tensor): tensor.detach().clone() for tensor in held if not tensor.is_leaf})


def _tensors(values: Any) -> Iterator[Tensor]:
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from _tensors(value)
        elif isinstance(value, dict):
            yield from _tensors(value.values())
