"""What the tables of curvature are asked with."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Literal

from ..flags import OneSplit

BOTH = ("hessian", "gauss_newton")
SEMIDEFINITE = ("gauss_newton", "fisher", "empirical_fisher")


@dataclass(frozen=True)
class Config(OneSplit):
    """Top Hessian eigenvalues, trace, spectral density and curvature against radius of checkpoints."""

    operator: Literal["hessian", "gauss_newton", "remainder", "empirical_fisher", "fisher", "both"] = "both"
    """The matrix; both: formal Hessian and Gauss-Newton; remainder: their difference. fisher goes with --loss sdt."""
    coordinates: Literal["raw", "filter", "both"] = "raw"
    """The weights', or filter-normalized ones, in which rescaling weights before a BatchNorm changes nothing."""
    layers: bool = False
    """Also each layer's own block: table layers."""
    per_timestep: bool = False
    """Also each timestep's part of the TET loss: table steps."""
    top: int = 5
    """Eigenvalues from the largest."""
    bottom: int = 1
    """Eigenvalues from the smallest, of hessian and remainder; the others are positive semi-definite."""
    tolerance: float = 1e-3
    """Residual of each eigenvalue to reach, relative to it."""
    max_products: int = 100
    """Products of the operator with a vector to stop at, converged or not."""
    seconds: float | None = None
    """Time for each matrix: its eigenvalues, then its trace, then its density, as far as they get."""
    max_basis: int | None = None
    """Vectors that Lanczos keeps before it restarts: memory for some more products. The trace then keeps none."""
    block: int = 1
    """Vectors in one product, which share forward pass and gradient: fewer passes where graphs are not kept, for more
    products and memory."""
    trace: bool = True
    """The trace: table trace."""
    trace_tolerance: float = 0.05
    """Standard error of the trace to reach, relative to it."""
    density: bool = True
    """The spectral density: table density."""
    probes: int = 3
    """Random vectors for the density, and for the traces of layers and timesteps."""
    steps: int = 16
    """Lanczos steps per probe of the density."""
    radius: bool = True
    """Curvature of the true loss against radius: tables radius and smoothed."""
    radius_top: int = 3
    """Top eigenvectors to follow it along."""
    draws: int = 3
    """Random directions to follow it along, and to smooth over."""
    radii: int = 9
    """Radii, over four decades up to the weights' own norm."""
    label_draws: int = 1
    """Labels drawn for each image, for --operator fisher."""
    backend: Literal["lanczos", "pyhessian"] = "lanczos"
    """pyhessian: a second opinion on the formal Hessian's eigenvalues and trace by that package (by magnitude)."""
    save_vectors: bool = False
    """Also the eigenvectors, in OUT/vectors."""
    record: Path | None = None
    """Folder that keeps every product, so that a run that was killed and is started again goes on where it was. Takes
    the room of all products; removed when the tables are written."""
    keep_graph: bool = True
    """Keep each batch's gradient graph for all products, where all of them take at most a quarter of the free memory:
    faster."""

    less_memory: ClassVar[str] = "a smaller --chunk or --max-basis, or --no-keep-graph,"

    def on_few(self, images: int, chunk: int) -> "Config":
        """The same, with nothing kept."""
        return replace(super().on_few(images, chunk), record=None, save_vectors=False)

    @property
    def operators(self) -> tuple[str, ...]:
        """The operators asked for."""
        return BOTH if self.operator == "both" else (self.operator,)

    def ends(self, operator: str) -> tuple[int, int]:
        """Eigenvalues of ``operator`` from the largest and from the smallest."""
        return self.top, 0 if operator in SEMIDEFINITE else self.bottom

    @property
    def systems(self) -> tuple[str, ...]:
        """The coordinates asked for."""
        return ("raw", "filter") if self.coordinates == "both" else (self.coordinates,)
