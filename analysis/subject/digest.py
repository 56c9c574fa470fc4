"""A digest of a subject that has no file: of its code, its weights and its first batches."""

import hashlib
import inspect
from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from landscape.evaluation import checksum

if TYPE_CHECKING:
    from .subject import Subject


def of_content(subject: "Subject") -> str:
    """Of its file and what that was given, its words, modules' classes, losses, state, and 64 examples a split.

    Of classes and functions the source counts, where there is one.
    """
    digest = hashlib.sha256("".join(subject.code.values()).encode())
    words = [subject.arguments, subject.identity, dict(subject.factors)]
    moving = [name for name, weight in subject.network.named_parameters() if weight.requires_grad]
    digest.update(repr((*words, moving)).encode(errors="surrogatepass"))
    for text in _sources(subject):
        digest.update(text.encode())
    for name, value in subject.network.state_dict().items():
        if isinstance(value, Tensor):
            digest.update(f"{name} {value.dtype} {list(value.shape)}".encode())
            digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    for split in subject.there:
        digest.update(str(checksum(subject.batches(split, 64, 64))).encode())
    return digest.hexdigest()


def _sources(subject: "Subject") -> Iterator[str]:
    kinds = dict.fromkeys(type(module) for module in subject.network.modules())
    functions = [*(subject.losses or {}).values(), subject.output, subject.unpack, subject.forward]
    for one in [*kinds, *(each for each in functions if each)]:
        try:
            yield inspect.getsource(one)
        except (OSError, TypeError):  # made where no source is kept
            yield getattr(one, "__qualname__", type(one).__qualname__)
