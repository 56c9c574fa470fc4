"""NIR files: what they claim checked before it is read, every node known, and then the module."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..neurons.surrogate import surrogate as surrogate_by_name
from ..reading import CheckpointError, naming
from .graph import Graph, check_kinds
from .layers import INTEGRATIONS, RESETS, Step

if TYPE_CHECKING:
    from nir import NIRGraph

_MOST_PACKED = 1000  # numbers' bytes to a file's: gzip packs no closer
_SMALL = 2**26
_UNREADABLE = (OSError, LookupError, TypeError, AttributeError, AssertionError, ValueError, RuntimeError, MemoryError)


def read(
    source: "Path | str | NIRGraph", *, dt: float, reset: str, integration: str,
    surrogate: str = "triangle", width: float = 1.0, detach_reset: bool = False,
) -> Graph:  # fmt: skip
    """The network in a NIR file, or of a ``nir.NIRGraph``, in eval mode.

    ``surrogate``, ``width`` (in units of the membrane) and ``detach_reset`` as in :class:`models.neurons.lif.LIF`.
    Raises ValueError for other values, ImportError without the package nir, FileNotFoundError for no file, and
    CheckpointError, naming file and node, for what is damaged, of another kind, or can't be stepped so.
    """
    for name, value, known in (("reset", reset, RESETS), ("integration", integration, INTEGRATIONS)):
        if value not in known:
            raise ValueError(f"{name} must be {' or '.join(map(repr, known))}, got {value!r}")
    if not 0 < dt < float("inf"):
        raise ValueError(f"dt must be positive and finite, in the unit of tau, got {dt}")
    step = Step(dt, reset, integration, surrogate_by_name(surrogate, width), detach_reset)
    if not isinstance(source, str | Path):
        return Graph(source, step).eval()
    with naming(Path(source)):
        return Graph(_graph(Path(source)), step).eval()


def _graph(path: Path) -> "NIRGraph":
    """Raises FileNotFoundError, and CheckpointError for what is no NIR file or has nodes that aren't read."""
    try:
        import h5py
        import nir
    except ImportError as failure:
        raise ImportError("NIR files need the package nir: pip install nir") from failure
    if not path.is_file():
        raise FileNotFoundError(f"no NIR file at {path}")
    try:
        with h5py.File(path, "r") as file:
            _check_claims(file, path.stat().st_size)
            content = nir.serialization.hdf2dict(file["node"])
        nodes = content["nodes"]
        kinds = {name: node["type"] for name, node in nodes.items()}
        check_kinds(kinds)
        return nir.NIRGraph.from_dict(content | {"type_check": False})  # its own takes kernels for square
    except CheckpointError:
        raise
    except _UNREADABLE as failure:
        reason = str(failure).strip().partition("\n")[0]
        raise CheckpointError(
            f"{path} can't be read as a NIR graph: it is damaged, not written by nir.write, or its nodes don't fit "
            f"each other ({type(failure).__name__}: {reason})"
        ) from failure


def _check_claims(file: Any, size: int) -> None:
    """Raise ValueError where the arrays of an open HDF5 ``file`` of ``size`` bytes claim what it can't hold."""
    claims: list[int] = []
    file.visititems(lambda _, item: claims.append(getattr(item, "nbytes", 0)))
    if sum(claims) > max(_SMALL, _MOST_PACKED * size):
        raise ValueError(f"its arrays claim {sum(claims):,} bytes, and the file has {size:,}")
