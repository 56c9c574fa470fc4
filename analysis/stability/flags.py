"""What curvature along training is asked with."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import tyro

from .. import flags


@dataclass(frozen=True)
class Config(flags.Config):
    """Top eigenvalue at the snapshots of training runs, beside the optimizer's stability limit."""

    checkpoints: tyro.conf.Positional[tuple[Path, ...]] = ()
    """Run folders, for all their snapshots, or single snapshots in order."""
    trained_only: bool = False
    """Leave the landscape's losses out: only the objective of training, which is what the limit is about."""
    mode: Literal["eval", "train"] = "eval"
    """BatchNorm's: train normalises by the statistics of each chunk."""
    warm: bool = True
    """Start from the eigenvector of the snapshot before."""
    tolerance: float = 1e-4
    """Residual to reach, relative to the eigenvalue."""
    max_products: int = 200
    """Products of the matrix with a vector to stop at, converged or not."""
    keep_graph: bool | None = None
    """Keep each batch's gradient graph for all products: faster, more memory. By default where the graphs fit."""

    of_folders: ClassVar[bool] = True
