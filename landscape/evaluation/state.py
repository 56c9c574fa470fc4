"""Everything a model holds, given back as found.

A model holds more than its weights: buffers, ``.grad``, ``requires_grad``, modes, and whatever its modules keep in
plain attributes (a membrane potential, a cache, a counter). :func:`preserved` lends the model copies of what can be
written to and puts the originals back. Modes are given back through ``train()``, because a module may act on it.

Weights are :meth:`landscape.objective.Parameters.restored`'s business: copies of them would cost as much again.
"""

import copy
from collections import Counter, UserDict, UserList, deque
from collections.abc import Iterator, MutableMapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import is_dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

_TORCHS_OWN = frozenset(nn.Module().__dict__)
_CONTAINERS = (list, tuple, dict, set, deque)
_WRITABLE: dict[type, bool] = {}


@contextmanager
def preserved(model: nn.Module) -> Iterator[nn.Module]:
    """On leaving, give ``model`` back as it was: buffers, attributes, ``.grad``, ``requires_grad``, children, modes.

    In between the model works on copies of its buffers and of the tensors in its attributes: the originals are never
    written to, and a graph that outlives the context holds copies that nothing will change. What shares memory with a
    weight is not copied, so that it goes on following the weight. Objects of other classes are left alone.
    """
    modules = list(model.modules())
    modes = [(module, module.training) for module in modules]
    weights: list[Tensor] = list(model.parameters())
    gradients = [(weight, weight.grad, weight.requires_grad) for weight in weights]
    embeddings = [module for module in modules if isinstance(module, nn.Embedding | nn.EmbeddingBag)]
    shrinking = [module.weight for module in embeddings if module.max_norm is not None]
    if acts_on_train(model):  # it may fold weights into others
        shrinking = weights
    shrunk = [(weight, weight.detach().clone()) for weight in shrinking]  # what forward, or train(), writes to
    lent = [_Lent(module) for module in modules]
    copies = _Copies(weights, [tensor for one in lent for tensor in one.tensors()])
    try:
        for one in lent:
            one.lend(copies)
        for weight, gradient, _ in gradients:
            if gradient is not None:  # a backward inside would add to it
                weight.grad = None
        yield model
    finally:
        _give_modes(modes)
        for one in lent:
            one.give_back()
        for module, mode in modes:
            module.training = mode
        for weight, value in shrunk:
            weight.data.copy_(value)
        for weight, gradient, required in gradients:
            weight.grad = gradient
            weight.requires_grad_(required)


def _give_modes(modes: list[tuple[nn.Module, bool]]) -> None:
    """Bring every module to its mode through ``train()``, from the outermost inwards."""
    for module, mode in modes:
        if module.training != mode:
            module.train(mode)


class _Lent:
    """What one module holds beside its weights."""

    def __init__(self, module: nn.Module):
        self.module = module
        self.scripted = isinstance(module, torch.jit.ScriptModule)
        self.buffers = dict(module._buffers.items())
        if self.scripted:  # its attributes lie beyond Python, which reads and sets them by name
            return
        self.attributes = dict(module.__dict__)
        registers: tuple[dict[str, Any], ...] = (module._parameters, module._buffers, module._modules)
        self.places = [(register, dict(register)) for register in registers]
        self.own = {
            name: value
            for name, value in self.attributes.items()
            if name not in _TORCHS_OWN and _may_be_written(type(value)) and not _is_constant(value)
        }

    def tensors(self) -> Iterator[Tensor]:
        """All that may be copied."""
        yield from (buffer for buffer in self.buffers.values() if buffer is not None)
        if not self.scripted:
            for value in self.own.values():
                yield from _tensors(value)

    def lend(self, copies: "_Copies") -> None:
        for name, buffer in self.buffers.items():
            if buffer is not None:
                self._place(name, copies.of(buffer))
        if not self.scripted:
            for name, value in self.own.items():
                self.module.__dict__[name] = copies.of(value)

    def give_back(self) -> None:
        if self.scripted:
            for name, buffer in self.buffers.items():
                self._place(name, buffer)
            return
        self.module.__dict__.clear()
        self.module.__dict__.update(self.attributes)
        for place, content in self.places:
            place.clear()
            place.update(content)

    def _place(self, name: str, tensor: Tensor | None) -> None:
        if self.scripted:
            setattr(self.module, name, tensor)
        else:
            self.module._buffers[name] = tensor


def _may_be_written(kind: type) -> bool:
    if kind not in _WRITABLE:
        written = issubclass(kind, (Tensor, np.ndarray, UserDict, UserList, SimpleNamespace, *_CONTAINERS))
        _WRITABLE[kind] = written or (is_dataclass(kind) and not _frozen(kind))
    return _WRITABLE[kind]


def _frozen(kind: Any) -> bool:
    return bool(kind.__dataclass_params__.frozen)


def _is_constant(value: Any) -> bool:
    """Whether ``value`` is a tuple of numbers, as the size of a kernel is."""
    return type(value) is tuple and not any(_may_be_written(type(part)) for part in value)


class _Copies:
    """Copies, one for each thing copied, of tensors that may share memory with each other and with the weights."""

    def __init__(self, weights: Sequence[Tensor], tensors: list[Tensor]):
        self._weights = {where for weight in weights if (where := memory(weight))}
        unique = {id(tensor): tensor for tensor in tensors}
        shared = Counter(where for tensor in unique.values() if (where := memory(tensor)))
        self._shared = {where for where, count in shared.items() if count > 1}
        self._storages: dict[int, torch.UntypedStorage] = {}
        self._done: dict[int, tuple[Any, Any]] = {}

    def of(self, value: Any) -> Any:
        """The copy of a tensor or array, of a container with what can be copied in it; anything else itself."""
        if not _may_be_written(type(value)):
            return value
        if id(value) not in self._done:
            self._done[id(value)] = value, self._made(value)  # the value, so that its id stays its own
        return self._done[id(value)][1]

    def _made(self, value: Any) -> Any:
        if isinstance(value, nn.Parameter):
            return value
        if isinstance(value, Tensor):
            return self._tensor(value)
        if isinstance(value, np.ndarray):
            return value.copy()
        if not isinstance(value, _CONTAINERS):  # a holder of attributes
            other = copy.copy(value)
            self._done[id(value)] = value, other
            vars(other).update({name: self.of(part) for name, part in vars(value).items()})
            return other
        if isinstance(value, tuple):
            parts = [self.of(part) for part in value]
            if all(new is old for new, old in zip(parts, value, strict=True)):
                return value
            return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
        other = copy.copy(value)
        self._done[id(value)] = value, other  # it may hold itself
        return self._filled(other)

    def _filled(self, container: Any) -> Any:
        if isinstance(container, MutableMapping):
            for key, part in container.items():
                container[key] = self.of(part)
        elif not isinstance(container, set):
            for place, part in enumerate(container):
                container[place] = self.of(part)
        return container

    def _tensor(self, tensor: Tensor) -> Tensor:
        where = memory(tensor)
        if where in self._weights:
            return tensor
        if where not in self._shared:
            return tensor.detach().clone().requires_grad_(tensor.requires_grad and tensor.is_leaf)
        if where not in self._storages:
            self._storages[where] = tensor.untyped_storage().clone()
        other = torch.empty(0, dtype=tensor.dtype, device=tensor.device)
        return other.set_(self._storages[where], tensor.storage_offset(), tensor.size(), tensor.stride())


def _tensors(value: Any, depth: int = 4) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif depth and not isinstance(value, np.ndarray):
        inside = value if isinstance(value, _CONTAINERS) else vars(value)
        for part in inside.values() if isinstance(inside, dict) else inside:
            if _may_be_written(type(part)):
                yield from _tensors(part, depth - 1)


def memory(tensor: Tensor) -> int:
    """Where the tensor's memory begins; 0 for one that has none of its own."""
    try:
        return tensor.untyped_storage().data_ptr()
    except (NotImplementedError, RuntimeError):
        return 0


def acts_on_train(model: nn.Module) -> bool:
    """Whether a module has a ``train()`` of its own."""
    return any(type(module).train is not nn.Module.train for module in model.modules())


def is_compiled(model: nn.Module) -> bool:
    """Whether ``model``, or a part of it, goes through torch.compile."""
    return any(
        type(module).__name__ == "OptimizedModule" or getattr(module, "_compiled_call_impl", None) is not None
        for module in model.modules()
    )


def uncompiled() -> AbstractContextManager[object]:
    """In here what was compiled runs as it was written."""
    return torch.compiler.set_stance("force_eager")
