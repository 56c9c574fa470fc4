"""Eigenvectors in files, for planes through the loss and for whatever comes later.

One file for each checkpoint, loss, matrix and system of coordinates: OUT/vectors/SHA-LOSS-OPERATOR-COORDINATES.pt, SHA
the first twelve digits of the checkpoint's. :func:`landscape.spectrum.eigenpairs.load` reads it; it is about
checkpoint, sha256, loss, operator and coordinates. Each vector is a move of the weights of length one. (In
filter-normalized coordinates an eigenvector ν is the move D·ν.)
"""

from dataclasses import replace
from pathlib import Path

from torch import Tensor

from landscape.objective import Parameters
from landscape.spectrum import Eigenpairs, save

from ..subject import Subject


def save_vectors(
    out: Path, subject: Subject, key: dict[str, str], pairs: Eigenpairs, scale: Tensor | None, parameters: Parameters
) -> Path:
    """Write the vectors of ``pairs``, found in coordinates of ``scale``, into ``out``/vectors; the file's path."""
    moves = pairs.vectors if scale is None else pairs.vectors * scale
    moved = replace(pairs, vectors=moves / moves.norm(dim=1, keepdim=True))
    path = out / "vectors" / f"{'-'.join([subject.sha256[:12], *key.values()])}.pt"
    save(path, moved, parameters, about={"checkpoint": subject.title, "sha256": subject.sha256, **key})
    return path
