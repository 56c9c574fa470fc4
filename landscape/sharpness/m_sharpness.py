"""m-sharpness: the worst case of each small group of examples by itself, averaged over groups.

    (1/K) Σ_k max L_k(w + ε_k) − L_k(w) over ‖ε_k‖ ≤ ρ,     L_k the mean loss of the k-th group of m examples

(Foret, Kleiner, Mobahi, Neyshabur 2021, ICLR, section 4.1, who find that for small m it follows the generalization gap
better than the worst case of all examples at once.) Groups are disjoint and each has its own perturbation, so it never
lies below the rise that one common perturbation gives, and falls as m grows: it says nothing without its m.

The error is over groups: they are independent draws of m examples. Rescaling weights before a BatchNorm changes it, or
not in the adaptive ball.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float

from ..displayed import Displayed
from ..objective import Objective
from ..surfaces import mean_and_stderr
from .worst import worst_rise


@dataclass(frozen=True)
class MSharpness(Displayed):
    """The mean over groups of their largest rises, its standard error over groups, and the groups' own rises.

    ``residual`` is the part of the mean that the second half of the ascents' steps added; ``converged`` says that it is
    at most the tolerance. It is nan for ascents of a single step, and where nothing rose.
    """

    radius: float
    size: int
    value: float
    stderr: float
    residual: float
    converged: bool
    rises: Float[np.ndarray, " group"]

    def to_frame(self) -> pd.DataFrame:
        """One row: radius, size, value, stderr, residual, converged, groups."""
        names = ("radius", "size", "value", "stderr", "residual", "converged")
        return pd.DataFrame([{name: getattr(self, name) for name in names} | {"groups": len(self.rises)}])


def m_sharpness(
    groups: Sequence[Objective],
    *,
    radius: float,
    steps: int = 10,
    adaptive: bool = False,
    tolerance: float = 0.05,
    seed: int = 0,
    progress: Callable[[int], object] | None = None,
) -> MSharpness:
    """The mean worst rise over ``groups``: objectives of one model and loss, each on its own m examples.

    Every ascent begins at the weights. All groups together cost what one ascent over all examples does.
    ``progress(1)`` is called after each group. Raises ValueError for fewer than two groups, which have no spread, for
    groups of different sizes, and for what :func:`~landscape.sharpness.worst_rise` refuses.
    """
    sizes = {group.size for group in groups}
    if len(groups) < 2 or len(sizes) > 1:
        raise ValueError(
            f"expected at least two groups of equally many examples, got {len(groups)} of {sorted(sizes)}: "
            "choose an m of at most half the number of examples"
        )
    found = []
    for group in groups:
        found.append(worst_rise(group, radius=radius, steps=steps, restarts=1, adaptive=adaptive, seed=seed))
        if progress:
            progress(1)
    rises = np.array([one.value for one in found])
    late = sum(one.residual * one.value for one in found if one.value)
    residual = late / float(rises.sum()) if rises.any() else math.nan
    value, stderr = mean_and_stderr(torch.from_numpy(rises))
    return MSharpness(radius, sizes.pop(), value, stderr, residual, residual <= tolerance, rises)
