"""A digest of a subject that has no file: of its class, its weights and its first batches."""

import hashlib
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from landscape.evaluation import checksum

if TYPE_CHECKING:
    from .subject import Subject


def of_content(subject: "Subject") -> str:
    """The sha256 of the network's class, of every tensor of its state, and of the first 64 examples of each split."""
    digest = hashlib.sha256(type(subject.network).__qualname__.encode())
    for name, value in subject.network.state_dict().items():
        if isinstance(value, Tensor):
            digest.update(f"{name} {value.dtype} {list(value.shape)}".encode())
            digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    for split in subject.there:
        digest.update(str(checksum(subject.batches(split, 64, 64))).encode())
    return digest.hexdigest()
