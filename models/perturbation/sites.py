"""Where a network's neurons are, and how their outputs lie: found out from what passes through them."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from ..neurons.lif import LIF
from .draws import attached


@dataclass(frozen=True, eq=False)
class Site:
    """A layer of neurons: ``axis`` is that of the images in its output, ``shape`` its neurons' without images and time.

    ``calls`` are the arguments that it was called with in a clean pass, ``binary`` whether all it gave was 0 and 1,
    ``like`` a tensor as its output is in dtype and on its device.
    """

    module: nn.Module
    name: str = ""
    axis: int = 1
    shape: tuple[int, ...] = ()
    time: int | None = 0
    calls: tuple[tuple[tuple[Any, ...], dict[str, Any]], ...] = ()
    binary: bool = True
    like: Tensor = field(default_factory=lambda: torch.zeros(()))

    @property
    def title(self) -> str:
        """The module, as messages name it."""
        kind = type(self.module).__name__
        return f"{self.name} ({kind})" if self.name else kind


@dataclass
class Record:
    """What one module gave in a pass: its outputs' shapes, and whether they were all 0 and 1, and some of them 1."""

    name: str
    shapes: list[tuple[int, ...]] = field(default_factory=list)
    calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = field(default_factory=list)
    binary: bool = True
    fired: bool = False
    like: Tensor = field(default_factory=lambda: torch.zeros(()))

    @property
    def elements(self) -> int:
        """How many numbers came out."""
        return sum(prod(shape) for shape in self.shapes)


def own(network: nn.Module) -> list[Site]:
    """The layers of this project's neurons. Raises ValueError where there is none."""
    found = [Site(module, name) for name, module in network.named_modules() if isinstance(module, LIF)]
    if not found:
        raise ValueError("the network has no spiking neuron: there is no threshold, decay or spike to disturb")
    return found


def first(output: Any) -> Tensor | None:
    """The spikes in what a neuron returns: itself, or the first of a tuple; None where that is no tensor."""
    if isinstance(output, tuple | list) and output:
        output = output[0]
    return output if isinstance(output, Tensor) else None


@contextmanager
def recording(modules: Mapping[str, nn.Module]) -> Iterator[dict[str, Record]]:
    """In here what the modules are given and give is noted, by name; a module of several names goes by the first."""
    found = {name: Record(name) for name in modules}

    def note(record: Record) -> Any:
        def hook(_module: nn.Module, arguments: tuple[Any, ...], keywords: dict[str, Any], output: Any) -> None:
            spikes = first(output)
            record.calls.append((arguments, keywords))
            if spikes is None:
                record.binary = False
                return
            record.shapes.append(tuple(spikes.shape))
            record.like = spikes.new_zeros(())
            record.binary &= bool(((spikes == 0) | (spikes == 1)).all())
            record.fired |= bool((spikes == 1).any())

        return hook

    hooks = [modules[name].register_forward_hook(note(found[name]), with_kwargs=True) for name in modules]
    with attached(hooks):
        yield found


def sites(
    modules: Mapping[str, nn.Module], records: Mapping[str, Record], fewer: Mapping[str, Record], steps: int
) -> list[Site]:
    """The layers that were called, by what passed in a pass of ``steps`` steps, and in one of ``fewer`` images.

    The axis of images is the one that has become shorter. One before it is time; where a layer of [batch, time, …] is
    called fewer times than there are steps, the one after it is, if it is as long.
    """
    found = []
    for name, record in records.items():
        if not record.shapes or not fewer[name].shapes:
            continue
        whole, part = record.shapes[0], fewer[name].shapes[0]
        shorter = [axis for axis, (a, b) in enumerate(zip(whole, part, strict=False)) if a != b]
        axis = shorter[0] if shorter else 0
        second = axis == 0 and len(record.shapes) < steps and whole[1:2] == (steps,)
        time = 0 if axis == 1 else 1 if second else None
        shape = tuple(length for place, length in enumerate(whole) if place not in (axis, time))
        found.append(Site(modules[name], name, axis, shape, time, tuple(record.calls), record.binary, record.like))
    return found
