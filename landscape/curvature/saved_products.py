"""An operator whose products outlive the process: each is written to a folder, and read from there when asked again.

The algorithms here ask for vectors that depend on nothing but their arguments and the products so far. So a run that
was killed, done again with the same folder, asks for the same vectors to the bit, gets their products without making
them, goes on where it ended, and returns what it would have returned.

A product is known by the digest of the vector asked for. It is written to a file of its own under another name and then
renamed, so that what is there is whole, and a kill loses the one being made. A block of vectors is one record, as it is
one product. The folder takes as much room as the products; delete it when the result is saved.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from ..files import replace
from .linear_operator import Operator

_FORMAT = 2
_DIGEST = 32  # bytes of a SHA-256


class Recorded:
    """``operator`` with its products written to, and read from, ``folder``.

    ``about`` says what the matrix is made of (the checkpoint's digest, the loss, which images …): it is written beside
    the products, and a folder that says something else is refused. Without it nothing tells one matrix from another of
    the same size, and whoever picks the folder must.

    ``products`` counts all that were asked for, ``replayed`` those of them that were read. Only what the folder held at
    the beginning is read: several processes that share the work of each product may share a folder, all of them reading
    and one of them, the one with ``write``, writing.

    Raises ValueError for a folder with records of another matrix, or one that holds a damaged record; OSError where a
    file can't be read or written.
    """

    def __init__(
        self,
        operator: Operator,
        folder: Path,
        *,
        about: Mapping[str, str | int | float] | None = None,
        write: bool = True,
    ):
        self.operator, self.folder = operator, folder
        self.dimension, self.dtype, self.device = operator.dimension, operator.dtype, operator.device
        self.semidefinite = bool(getattr(operator, "semidefinite", False))
        self.products = self.replayed = 0
        self._write = write
        self._describe({"format": _FORMAT, "dimension": self.dimension, "dtype": str(self.dtype), **(about or {})})
        self._known = {path.stem for path in folder.glob("*.product")}

    def __matmul__(self, vectors: Float[Tensor, "*block dimension"]) -> Float[Tensor, "*block dimension"]:
        """The product with a vector, or with each of several, one a row."""
        name = hashlib.sha256(json.dumps(vectors.shape).encode() + _bytes(vectors)).hexdigest()
        path = self.folder / f"{name}.product"
        count = vectors[..., 0].numel()
        if name in self._known:
            found = self._read(path, vectors)
            self.replayed += count
        else:
            found = self.operator @ vectors
            if self._write:
                content = _bytes(found)
                replace(path, _digest(name, content) + content)
        self.products += count
        return found

    def _describe(self, about: dict[str, str | int | float]) -> None:
        """Write what the matrix is, or check it against what an earlier run wrote."""
        path = self.folder / "about.json"
        if not path.exists():
            if self._write:
                replace(path, json.dumps(about, indent=1).encode())
            return
        try:
            before = json.loads(path.read_text())
        except ValueError as error:
            raise ValueError(f"{path} is damaged: delete the folder, and the products in it are made anew") from error
        before = before if isinstance(before, dict) else {}
        for key in [*about, *before]:
            if about.get(key) != before.get(key):
                raise ValueError(
                    f"{self.folder} holds products of another matrix, with {key} {before.get(key)} in place of "
                    f"{about.get(key)}: choose another folder, or delete it"
                )

    def _read(self, path: Path, vectors: Tensor) -> Tensor:
        digest, content = (whole := path.read_bytes())[:_DIGEST], whole[_DIGEST:]
        if _digest(path.stem, content) != digest:
            raise ValueError(f"{path} is damaged: delete it, and the product is made anew")
        return torch.frombuffer(bytearray(content), dtype=self.dtype).view(vectors.shape).to(self.device)


def _digest(name: str, content: bytes) -> bytes:
    """Of a product and of what it is the product with, so that one can't be taken for another."""
    return hashlib.sha256(name.encode() + content).digest()


def _bytes(tensor: Tensor) -> bytes:
    return tensor.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes()
