"""A digest of a subject that has no file: of its code, its weights and its first batches."""

import hashlib
import inspect
from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.parameter import is_lazy

from landscape.evaluation import checksum

from .given import in_memory, number

if TYPE_CHECKING:
    from .subject import Subject


def of_content(subject: "Subject") -> str:
    """Of its file and what that was given, its words, modules' classes, losses and state, and of each split.

    Of a split count its number of examples, where that is known unread, and the first 64, but all of a list of batches
    and of a TensorDataset; of classes and functions the source, where there is one. Raises ValueError for lazy layers
    that no batch has passed.
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
            digest.update(f"{name} {value.dtype} {list(value.shape)}".encode())
            for part in _dense(value.detach().cpu()):
                digest.update(part.contiguous().flatten().view(torch.uint8).numpy().tobytes())
    for split in subject.there:
        source = getattr(subject, split)
        held = (number(source), checksum(in_memory(source)), checksum(subject.batches(split, 64, 64)))
        digest.update(str(held).encode())
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
    for one in [*kinds, *(each for each in functions if each)]:
        try:
            yield inspect.getsource(one)
        except (OSError, TypeError):  # made where no source is kept
            yield getattr(one, "__qualname__", type(one).__qualname__)
