"""Principal components of a training trajectory: the plane through the final weights that holds most of the path.

For snapshots w₁ … w_m and the final weights w*, the rows of M are dᵢ = wᵢ − w*, and the directions are the right
singular vectors of M (Li, Xu, Taylor, Studer, Goldstein 2018, section 7). M is m × n with m ≪ n, so they come from the
m × m Gram matrix: M Mᵀ = U S² Uᵀ, V = Mᵀ U S⁻¹, in float64.

**Not centred.** The plane is drawn through w*, so distances are taken from w* and not from the mean of the snapshots:
of all planes through w*, this one leaves the least Σ‖dᵢ − projection‖². ``explained`` is an axis's share of Σ‖dᵢ‖²;
with centred rows, as PCA has it elsewhere, shares are smaller and the plane a worse fit to the path seen from w*.

**A large share means little.** Of a random walk in many dimensions the first axes explain 8/(π²(2k − 1)²) of the
squared distance to its end: 81 %, 9 %, 3 % (centred: 61 %, 15 %, 7 %; Antognini and Sohl-Dickstein 2018). And a point
of the path lies off the plane, at the distance ``off_plane``: the loss at its projection is not its loss.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

_BLOCK = 1 << 20  # weights at a time in float64
_FLAT = 1e-12  # squared extent, relative to the first axis's, below which an axis is rounding


@dataclass(frozen=True, eq=False)
class Trajectory:
    """Orthonormal ``directions`` through the final weights, and where the snapshots lie.

    ``coordinates`` are exact projections of wᵢ − w* on the directions, ``off_plane`` what is left, ‖dᵢ − projection‖,
    ``distance`` ‖dᵢ‖; all in units of the weights. ``explained`` is each axis's share of Σ‖dᵢ‖².
    """

    directions: Float[Tensor, "component dimension"]
    coordinates: Float[np.ndarray, "snapshot component"]
    off_plane: Float[np.ndarray, " snapshot"]
    distance: Float[np.ndarray, " snapshot"]
    explained: Float[np.ndarray, " component"]


def principal_components(
    snapshots: Float[Tensor, "snapshot dimension"], final: Float[Tensor, " dimension"], *, components: int = 2
) -> Trajectory:
    """The ``components`` axes of the path ``snapshots`` as seen from ``final``.

    ``final`` may be among the snapshots, where it counts nothing. Axes are ordered by what they explain; the snapshot
    that is farthest along an axis has a positive coordinate, so that signs are no matter of chance. Directions have the
    dtype and device of ``final``.

    Raises ValueError for fewer than two snapshots, weights that are not finite, and a path that does not extend along
    as many axes as asked for.
    """
    count = len(snapshots)
    if count < 2 or components < 1:
        raise ValueError(f"a trajectory takes at least 2 snapshots and 1 component, got {count} and {components}")
    if not (snapshots.isfinite().all() and final.isfinite().all()):
        raise ValueError("the snapshots hold NaN or infinity: the training run diverged")
    gram = sum((steps @ steps.T for steps in _steps(snapshots, final)), start=_zeros(count, count, like=final))
    values, vectors = (part.flip(-1)[..., :components] for part in torch.linalg.eigh(gram))
    if len(values) < components or not float(values[-1]) > _FLAT * float(values[0]):
        raise ValueError(
            f"the {count} snapshots do not extend along {components} axes from the final weights: "
            "keep more of them, or ask for fewer axes"
        )
    directions = torch.cat([vectors.T @ steps for steps in _steps(snapshots, final)], dim=1)
    directions = torch.linalg.qr(directions.T).Q.T  # removes rounding only: the rows of UᵀM are orthogonal
    return _placed(directions, snapshots, final)


def _placed(
    directions: Float64[Tensor, "component dimension"],
    snapshots: Float[Tensor, "snapshot dimension"],
    final: Float[Tensor, " dimension"],
) -> Trajectory:
    """The snapshots' places beside the orthonormal ``directions``, each turned to its farthest snapshot."""
    axes = directions.split(_BLOCK, dim=1)
    coordinates = _zeros(len(snapshots), len(directions), like=final)
    for steps, part in zip(_steps(snapshots, final), axes, strict=True):
        coordinates += steps @ part.T
    farthest = coordinates.abs().argmax(0, keepdim=True)
    signs = coordinates.gather(0, farthest)[0].sign()
    off_plane, distance = _zeros(len(snapshots), like=final), _zeros(len(snapshots), like=final)
    for steps, part in zip(_steps(snapshots, final), axes, strict=True):
        off_plane += (steps - coordinates @ part).square().sum(1)
        distance += steps.square().sum(1)
    return Trajectory(
        directions=(directions * signs[:, None]).to(final.dtype),
        coordinates=(coordinates * signs + 0.0).numpy(force=True),
        off_plane=off_plane.sqrt().numpy(force=True),
        distance=distance.sqrt().numpy(force=True),
        explained=(coordinates.square().sum(0) / distance.sum()).numpy(force=True),
    )


def _steps(
    snapshots: Float[Tensor, "snapshot dimension"], final: Float[Tensor, " dimension"]
) -> Iterator[Float64[Tensor, "snapshot block"]]:
    """Snapshots minus final weights, in float64, some of the weights at a time."""
    for part, end in zip(snapshots.split(_BLOCK, dim=1), final.split(_BLOCK), strict=True):
        yield part.double() - end.double()


def _zeros(*shape: int, like: Tensor) -> Tensor:
    return torch.zeros(shape, dtype=torch.float64, device=like.device)
