"""A digest of a subject that has no file: of its code, its weights and its data."""

import hashlib
import inspect
import sys
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from landscape.evaluation import checksum

from .given import number
from .held import held

if TYPE_CHECKING:
    from .subject import Subject

_FIRST, _SPREAD = 64, 192  # examples
_OURS = {"analysis", "figures", "landscape", "models", "tables"}
_INSTALLED = {"site-packages", "dist-packages"}


def of_content(subject: "Subject") -> str:
    """Of its file and what that was given, its words, modules' classes, attributes and state, losses, and each split.

    Of a split count its number of examples, where that is known unread, the first 64, of what is read by example 192
    more spread over it, and what it holds in memory or names as files (:mod:`.held`). Of classes and functions count
    the files that they stand in and those from the same folder that these import (or their own source where there is
    no file), and the numbers and words that a function was made with. To be taken before anything is read: a Dataset
    may keep what it read. Raises ValueError for lazy layers that no batch has passed, and for weights on ``meta``.
    """
    digest = hashlib.sha256("".join(subject.code.values()).encode())
    words = [subject.arguments, subject.identity, dict(subject.factors)]
    moving = [name for name, weight in subject.network.named_parameters() if weight.requires_grad]
    digest.update(repr((*words, moving)).encode(errors="surrogatepass"))
    for text in _sources(subject):
        digest.update(text.encode())
    attributes = [held(_attributes(module)) for module in subject.network.modules()]
    digest.update(str(checksum(attributes)).encode())
    for name, value in subject.network.state_dict().items():
        if is_lazy(value):
            raise ValueError(
                f"subject {subject.title}: its weight {name!r} isn't made yet (a lazy layer): run one batch through "
                "the network first"
            )
        if isinstance(value, Tensor):
            if value.is_meta:
                raise ValueError(
                    f"subject {subject.title}: its network is on meta, without numbers: build it on a device"
                )
            digest.update(f"{name} {value.dtype} {list(value.shape)}".encode())
            for part in _dense(value.detach().cpu()):
                digest.update(part.contiguous().flatten().view(torch.uint8).numpy().tobytes())
    for split in subject.there:
        source = getattr(subject, split)
        read = [subject.batches(split, _FIRST, _FIRST), subject.spread(split, _SPREAD)]
        found = (number(source), checksum(held(source)), checksum(read))
        digest.update(str(found).encode())
    return digest.hexdigest()


def _attributes(module: nn.Module) -> dict[str, Any]:
    """What a module holds beside weights, buffers, modules and what torch keeps of it."""
    return {name: value for name, value in vars(module).items() if name != "training" and not name.startswith("_")}


def _dense(value: Tensor) -> list[Tensor]:
    """The plain tensors that a sparse one is made of, of whatever layout; else itself."""
    if value.layout == torch.strided:
        return [value.resolve_conj().resolve_neg()]
    sparse = value if value.layout == torch.sparse_coo else value.to_sparse_coo()
    sparse = sparse.coalesce()
    return [sparse.indices(), sparse.values()]


def _sources(subject: "Subject") -> Iterator[str]:
    kinds = dict.fromkeys(type(module) for module in subject.network.modules())
    functions = [*(subject.losses or {}).values(), subject.output, subject.unpack, subject.forward]
    seen: set[int] = set()
    for one in [*kinds, *(each for each in functions if each)]:
        yield from _source(one, seen)


def _source(one: Any, seen: set[int]) -> Iterator[str]:
    """Of a class or a function the file that it stands in, and what a function, or an object, was made with."""
    if id(one) in seen:
        return
    seen.add(id(one))
    written = inspect.isclass(one) or inspect.ismodule(one)
    kind = one if written or inspect.isroutine(one) else type(one)
    for value in [] if written else _made_with(one):
        if isinstance(value, bool | int | float | str | None):
            yield f"{value}\0"
        elif callable(value):
            yield from _source(value, seen)
    file = inspect.getmodule(kind)
    if file is not one and id(file) in seen:
        return
    for place in (file, kind):
        try:
            yield inspect.getsource(place)  # type: ignore[arg-type]
        except (OSError, TypeError):  # made where no source is kept
            continue
        seen.add(id(place))
        if file and place is file:
            for other in _imported(file):
                yield from _source(other, seen)
        return


def _imported(file: ModuleType) -> Iterator[ModuleType]:
    """The modules from the folder of a user's ``file``, or below, of which it has anything."""
    folder = Path(file.__file__ or "").resolve().parent
    if file.__name__.partition(".")[0] in _OURS or _INSTALLED & {*folder.parts}:
        return
    for value in list(vars(file).values()):
        other = value if isinstance(value, ModuleType) else sys.modules.get(getattr(value, "__module__", None) or "")
        place = Path(getattr(other, "__file__", None) or "/")
        if other and other is not file and place.resolve().is_relative_to(folder) and not _INSTALLED & {*place.parts}:
            yield other


def _made_with(one: Any) -> list[Any]:
    if isinstance(one, partial):
        return [one.func, *one.args, *one.keywords, *one.keywords.values()]
    found = [*(getattr(one, "__defaults__", None) or ()), *getattr(one, "__dict__", {}).values()]
    found += getattr(getattr(one, "__self__", None), "__dict__", {}).values()
    for cell in getattr(one, "__closure__", None) or ():
        with suppress(ValueError):  # one that is empty
            found.append(cell.cell_contents)
    return found
