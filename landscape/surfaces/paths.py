"""Paths between two sets of weights, and the barrier that the loss puts up along them.

    line      φ(t) = (1 − t) w₀ + t w₁
    Bézier    φ(t) = (1 − t)² w₀ + 2t(1 − t) θ + t² w₁                 (Garipov et al. 2018, section 3.3)
    excess    E(t) = L(φ(t)) − [(1 − t) L(w₀) + t L(w₁)],   0 ≤ t ≤ 1
    barrier   max_t E(t)                                               (Entezari et al. 2022, definition 2.1)

Frankle, Dziugaite, Roy, Carbin 2020 subtract the mean of the ends instead; both agree where L(w₀) = L(w₁).

Units of a hidden layer can be permuted, and filters before a BatchNorm rescaled, without changing the function. Nothing
is aligned here: a barrier between two networks may come from the order of their units alone (Entezari et al. 2022).

**The error of a maximum.** The standard error is paired over examples at the t where the mean excess is largest, taken
as given; that t was picked with the same examples, so the maximum is biased upwards. ``crossed`` picks t on one half of
the examples and reads the excess off the other, and averages both ways: its expectation is at most the maximum of the
true excess. The truth lies between the two, apart from their errors and from what the grid of t misses.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import comb

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor, nn

from ..evaluation import preserved
from ..objective import Parameters


@dataclass(frozen=True, eq=False)
class Path:
    """The Bézier curve of the control ``points``: two give the straight line, three the quadratic curve."""

    points: Float[Tensor, "point dimension"]

    def __call__(self, t: float) -> Float[Tensor, " dimension"]:
        """φ(t); exactly the first point at 0 and the last at 1."""
        degree = len(self.points) - 1
        total = torch.zeros_like(self.points[0])
        for i, point in enumerate(self.points):
            total += (comb(degree, i) * (1 - t) ** (degree - i) * t**i) * point
        return total

    def stretch(self, pieces: int = 64) -> float:
        """Length of the curve over that of its chord."""
        length, before = 0.0, self(0.0)
        for piece in range(1, pieces + 1):
            here = self(piece / pieces)
            length += float((here - before).double().norm())
            before = here
        return length / float((self.points[-1] - self.points[0]).double().norm())


@dataclass(frozen=True)
class Barrier:
    """The largest excess ``height`` at ``position`` t, its standard error over examples there, and ``crossed``.

    The standard error and ``crossed`` are nan for fewer than two examples. The height is at least 0, the excess at both
    ends; an infinite loss on the way makes it infinite.
    """

    height: float
    stderr: float
    position: float
    crossed: float
    examples: int


def excess(
    positions: Sequence[float] | np.ndarray, values: Float64[Tensor, "point example"]
) -> Float64[Tensor, "point example"]:
    """E(t) of every example: its value less the chord between its values at the ends.

    Raises ValueError unless the positions rise from 0 to 1 and there is a row of values for each.
    """
    t = np.asarray(positions, dtype=float)
    if len(t) < 3 or t[0] != 0 or t[-1] != 1 or not (np.diff(t) > 0).all() or len(t) != len(values):
        raise ValueError(
            f"a barrier takes positions that rise from 0 to 1, at least three, and values at each; got {len(values)} "
            f"values at {t.tolist()}"
        )
    share = torch.as_tensor(t, device=values.device)[:, None]
    over = values - ((1 - share) * values[0] + share * values[-1])
    over[[0, -1]] = 0
    return over


def barrier(positions: Sequence[float] | np.ndarray, values: Float64[Tensor, "point example"]) -> Barrier:
    """The barrier of a loss given example by example along a path; see :func:`excess` for the arguments and errors."""
    over = excess(positions, values)
    means = over.mean(1)
    top, count = int(means.argmax()), over.shape[1]
    stderr, crossed = float("nan"), float("nan")
    if count > 1:
        stderr = float(over[top].std()) / count**0.5
        halves = over[:, ::2], over[:, 1::2]
        crossed = sum(float(read[int(pick.mean(1).argmax())].mean()) / 2 for pick, read in (halves, halves[::-1]))
    return Barrier(float(means[top]), stderr, float(positions[top]), crossed, count)


@contextmanager
def placed(model: nn.Module, parameters: Parameters, weights: Float[Tensor, " dimension"]) -> Iterator[nn.Module]:
    """The model at ``weights``, in eval mode, on copies of its buffers; all given back as found on leaving."""
    with parameters.restored(), preserved(model):
        model.eval()
        parameters.assign(weights)
        yield model
