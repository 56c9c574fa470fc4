"""BatchNorm folded into the layer before it: the network that runs, and whose operations are counted.

In eval mode a BatchNorm is one multiplication and one addition a channel, y = a·x + b, so that a convolution, or linear
layer, and the BatchNorm behind it are one (Deng et al. 2022, equation 6)::

    Ŵ = a · W      b̂ = b + a · bias      a = γ/α, b = β − μ·γ/α, α = √(running variance + ε)

with γ times the layer's scale for tdBN. Exact in real numbers. Which layer is before which BatchNorm is seen in a pass:
the one whose output, reshaped or copied, it is given. a and b are what the BatchNorm makes of ones and zeros, so that
any kind of it will do. **It is proven on a batch**: in float64 each BatchNorm's output and the network's must be the
same with and without, to 10⁻⁹; pairs of which that isn't so stay as they are, and so do BatchNorms behind no such layer
(before it, behind a sum, shared). The factors are computed in float64 and rounded once; currents then differ by
rounding, and where a membrane comes within that of its threshold a spike may too.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils._python_dispatch import TorchDispatchMode

from landscape.evaluation import mapped
from models.neurons.lif import LIF

from ..subject import Subject
from ..subject.copying import copied
from ..subject.passes import passes
from ..subject.sources import Batch
from .flow import tensors
from .operators import operator

_PRODUCERS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)
_COPIES = ("clone", "_to_copy", "_unsafe_view", "_reshape_alias")
_CLOSE = 1e-9


@dataclass(frozen=True)
class _Pair:
    """A BatchNorm and the layer before it by name; factor and offset of each channel, in float64."""

    norm: str
    layer: str
    factor: Tensor
    offset: Tensor


@torch.no_grad()
def folded(subject: Subject, batch: Batch) -> tuple[Subject, list[str]]:
    """The subject with a network in which BatchNorms hand on what they get, and the names of those that still norm.

    ``batch`` is a few images on which that is proven. The subject's own network stays as it was.
    """
    norms = [name for name, module in subject.network.named_modules() if isinstance(module, _BatchNorm)]
    if not norms:
        return subject, []
    try:
        network = copied(subject.network).eval()
        pairs = _pairs(subject, network, batch)
    except (RuntimeError, TypeError):
        return subject, norms
    for pair in pairs:
        _fold(network, pair)
    return replace(subject, network=network), [name for name in norms if name not in {pair.norm for pair in pairs}]


@torch.no_grad()
def before_norms(subject: Subject, batch: Batch) -> dict[str, str]:
    """The layer before each BatchNorm, by name, where it may be folded: it gives its output to nothing else."""
    try:
        return {pair.norm: pair.layer for pair in _pairs(subject, copied(subject.network).eval(), batch)}
    except (RuntimeError, TypeError):
        return {}


def _pairs(subject: Subject, network: nn.Module, batch: Batch) -> list[_Pair]:
    exact = replace(subject, network=_exact(network), dtype=torch.float64)
    inputs = tuple(_double(part) for part in batch)
    return _proven(exact, (inputs[0], inputs[1]))


def _exact(network: nn.Module) -> nn.Module:
    """A copy in float64, whose neurons have no kernel compiled for that."""
    copy = copied(network).double()
    for module in copy.modules():
        if isinstance(module, LIF):
            module.implementation = "reference"
    return copy


def _double(part: Any) -> Any:
    return mapped(part, lambda tensor: tensor.double() if tensor.is_floating_point() else tensor)


def _proven(subject: Subject, batch: Batch) -> list[_Pair]:
    """The pairs that may be folded: all that there are, or those that may one by one and all together."""
    seen = _Producers(subject.network)
    with seen.attached():
        expected = _outputs(subject, subject.network, batch)
    pairs = list(seen.pairs())

    def right(some: Sequence[_Pair]) -> bool:
        network = copied(subject.network)
        for pair in some:
            _fold(network, pair)
        found = _outputs(subject, network, batch)
        return len(found) == len(expected) and all(map(_same, expected, found))

    if right(pairs):
        return pairs
    some = [pair for pair in pairs if right([pair])]
    return some if right(some) else []


def _outputs(subject: Subject, network: nn.Module, batch: Batch) -> list[Tensor]:
    """What each BatchNorm gives, and the network."""
    found: list[Tensor] = []
    handles = [
        module.register_forward_hook(lambda _module, _inputs, output: found.append(output.clone()))
        for module in network.modules()
        if isinstance(module, _BatchNorm)
    ]
    try:
        for returned, _ in passes(replace(subject, network=network), [batch], None):
            found += tensors(returned)
    finally:
        for handle in handles:
            handle.remove()
    return found


def _same(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and bool((one - other).abs().max() <= _CLOSE * one.abs().max())


def _fold(network: nn.Module, pair: _Pair) -> None:
    """Fold one pair where it stands."""
    layer: Any = network.get_submodule(pair.layer)
    weight, bias = layer.weight, layer.bias
    factor, offset = pair.factor.to(weight.device), pair.offset.to(weight.device)
    shifted = offset if bias is None else offset + bias.double() * factor
    wide = factor.view(-1, *[1] * (weight.dim() - 1))
    layer.weight = nn.Parameter((weight.double() * wide).to(weight.dtype), requires_grad=False)
    layer.bias = nn.Parameter(shifted.to(weight.dtype), requires_grad=False)
    network.get_submodule(pair.norm).forward = _as_given


def _as_given(values: Tensor) -> Tensor:
    """Where a BatchNorm was; its module stays, for networks that expect one there."""
    return values


class _Producers(TorchDispatchMode):
    """Sees which convolution or linear layer's output each BatchNorm is given, and of what shape."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self._network = network
        self._memory: dict[int, tuple[StorageWeakRef, str]] = {}
        self._given: dict[str, tuple[set[str], torch.Size]] = {}

    @contextmanager
    def attached(self) -> Iterator[None]:
        """See while the block lasts."""
        handles = []
        for name, module in self._network.named_modules():
            if isinstance(module, _PRODUCERS):
                handles.append(module.register_forward_hook(lambda _m, _i, output, name=name: self._note(output, name)))
            elif isinstance(module, _BatchNorm):
                handles.append(module.register_forward_pre_hook(lambda _m, args, name=name: self._meet(args[0], name)))
        try:
            with self:
                yield
        finally:
            for handle in handles:
                handle.remove()

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        output = func(*args, **(kwargs or {}))
        if operator(func) in _COPIES and (name := self._name(args[0])):
            self._note(output, name)
        return output

    def pairs(self) -> Iterator[_Pair]:
        """BatchNorms that are given one layer's output, which is given to no other BatchNorm."""
        layers = [layer for names, _ in self._given.values() for layer in names]
        for norm, (names, shape) in self._given.items():
            name = next(iter(names))
            if len(names) == 1 and name and layers.count(name) == 1:
                weight = self._network.get_submodule(name).get_parameter("weight")
                if found := _affine(self._network.get_submodule(norm), shape, len(weight)):
                    yield _Pair(norm, name, *found)

    def _note(self, output: Tensor, name: str) -> None:
        storage = output.untyped_storage()
        self._memory[storage._cdata] = (StorageWeakRef(storage), name)

    def _name(self, values: Tensor) -> str:
        found = self._memory.get(values.untyped_storage()._cdata)
        return found[1] if found else ""

    def _meet(self, values: Tensor, norm: str) -> None:
        names, _ = self._given.get(norm, (set(), None))
        self._given[norm] = (names | {self._name(values)}, values.shape)


def _affine(norm: nn.Module, shape: torch.Size, channels: int) -> tuple[Tensor, Tensor] | None:
    """What ``norm`` multiplies each channel by and adds to it; None where it does something else."""
    weight = next(norm.parameters(), None)
    zeros = torch.zeros(shape, dtype=torch.float64, device=None if weight is None else weight.device)
    offset = norm(zeros)
    factor = norm(zeros + 1) - offset
    for axis in (axis for axis, size in enumerate(shape) if size == channels):
        both = [each.movedim(axis, 0).flatten(1) for each in (factor, offset)]
        if all(bool((each == each[:, :1]).all()) for each in both):
            factors, offsets = (each[:, 0].clone(memory_format=torch.contiguous_format) for each in both)
            return factors, offsets
    return None
