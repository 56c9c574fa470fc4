"""Files of tensors, read without running code and without believing what they claim.

======================  ===========================================================================================
torch.save              a zip archive: its records are not compressed, and their checksums are looked at, which
                        torch.load does not; read with ``weights_only=True``
torch.save before 1.6   a row of pickles without checksums; read the same way
safetensors             a header in JSON and the numbers
======================  ===========================================================================================

Beside tensors and plain values a pickle may hold an ``argparse.Namespace``, as many training scripts save one, and no
other class: that one has no code of its own.

Sizes are held against the file's before memory is taken for them: what an archive's records add up to, the numbers
that storages hold, and the numbers that a tensor shows beyond those that it holds, as one that repeats a number does.
"""

import argparse
import mmap
import pickle
import re
import struct
import warnings
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

_UNREADABLE = (
    RuntimeError, EOFError, LookupError, ValueError, TypeError, AttributeError, OSError, pickle.UnpicklingError,
    zipfile.BadZipFile, zlib.error, NotImplementedError, struct.error, AssertionError, MemoryError, OverflowError,
    SafetensorError,
)  # fmt: skip
_MOST_REPEATED = 2**26  # bytes
_BUFFER = b"\nbytearray\n"  # as a pickle names the class, the only one whose number is a size that nothing else bounds
_CLASS = re.compile(r"(?:Unsupported global: GLOBAL|Trying to instantiate unsupported class|Unsupported class) (\S+)")

_INSIDE = re.compile(r"WeightsUnpickler error:\s*([^\n]+)")
_REMEDY = (
    "Save the weights alone where they were made, torch.save(network.state_dict(), FILE): models.convert and "
    "models.elsewhere.load_into take that"
)


class CheckpointError(ValueError):
    """A file that is no checkpoint, or a checkpoint that does not fit. Where it comes of a file, it names that."""


class Diverged(CheckpointError):
    """A checkpoint of a run that diverged: its weights are not finite."""


@contextmanager
def naming(path: Path | None) -> Iterator[None]:
    """Make every ValueError of the block a CheckpointError that begins with ``path``; without a path, leave them be."""
    try:
        yield
    except ValueError as failure:
        if path is None or str(failure).startswith((f"{path} ", f"{path}:")):
            raise
        kind = type(failure) if isinstance(failure, CheckpointError) else CheckpointError
        raise kind(f"{path}: {failure}") from failure


def read(path: Path) -> Any:
    """What torch.save or safetensors wrote to ``path``, on the CPU: tensors and plain values; no code is run.

    Raises FileNotFoundError for no file, CheckpointError for one that can't be read so.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no checkpoint at {path}: train one with 'python -m models.train --out DIR'")
    try:
        content = _safetensors(path) if _is_safetensors(path) else _unpickled(path)
        _check_claims(content, path.stat().st_size)
    except _UNREADABLE as failure:
        raise CheckpointError(f"{path} can't be read as a checkpoint: {_reason(failure)}") from failure
    return content


def _safetensors(path: Path) -> dict[str, Tensor]:
    """Copies, since what the library gives is a view of the file."""
    return {name: value.clone() for name, value in load_file(path).items()}


def _unpickled(path: Path) -> Any:
    if not _is_legacy(path):
        _check_archive(path)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        if content.find(_BUFFER) >= 0:
            raise ValueError("it holds a bytearray, which torch.load makes as large as the file says")
    with warnings.catch_warnings(action="ignore"), torch.serialization.safe_globals([argparse.Namespace]):
        return torch.load(path, map_location="cpu", weights_only=True)


def _is_legacy(path: Path) -> bool:
    """Whether this may be a file of torch before 1.6, a row of pickles that has no checksums."""
    with path.open("rb") as file:
        return file.read(1) == pickle.PROTO


def _is_safetensors(path: Path) -> bool:
    """Whether the file begins with a header's length and a header, or is only called so."""
    with path.open("rb") as file:
        return file.read(9)[8:] == b"{" or path.suffix == ".safetensors"


def _check_archive(path: Path) -> None:
    """Raise ValueError where records are compressed, doubled or more than the file has room for, or a checksum is off.

    torch.save compresses nothing, and a compressed record can be a thousand times the file.
    """
    with zipfile.ZipFile(path) as archive:
        records = archive.infolist()
        for record in records:
            if record.compress_type != zipfile.ZIP_STORED or record.compress_size != record.file_size:
                raise ValueError(f"the record {record.filename} is compressed, which torch.save never does")
        claimed, size = sum(record.file_size for record in records), path.stat().st_size
        if claimed > size:
            raise ValueError(f"its records claim {claimed:,} bytes, and the file has {size:,}")
        if len({record.filename for record in records}) < len(records):
            raise ValueError("two of its records have one name")
        if broken := archive.testzip():
            raise ValueError(f"the checksum of {broken} is wrong")


def _check_claims(content: Any, size: int) -> None:
    """Raise ValueError where the tensors in ``content`` hold more bytes than the file, or show far more than they hold.

    Sparse tensors and those without numbers are left to whoever wants them: they are never made dense here.
    """
    held: dict[int, int] = {}
    repeated = 0
    for tensor in _tensors(content):
        if tensor.layout is not torch.strided or tensor.device.type == "meta":
            continue
        storage = tensor.untyped_storage()
        held[storage.data_ptr()] = storage.nbytes()
        repeated += max(0, tensor.numel() * tensor.element_size() - storage.nbytes())
    if sum(held.values()) > size:
        raise ValueError(f"its tensors claim {sum(held.values()):,} bytes, and the file has {size:,}")
    if repeated > _MOST_REPEATED:
        raise ValueError(f"its tensors repeat their numbers over {repeated:,} bytes, of at most {_MOST_REPEATED:,}")


def _tensors(content: Any) -> Iterator[Tensor]:
    """Every tensor in ``content``, once, however often containers hold each other."""
    seen: set[int] = set()
    waiting = [content]
    while waiting:
        value = waiting.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, Mapping):
            waiting += value.values()
        elif isinstance(value, argparse.Namespace):
            waiting += vars(value).values()
        elif isinstance(value, list | tuple | set):
            waiting += value


def _reason(failure: BaseException) -> str:
    """One line, without torch's own advice to read the file all the same, which would run what it holds."""
    if held := _CLASS.search(str(failure)):
        return (
            f"it holds more than tensors and plain values: {held[1].rstrip('.,')}, whose code reading it would run, "
            f"and never does. {_REMEDY}"
        )
    said = _INSIDE.search(str(failure)) if "weights_only" in str(failure) else None
    first = said[1] if said else str(failure).strip().partition("\n")[0]
    return (
        f"it is truncated, not written by torch.save, or holds more than tensors and plain values "
        f"({type(failure).__name__}: {first}). {_REMEDY}"
    )
