"""The axes of a surface: which directions in weight space a line or a plane through a checkpoint is spanned by.

- ``random``: Gaussian, every filter at the norm of the weights' filter (Li et al. 2018); any number of draws
- ``top``: the top eigenvectors of the *formal* Hessian of the landscape's loss, restricted to the weights that move
- ``trajectory``: principal components of the run's snapshots as seen from the final weights; see
  :mod:`landscape.surfaces.trajectory`
- ``gradient``: −∇L of the landscape's loss, and a random direction less its part along −∇L; one plane a draw
- ``adam``: −m̂/(√v̂ + ε), the direction of Adam's next step, and −∇L less its part along that. The moments are the
  optimizer's where the checkpoint holds them (``source`` "optimizer": then of the loss the network was trained with,
  regulariser and all), else mean and mean square of the gradient over the batches at frozen weights ("gradients")

**One scale for all.** Whatever its kind, a direction has the norm ‖w‖ of the weights that move: α = 1 is a step of
‖Δw‖ = ‖w‖, as it is by construction for a filter-normalized direction. So (α, β) lies at ‖Δw‖ = ‖w‖ √(α² + β²) on every
plane (on random ones up to |cos| ≈ 1/√n), and planes of different kinds compare at equal distance. But only random
directions move each filter in proportion: the others change when weights before a BatchNorm are rescaled.

Biases and BatchNorm's parameters stay put unless asked; the Hessian, the gradients and the trajectory are then those in
the other weights alone. So eigenvalues differ a little from those of ``analysis.hessian``.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import pandas as pd
from jaxtyping import Float
from torch import Tensor

from landscape.curvature import Hessian
from landscape.objective import Objective, Parameters, fits
from landscape.spectrum import lanczos
from landscape.surfaces import principal_components, random_direction

from ..subject import Batch, Subject
from ..subject.snapshots import snapshots
from .adam import adam_step

KINDS = ("random", "top", "trajectory", "gradient", "adam")
ANY = "any"
Fact = dict[str, Any]
Progress = Callable[[int], object] | Literal[False]
_COLUMNS = (
    "kind", "loss", "draw", "axis", "norm", "low", "high", "seed", "eigenvalue", "residual", "converged", "products",
    "explained", "gradient_norm", "cosine", "source",
)  # fmt: skip
_MARGIN = 0.15
_PARALLEL = 1e-6


@dataclass(frozen=True, eq=False)
class Axes:
    """One line or plane: ``directions`` over ``Parameters(subject.network)``, each of norm ``norm``.

    ``loss`` is the landscape loss that the directions were made from, "any" where none had a part; ``draw`` numbers
    what is drawn at random. ``ranges`` suggests where coordinates begin and end; ``facts`` says more of each
    direction. ``path`` is the trajectory's: epoch, alpha, beta, distance, off_plane, the last two in units of α as well
    (distance² = alpha² + beta² + off_plane²).
    """

    kind: str
    loss: str
    draw: int
    directions: tuple[Float[Tensor, " dimension"], ...]
    norm: float
    ranges: tuple[tuple[float, float], ...]
    facts: tuple[Fact, ...]
    path: pd.DataFrame | None = field(default=None)

    def to_frame(self) -> pd.DataFrame:
        """One row a direction; what does not apply is missing.

        kind, loss, draw, axis (1, 2), norm ‖d‖, low and high (the suggested range), seed (of a random direction),
        eigenvalue, residual, converged, products (``top``), explained (share of the squared distances, ``trajectory``),
        gradient_norm, cosine (of −∇L with the first axis, before its part along that was taken off), source (``adam``).
        """
        shared = {"kind": self.kind, "loss": self.loss, "draw": self.draw, "norm": self.norm}
        rows = [
            {**shared, "axis": axis, "low": low, "high": high, **fact}
            for axis, ((low, high), fact) in enumerate(zip(self.ranges, self.facts, strict=True), 1)
        ]
        counts = {"seed": "Int64", "products": "Int64"}  # whole numbers, also where some are missing
        return pd.DataFrame(rows).reindex(columns=list(_COLUMNS)).astype(counts)


def axes(
    kind: str,
    subject: Subject,
    batches: Sequence[Batch],
    *,
    losses: Sequence[str] = ("sdt", "tet"),
    count: int = 2,
    draws: int = 1,
    seed: int = 0,
    bias_and_norm: bool = False,
    tolerance: float = 1e-3,
    max_products: int = 100,
    progress: Progress = False,
) -> Iterator[Axes]:
    """Lines (``count`` 1) or planes (2) of ``kind`` through the weights of ``subject``, made one at a time.

    ``random`` gives ``draws`` of them, ``trajectory`` one, ``top`` and ``adam`` one for each of ``losses``,
    ``gradient`` one for each loss and draw (but a single line). ``batches`` are what gradients and Hessian average
    over. A line and a plane of one draw share their first direction. ``tolerance`` and ``max_products`` are
    :func:`~landscape.spectrum.lanczos`'s, whose products ``progress`` counts.

    Raises ValueError for an unknown kind, fewer than one draw, counts other than 1 and 2, a gradient of zero and axes
    that coincide; for a trajectory also what :func:`~analysis.subject.snapshots.snapshots` raises.
    """
    if kind not in KINDS:
        raise ValueError(f"no plane of kind {kind!r}; there are {', '.join(KINDS)}")
    if draws < 1 or count not in (1, 2):
        raise ValueError(f"a line or a plane (1 or 2 directions) takes at least 1 draw, got {count} and {draws}")
    span = _Span(subject, batches, count, seed, bias_and_norm)
    if kind == "random":
        return (span.random(draw) for draw in range(draws))
    if kind == "trajectory":
        return iter([span.trajectory()])
    if kind == "top":
        return (span.top(loss, tolerance, max_products, progress) for loss in losses)
    if kind == "adam":
        return (span.adam(loss) for loss in losses)
    return (span.gradient(loss, draw) for loss in losses for draw in range(draws if count == 2 else 1))


class _Span:
    """What the kinds share: the weights that move, their norm, and how directions are brought to it."""

    def __init__(self, subject: Subject, batches: Sequence[Batch], count: int, seed: int, bias_and_norm: bool):
        self.subject, self.batches, self.count = subject, batches, count
        self.seed, self.bias_and_norm = seed, bias_and_norm
        self.whole = Parameters(subject.network)
        pairs = zip(self.whole.names, self.whole.tensors, strict=True)
        self.moving = Parameters(subject.network, [name for name, weight in pairs if weight.ndim > 1 or bias_and_norm])
        self.norm = float(self.moving.vector().double().norm())

    def random(self, draw: int) -> Axes:
        """Filter-normalized Gaussian directions."""
        directions, facts = zip(*(self._random(draw, axis) for axis in range(self.count)), strict=True)
        return self._axes("random", ANY, directions, facts, draw=draw)

    def top(self, loss: str, tolerance: float, max_products: int, progress: Progress) -> Axes:
        """Top eigenvectors of the formal Hessian."""
        objective = self._objective(loss)
        operator = Hessian(objective, keep_graph=fits(objective))
        pairs = lanczos(
            operator, top=self.count, tolerance=tolerance, max_products=max_products, seed=self.seed, progress=progress
        )
        found = zip(pairs.values.tolist(), pairs.residuals.tolist(), pairs.converged.tolist(), strict=True)
        facts = [
            {"eigenvalue": value, "residual": residual, "converged": converged, "products": pairs.products}
            for value, residual, converged in found
        ]
        largest = pairs.vectors.gather(1, pairs.vectors.abs().argmax(1, keepdim=True))
        return self._axes("top", loss, self._scaled(pairs.vectors * largest.sign()), facts)

    def trajectory(self) -> Axes:
        """Principal components of the snapshots, and the path on them."""
        epochs, weights = snapshots(self.subject, self.moving)
        found = principal_components(weights, self.moving.vector(), components=self.count)
        places = found.coordinates / self.norm
        path = pd.DataFrame(
            {
                "epoch": epochs,
                "alpha": places[:, 0],
                "beta": places[:, 1] if self.count > 1 else 0.0,
                "distance": found.distance / self.norm,
                "off_plane": found.off_plane / self.norm,
            }
        )
        lows, highs = places.min(0).clip(max=0), places.max(0).clip(min=0)
        margins = _MARGIN * (highs - lows)
        ranges = list(zip((lows - margins).tolist(), (highs + margins).tolist(), strict=True))
        facts = [{"explained": share} for share in found.explained.tolist()]
        return self._axes("trajectory", ANY, self._scaled(found.directions), facts, ranges=ranges, path=path)

    def gradient(self, loss: str, draw: int) -> Axes:
        """Steepest descent, and across it a random direction."""
        descent, fact = self._descent(loss)
        directions, facts = [descent], [fact]
        if self.count > 1:
            random, drawn = self._random(draw, 1)
            across, cosine = _across(random, descent, "a random direction and the gradient")
            directions, facts = [descent, across], [fact, drawn | {"cosine": cosine}]
        return self._axes("gradient", loss, self._scaled(directions), facts, draw=draw)

    def adam(self, loss: str) -> Axes:
        """Adam's step, and across it steepest descent."""
        found, source = adam_step(self.subject.trained("Adam's step"), self._objective(loss))
        step = self._embedded(found)
        directions, facts = [step], [{"source": source}]
        if self.count > 1:
            descent, fact = self._descent(loss)
            across, cosine = _across(descent, step, "the gradient and Adam's step")
            directions, facts = [step, across], [{"source": source}, fact | {"cosine": cosine}]
        return self._axes("adam", loss, self._scaled(directions), facts)

    def _objective(self, loss: str) -> Objective:
        return self.subject.objective(self.subject.asked(loss)[loss], self.batches, parameters=self.moving)

    def _random(self, draw: int, axis: int) -> tuple[Tensor, Fact]:
        seed = 1000 * self.seed + 2 * draw + axis
        return random_direction(self.whole, seed=seed, bias_and_norm=self.bias_and_norm), {"seed": seed}

    def _descent(self, loss: str) -> tuple[Tensor, Fact]:
        gradient = self._objective(loss).gradient()
        if not gradient.any():
            raise ValueError(f"the gradient of the {loss} loss is zero at these weights: it gives no direction")
        return self._embedded(-gradient), {"gradient_norm": float(gradient.norm())}

    def _embedded(self, vector: Float[Tensor, " moving"]) -> Float[Tensor, " dimension"]:
        """A vector over the weights that move as one over all, zero elsewhere."""
        parts = dict(zip(self.moving.names, self.moving.split(vector), strict=True))
        return self.whole.flatten([parts.get(name) for name in self.whole.names])

    def _scaled(self, directions: Iterable[Tensor]) -> list[Tensor]:
        """Each direction over all weights, at the norm of those that move."""
        whole = [vector if len(vector) == self.whole.dimension else self._embedded(vector) for vector in directions]
        return [(vector.double() * (self.norm / vector.double().norm())).to(vector.dtype) for vector in whole]

    def _axes(
        self,
        kind: str,
        loss: str,
        directions: Sequence[Tensor],
        facts: Sequence[Fact],
        *,
        draw: int = 0,
        ranges: Sequence[tuple[float, float]] = ((-1.0, 1.0), (-1.0, 1.0)),
        path: pd.DataFrame | None = None,
    ) -> Axes:
        return Axes(kind, loss, draw, tuple(directions), self.norm, tuple(ranges[: self.count]), tuple(facts), path)


def _across(vector: Tensor, first: Tensor, names: str) -> tuple[Tensor, float]:
    """``vector`` less its part along ``first``, and the cosine of the two before."""
    one, other = vector.double() / vector.double().norm(), first.double() / first.double().norm()
    cosine = float(one @ other)
    if 1 - abs(cosine) < _PARALLEL:
        raise ValueError(f"{names} point along one line: they span no plane")
    return (one - cosine * other).to(vector.dtype), cosine
