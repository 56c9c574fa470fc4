"""Everything a model holds, bit for bit, and the demand that it be found again as it was."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

_APART = {"_parameters", "_buffers", "_modules"}


@dataclass(frozen=True)
class Held:
    """A tensor: which object, which memory, which bits."""

    identity: int
    memory: int
    kind: tuple[Any, ...]
    bits: tuple[Tensor, ...]


def held(tensor: Tensor, bits_only: bool = False) -> Held:
    """What is compared of a tensor; of one that is no parameter and no buffer its bits only."""
    plain = tensor.detach()
    if bits_only and plain.layout is torch.strided:
        return Held(0, 0, (plain.dtype, tuple(plain.shape)), (_bits(plain),))
    if plain.layout is not torch.strided:
        dense = plain.coalesce() if plain.layout is torch.sparse_coo else plain.to_sparse_coo().coalesce()
        return Held(0, 0, (plain.dtype, tuple(plain.shape), plain.layout), (dense.indices(), _bits(dense.values())))
    kind = (plain.dtype, tuple(plain.shape), plain.stride(), plain.device, tensor.requires_grad, tensor.is_leaf)
    return Held(id(tensor), plain.data_ptr(), kind, (_bits(plain),))


def _bits(tensor: Tensor) -> Tensor:
    return tensor.resolve_conj().resolve_neg().contiguous().clone().reshape(-1).view(torch.uint8)


def _things(place: str, value: Any, depth: int = 0) -> Iterator[tuple[str, Any]]:
    """What there is to compare in an attribute: tensors, plain values, what containers hold."""
    if isinstance(value, nn.Module):
        yield place, ("module", id(value))
    elif isinstance(value, Tensor):
        yield place, held(value, bits_only=True)
    elif isinstance(value, bool | int | float | complex | str | bytes | torch.dtype | torch.device | None):
        yield place, (type(value).__name__, repr(value))
    elif depth > 4:
        return
    elif isinstance(value, Mapping):
        yield place, ("mapping", len(value))
        for key, part in value.items():
            yield from _things(f"{place}[{key!r}]", part, depth + 1)
    elif isinstance(value, list | tuple | set | frozenset):
        yield place, (type(value).__name__, len(value))
        for number, part in enumerate(value if isinstance(value, list | tuple) else sorted(map(repr, value))):
            yield from _things(f"{place}[{number}]", part, depth + 1)


class Snapshot:
    """What ``model`` holds: parameters and buffers (object, memory, bits), gradients, modes, attributes, hooks."""

    def __init__(self, model: nn.Module):
        self.kept: list[Any] = []  # keeps every object alive, so that identities can't be taken again
        self.things = dict(self._read(model))

    def _read(self, model: nn.Module) -> Iterator[tuple[str, Any]]:
        for path, module in model.named_modules(remove_duplicate=False):
            self.kept.append(module)
            place = path or "model"
            yield f"{place}: module", id(module)
            yield f"{place}: class", type(module).__qualname__
            yield f"{place}: training", module.training
            for name, weight in module.named_parameters(recurse=False, remove_duplicate=False):
                self.kept += [weight, weight.grad]
                yield f"{place}.{name}", held(weight)
                yield f"{place}.{name}.grad", None if weight.grad is None else held(weight.grad)
                hooks = getattr(weight, "_backward_hooks", None)
                yield f"{place}.{name} hooks", len(hooks or ())
            for name, buffer in module.named_buffers(recurse=False, remove_duplicate=False):
                self.kept.append(buffer)
                yield f"{place}.{name}", held(buffer)
            if isinstance(module, torch.jit.ScriptModule):
                continue
            yield f"{place}: attributes", sorted(vars(module))
            for name, value in vars(module).items():
                if name.endswith("_hooks") or "_hooks_" in name:
                    yield f"{place}.{name}", len(value)
                elif name == "__dict__" or (callable(value) and not isinstance(value, nn.Module)):
                    self.kept.append(value)
                    yield f"{place}.{name}", id(getattr(value, "__func__", value))
                elif name not in _APART:
                    self.kept.append(value)
                    yield from _things(f"{place}.{name}", value)


def assert_as_found(model: nn.Module, snapshot: Snapshot, but: Collection[str] = ()) -> None:
    """Raise AssertionError that names the first things that are not as they were, those in ``but`` apart."""
    now = Snapshot(model)
    wrong = [place for place in snapshot.things if place not in now.things]
    wrong += [place for place in now.things if place not in snapshot.things]
    for place, before in snapshot.things.items():
        if place in now.things and place not in but and not _same(before, now.things[place]):
            wrong.append(place + _how(before, now.things[place]))
    assert not wrong, f"not given back: {', '.join(wrong[:2])}" + (f" and {len(wrong) - 2} more" if wrong[2:] else "")


def _same(before: Any, after: Any) -> bool:
    if not isinstance(before, Held) or not isinstance(after, Held):
        return type(before) is type(after) and before == after
    return not _how(before, after)


def _how(before: Any, after: Any) -> str:
    if not isinstance(before, Held) or not isinstance(after, Held):
        return f" ({_brief(before)} → {_brief(after)})"
    if before.kind != after.kind:
        parts = [(str(a), str(b)) for a, b in zip(before.kind, after.kind, strict=False) if a != b]
        return f" ({', '.join(f'{a} → {b}' for a, b in parts) or 'another layout'})"
    if not all(torch.equal(a, b) for a, b in zip(before.bits, after.bits, strict=True)):
        return " (other bits)"
    if before.identity != after.identity:
        return " (another object)"
    return " (other memory)" if before.memory != after.memory else ""


def _brief(value: Any) -> str:
    return "a tensor" if isinstance(value, Held) else str(value[-1] if isinstance(value, tuple) else value)[:40]
