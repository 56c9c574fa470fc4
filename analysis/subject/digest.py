"""A digest of a subject that has no file: of its code, its weights and its data."""

import hashlib
import inspect
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn.parameter import is_lazy

from landscape.evaluation import checksum

from .given import number
from .held import held

if TYPE_CHECKING:
    from .subject import Subject


def of_content(subject: "Subject") -> str:
    """Of its file and what that was given, its words, modules' classes, losses and state, and of each split.

    Of a split count its number of examples, where that is known unread, the first 64, and what it holds in memory or
    names as files (:mod:`.held`); of classes and functions the files that they stand in, without what those import, or
    their own source where there is no file, and the numbers and words that a function was made with. To be taken before
    anything is read: a Dataset may keep what it read. Raises ValueError for lazy layers that no batch has passed,
    and for weights on ``meta``.
    """
    digest = hashlib.sha256("".join(subject.code.values()).encode())
    words = [subject.arguments, subject.identity, dict(subject.factors)]
    moving = [name for name, weight in subject.network.named_parameters() if weight.requires_grad]
    digest.update(repr((*words, moving)).encode(errors="surrogatepass"))
    for text in _sources(subject):
        digest.update(text.encode())
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
        found = (number(source), checksum(held(source)), checksum(subject.batches(split, 64, 64)))
        digest.update(str(found).encode())
    return digest.hexdigest()


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
    kind = one if inspect.isclass(one) or inspect.isroutine(one) else type(one)
    for value in [] if inspect.isclass(one) else _made_with(one):
        if isinstance(value, bool | int | float | str | None):
            yield f"{value}\0"
        elif callable(value):
            yield from _source(value, seen)
    file = inspect.getmodule(kind)
    if id(file) in seen:
        return
    for place in (file, kind):
        try:
            yield inspect.getsource(place)  # type: ignore[arg-type]
        except (OSError, TypeError):  # made where no source is kept
            continue
        seen.add(id(place))
        return


def _made_with(one: Any) -> list[Any]:
    if isinstance(one, partial):
        return [one.func, *one.args, *one.keywords, *one.keywords.values()]
    found = [*(getattr(one, "__defaults__", None) or ()), *getattr(one, "__dict__", {}).values()]
    found += getattr(getattr(one, "__self__", None), "__dict__", {}).values()
    for cell in getattr(one, "__closure__", None) or ():
        with suppress(ValueError):  # one that is empty
            found.append(cell.cell_contents)
    return found
