"""Eigenvectors in files, for planes through the loss and for whatever comes later.

One file for each checkpoint, loss, matrix and system of coordinates: OUT/vectors/SHA-LOSS-OPERATOR-COORDINATES.pt, SHA
the first twelve digits of the checkpoint's. It holds a dict, which ``torch.load(…, weights_only=True)`` reads:
checkpoint, sha256, loss, operator, coordinates; ranks, eigenvalues, residuals, one entry per vector; and vectors, for
every parameter's name a tensor [vector, *its shape], a move of the weights of length one. (In filter-normalized
coordinates an eigenvector ν is the move D·ν.) Written whole or not at all.
"""

from pathlib import Path

import torch
from torch import Tensor

from landscape.eigenpairs import Eigenpairs
from landscape.parameters import Parameters
from models.writing import replacing

from .subject import Subject


def save_vectors(
    out: Path, subject: Subject, key: dict[str, str], pairs: Eigenpairs, scale: Tensor | None, parameters: Parameters
) -> Path:
    """Write the vectors of ``pairs``, found in coordinates of ``scale``, into ``out``/vectors; the file's path."""
    moves = pairs.vectors if scale is None else pairs.vectors * scale
    moves = moves / moves.norm(dim=1, keepdim=True)
    record = {
        "checkpoint": subject.path.as_posix(),
        "sha256": subject.sha256,
        **key,
        "ranks": pairs.ranks.tolist(),
        "eigenvalues": pairs.values.tolist(),
        "residuals": pairs.residuals.tolist(),
        "vectors": by_name(moves.cpu(), parameters),
    }
    path = out / "vectors" / f"{'-'.join([subject.sha256[:12], *key.values()])}.pt"
    with replacing(path) as partial:
        torch.save(record, partial)
    return path


def by_name(vectors: Tensor, parameters: Parameters) -> dict[str, Tensor]:
    """Rows of ``vectors`` in the parameters' shapes: for each name a tensor [vector, *shape]."""
    rows = [parameters.split(vector) for vector in vectors]
    return {name: torch.stack(parts) for name, *parts in zip(parameters.names, *rows, strict=True)}
