"""What an iteration for eigenvalues returns, what it shows on the way, and how it is kept in a file.

A file (:func:`save`, :func:`load`) holds a dict that ``torch.load(…, weights_only=True)`` reads: kind "eigenpairs",
format 2, about (whatever describes the matrix), ranks, eigenvalues, residuals, converged (one entry a pair), products,
tolerance, asymmetry, vectors (by the name of each weight a tensor [pair, …its shape]; "" for all in one if names were
not given), and sha256 of all that. It is written whole or not at all.
"""

import hashlib
import io
import json
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ..displayed import Displayed
from ..files import replace
from ..objective import Parameters

_FORMAT = 2
_NUMBERS = ("ranks", "eigenvalues", "residuals", "converged")
_FIELDS = ("about", *_NUMBERS, "products", "tolerance", "asymmetry", "vectors", "sha256")
Word = str | int | float


@dataclass(frozen=True, eq=False)
class Eigenpairs(Displayed):
    """The pairs asked for: ranks 1, 2 … from the largest eigenvalue, then −1, −2 … from the smallest.

    Fewer where the time was up before there were as many. ``residuals`` are ‖Av − λv‖ for the unit ``vectors``, and
    ``relative_residuals`` the same over each |λ|; ``converged`` says which of these are within ``tolerance``, or belong
    to a λ that is zero to rounding. ``products`` is the number of products made.
    ``asymmetry`` is ‖VᵀAV − (VᵀAV)ᵀ‖/‖VᵀAV‖ on the space V that was grown: of the order of the dtype's rounding for a
    symmetric matrix, and not a matter of luck, as few random probes are. It is nan after a single product.
    """

    values: Float[np.ndarray, " pair"]
    residuals: Float[np.ndarray, " pair"]
    converged: Bool[np.ndarray, " pair"]
    ranks: Int[np.ndarray, " pair"]
    vectors: Float[Tensor, "pair dimension"]
    products: int
    tolerance: float
    asymmetry: float

    @property
    def relative_residuals(self) -> Float[np.ndarray, " pair"]:
        """‖Av − λv‖/|λ|: how far off λ is at most, in units of itself. Infinite for a λ of 0 with a residual."""
        return relative(self.residuals, self.values)

    def to_frame(self) -> pd.DataFrame:
        """One row per pair: rank, eigenvalue, residual, relative_residual, converged, products."""
        return pd.DataFrame(
            {
                "rank": self.ranks,
                "eigenvalue": self.values,
                "residual": self.residuals,
                "relative_residual": self.relative_residuals,
                "converged": self.converged,
                "products": self.products,
            }
        )


@dataclass(frozen=True, eq=False)
class Ritz:
    """The wanted pairs as they stand after ``products`` products: fewer than asked for while the space is smaller.

    ``size`` is the largest |eigenvalue| seen so far, and ``rounding`` what is zero beside it: a pair whose |value| and
    residual together are no more belongs to the eigenvalue zero.
    """

    products: int
    ranks: Int[np.ndarray, " pair"]
    values: Float[np.ndarray, " pair"]
    residuals: Float[np.ndarray, " pair"]
    size: float
    rounding: float = 0.0

    @property
    def relative_residuals(self) -> Float[np.ndarray, " pair"]:
        """Residuals over each |value|; zero for a value that is zero to rounding."""
        zero = np.abs(self.values) + self.residuals <= self.rounding
        return np.where(zero, 0.0, relative(self.residuals, self.values))

    @property
    def worst(self) -> float:
        """The largest relative residual."""
        return float(self.relative_residuals.max())


def relative(residuals: Float[np.ndarray, " pair"], values: Float[np.ndarray, " pair"]) -> Float[np.ndarray, " pair"]:
    """``residuals`` over the size of ``values``; 0 for a residual of 0, infinite for another at a value of 0."""
    sizes = np.abs(values)
    return np.divide(residuals, sizes, out=np.where(residuals > 0, np.inf, 0.0), where=sizes > 0)


@dataclass(frozen=True, eq=False)
class Saved:
    """What a file of eigenpairs holds: the ``pairs``, on the CPU, their vectors by weight, and what it is ``about``."""

    pairs: Eigenpairs
    vectors: Mapping[str, Tensor]
    about: Mapping[str, Word]


def save(
    path: Path, pairs: Eigenpairs, parameters: Parameters | None = None, *, about: Mapping[str, Word] | None = None
) -> None:
    """Write ``pairs`` to ``path``, its vectors by the names of ``parameters`` where these are given.

    ``about`` says what the matrix is: a name, a digest, the loss. Raises ValueError for parameters of another dimension
    than the vectors, OSError where the file can't be written; what was there before then still is.
    """
    content: dict[str, Any] = {
        "kind": "eigenpairs",
        "format": _FORMAT,
        "about": dict(about or {}),
        "ranks": pairs.ranks.tolist(),
        "eigenvalues": pairs.values.tolist(),
        "residuals": pairs.residuals.tolist(),
        "converged": pairs.converged.tolist(),
        "products": pairs.products,
        "tolerance": pairs.tolerance,
        "asymmetry": pairs.asymmetry,
        "vectors": _by_name(pairs.vectors.detach().cpu(), parameters),
    }
    buffer = io.BytesIO()
    torch.save(content | {"sha256": _digest(content)}, buffer)
    replace(Path(path), buffer.getvalue(), durable=True)


def load(path: Path, parameters: Parameters | None = None) -> Saved:
    """The eigenpairs in ``path``; ``parameters``, where given, must have the names and shapes of their vectors.

    Raises FileNotFoundError for no file, and ValueError, in one line, for one that is damaged, of another format or no
    such file at all, and for vectors of other weights. No code in the file is run.
    """
    content = _content(Path(path))
    if parameters is not None:
        shapes = {name: list(one.shape) for name, one in zip(parameters.names, parameters.tensors, strict=True)}
        found = {name: list(one.shape[1:]) for name, one in content["vectors"].items()}
        if found != shapes:
            name = next(name for name in [*shapes, *found] if shapes.get(name) != found.get(name))
            raise ValueError(
                f"{path} holds eigenvectors of other weights: {name!r} has shape {found.get(name)}, expected "
                f"{shapes.get(name)}"
            )
    ranks, values, residuals, converged = (np.array(content[name]) for name in _NUMBERS)
    vectors = torch.cat([_reals(one).flatten(1) for one in content["vectors"].values()], 1)
    rest = content["products"], content["tolerance"], content["asymmetry"]
    pairs = Eigenpairs(values, residuals, converged, ranks, vectors, *rest)
    return Saved(pairs, content["vectors"], content["about"])


def _content(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise FileNotFoundError(f"no eigenpairs at {path}")
    try:
        content = torch.load(io.BytesIO(path.read_bytes()), map_location="cpu", weights_only=True)
    except _UNREADABLE as failure:
        raise ValueError(f"{path} is damaged, or holds no eigenpairs ({type(failure).__name__})") from failure
    if not isinstance(content, dict) or content.get("kind") != "eigenpairs":
        older = isinstance(content, dict) and {"ranks", "eigenvalues", "vectors"} <= set(content)
        why = "was written by an earlier version: write it again" if older else "holds no eigenpairs"
        raise ValueError(f"{path} {why}")
    if content.get("format") != _FORMAT:
        raise ValueError(f"{path} has format {content.get('format')!r}, this version reads {_FORMAT}")
    try:
        whole = _digest({name: one for name, one in content.items() if name != "sha256"}) == content["sha256"]
    except _UNREADABLE:
        whole = False
    if not whole or not set(_FIELDS) <= set(content):
        raise ValueError(f"{path} is damaged: its content doesn't have the digest that was written with it")
    return content


_UNREADABLE = (
    RuntimeError, EOFError, LookupError, ValueError, TypeError, AttributeError, OSError, AssertionError,
    pickle.UnpicklingError,
)  # fmt: skip


def _digest(content: Mapping[str, Any]) -> str:
    """SHA-256 of the values as JSON, and of names, shapes, dtypes and bytes of the vectors."""
    plain = {name: one for name, one in content.items() if name != "vectors"}
    digest = hashlib.sha256(json.dumps(plain, sort_keys=True).encode())
    for name, one in content["vectors"].items():
        digest.update(f"{name} {list(one.shape)} {one.dtype}".encode())
        digest.update(one.contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _reals(part: Tensor) -> Tensor:
    return torch.view_as_real(part) if part.is_complex() else part


def _by_name(vectors: Float[Tensor, "pair dimension"], parameters: Parameters | None) -> dict[str, Tensor]:
    """For each name a tensor [pair, *shape]."""
    if parameters is None:
        return {"": vectors}
    if vectors.shape[1] != parameters.dimension:
        raise ValueError(f"vectors of {vectors.shape[1]} entries aren't of {parameters.dimension} weights")
    rows = [parameters.split(vector) for vector in vectors]
    return {name: torch.stack(parts) for name, *parts in zip(parameters.names, *rows, strict=True)}
