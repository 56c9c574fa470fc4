"""One number for all that a checkpoint holds, so that other content is noticed, whatever its archive's checksums say.

SHA-256 over kinds and values: of a tensor dtype, shape and numbers; of a container the digests of its items in order.
How a file keeps them (archive or row of pickles, shared or repeated numbers, strides) leaves it as it is.
"""

import hashlib
import struct
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


def digest(content: Any) -> str:
    """SHA-256 in hexadecimal of plain values, tensors, and dicts, lists, tuples and sets of them.

    A tensor that is sparse or has no numbers counts by its layout, dtype and shape. Raises ValueError for anything else
    or what holds itself.
    """
    try:
        return _digest(content, "", {}).hex()
    except RecursionError as failure:
        raise ValueError("its containers hold themselves, or each other too deep") from failure


def _digest(value: Any, where: str, known: dict[int, bytes]) -> bytes:
    if id(value) not in known:
        known[id(value)] = hashlib.sha256(_parts(value, where, known)).digest()
    return known[id(value)]


def _parts(value: Any, where: str, known: dict[int, bytes]) -> bytes:
    """What is hashed of ``value``, which is found at ``where``; items by their digests."""
    if isinstance(value, Tensor):
        return b"tensor" + _tensor(value)
    if isinstance(value, Mapping):
        pairs = ((key, item, f"{where}.{key}" if where else str(key)) for key, item in value.items())
        return b"dict" + b"".join(
            _digest(key, place, known) + _digest(item, place, known) for key, item, place in pairs
        )
    if isinstance(value, list | tuple):
        kind = b"list" if isinstance(value, list) else b"tuple"
        return kind + b"".join(_digest(item, f"{where}[{index}]", known) for index, item in enumerate(value))
    if isinstance(value, set | frozenset):
        return b"set" + b"".join(sorted(_digest(item, where, known) for item in value))
    return _plain(value, where)


def _plain(value: Any, where: str) -> bytes:
    if isinstance(value, str):
        return b"str" + value.encode(errors="surrogatepass")
    if isinstance(value, bytes | bytearray):
        return b"bytes" + bytes(value)
    if type(value) is float:
        return b"float" + struct.pack("<d", value)
    if type(value) is complex:
        return b"complex" + struct.pack("<dd", value.real, value.imag)
    if type(value) in (bool, int, type(None), torch.dtype, torch.device):
        return f"{type(value).__name__} {value}".encode()
    raise ValueError(f"{where or 'the content'} is a {type(value).__name__}, expected tensors and plain values")


def _tensor(value: Tensor) -> bytes:
    head = f"{value.layout} {value.dtype} {list(value.shape)} ".encode()
    if value.layout is not torch.strided or value.device.type == "meta":
        return head
    numbers = value.detach().cpu().resolve_conj().resolve_neg().contiguous().flatten().view(torch.uint8)
    return head + hashlib.sha256(numbers.numpy().data).digest()
