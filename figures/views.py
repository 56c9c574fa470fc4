"""Planes of the surface table as arrays, one for every choice of landscape loss, images, draw and network.

A view is what one network's loss looks like in one plane, or the mean of several: over draws of directions, over
seeds, or over both (draws within a seed first, so that n counts trainings). Each value has the error that belongs to
it, and ``note`` says which:

- one seed, one draw: the standard error over images that the table holds
- one seed, mean over draws: the standard error over draws, s/√n
- mean over seeds: half the 95 % band, t(0.975, n−1)·s/√n

The rise is the loss above that at the trained weights (α = β = 0), taken within each surface before any mean: much of
what differs between seeds is common to a surface's points and not in its rise. A loss that is infinite in one surface
makes the mean infinite; what was not measured is NaN and in no mean. Means are taken where all seeds share a grid.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product

import numpy as np
import pandas as pd

from tables.interval import student
from tables.reading import TableError

from .style.methods import label, looks, loss_label, losses

IMAGES = {"train": "training examples", "test": "test examples"}
MEAN, TRAJECTORY = "mean", "trajectory"
_ANY = "any"  # loss that directions were made from
WITHIN = 0.5
KEYS = ("directions", "loss", "split", "draw", "seed", "method")


@dataclass(frozen=True, eq=False)
class View:
    """One surface: ``value``, ``rise`` with their errors, and ``accuracy`` (a fraction), each ``[beta, alpha]``.

    ``key`` has a word for each of :data:`KEYS`; draw and seed are "mean" where all were averaged. ``near`` is the mean
    rise within half a unit of the trained weights and its error, NaN where the grid doesn't reach that far.
    """

    key: dict[str, str]
    alphas: np.ndarray
    betas: np.ndarray
    value: np.ndarray
    error: np.ndarray
    rise: np.ndarray
    rise_error: np.ndarray
    accuracy: np.ndarray
    near: tuple[float, float] = field(default=(np.nan, np.nan))
    note: str = ""

    @property
    def infinite(self) -> int:
        """How many points have an infinite loss."""
        return int(np.isposinf(self.value).sum())

    @property
    def missing(self) -> int:
        """How many points have no loss at all."""
        return int(np.isnan(self.value).sum())

    def summary(self) -> str:
        """The surface in a sentence or two, from its numbers."""
        row, column = np.unravel_index(np.nanargmin(self.value), self.value.shape)
        place = f"α = {self.alphas[column]:.3g}, β = {self.betas[row]:.3g}".replace("-", "−")
        finite = self.value[np.isfinite(self.value)]
        loss, split, seed = (self.key[name] for name in ("loss", "split", "seed"))
        whose = f"trained with {label(self.key['method'])}, "
        whose += "mean over seeds" if seed == MEAN else f"seed {seed}"
        text = f"{loss_label(loss)} on {IMAGES.get(split, split)}, {whose}: from {finite.min():.3g} at {place} "
        text += f"to {finite.max():.3g}."
        if np.isfinite(self.near[0]):
            error = f" ± {self.near[1]:.2g}" * bool(np.isfinite(self.near[1]))
            text += f" Mean rise within {WITHIN:g} of the trained weights: {self.near[0]:.3g}{error}."
        if self.infinite or self.missing:
            text += f" Infinite: {self.infinite} of {self.value.size} points; not measured: {self.missing}."
        return text


def views(frame: pd.DataFrame) -> list[View]:
    """Every view of the planes in a surface table. One without a finite value is left out.

    Raises TableError when none is left, and for a plane of fewer than two by two points.
    """
    frame = spanned(frame, "plane")
    order = [sorted(frame["directions"].unique()), losses(frame["loss"]), sorted(frame["split"].unique())]
    groups = dict(iter(frame.groupby(["directions", "loss", "split", "method"])))
    keys = [key for key in product(*order, looks(frame["method"])) if key in groups]
    found = [view for key in keys for view in _of(groups[key])]
    found = [view for view in found if np.isfinite(view.value).any()]
    if not found:
        raise TableError("no finite value of value")
    return found


def spanned(frame: pd.DataFrame, kind: str) -> pd.DataFrame:
    """The rows of lines or planes, with a word for their directions: "random" where no column says otherwise.

    Raises TableError when there are none.
    """
    rows = frame[frame["kind"] == kind]
    if rows.empty:
        raise TableError(f"no rows of kind {kind!r}")
    if "directions" not in rows:
        return rows.assign(directions="random")
    if "axes_loss" not in rows:
        return rows
    words = {loss: f" of the {loss_label(loss)}" for loss in losses(rows["axes_loss"]) if loss != _ANY}
    made_of = [words.get(loss, "") for loss in rows["axes_loss"].astype(str)]
    return rows.assign(directions=rows["directions"] + made_of)


def _of(rows: pd.DataFrame) -> Iterator[View]:
    """The views of one method's planes: means first, where there is something to average."""
    seeds, draws = (sorted(int(one) for one in rows[name].unique()) for name in ("seed", "draw"))
    grids = {len(part.groupby(["alpha", "beta"])) for _, part in rows.groupby("seed")}
    shared = grids == {len(rows.groupby(["alpha", "beta"]))}
    for chosen in ([seeds] if shared and len(seeds) > 1 else []) + [[seed] for seed in seeds]:
        for some in ([draws] if len(draws) > 1 else []) + [[draw] for draw in draws]:
            part = rows[rows["seed"].isin(chosen) & rows["draw"].isin(some)]
            if len(part):
                yield _view(part, chosen, some)


def _view(rows: pd.DataFrame, seeds: list[int], draws: list[int]) -> View:
    first = rows.iloc[0]
    key = {name: str(first[name]) for name in ("directions", "loss", "split", "method")}
    key |= {"seed": _name(seeds), "draw": _name(draws)}
    alphas, betas = (np.sort(rows[name].unique()) for name in ("alpha", "beta"))
    if min(len(alphas), len(betas)) < 2:
        raise TableError(f"a plane needs at least 2 by 2 points, got {len(alphas)} by {len(betas)}")
    value = _stack(rows.assign(value=rows["value"].where(rows["value"] != -np.inf)), "value", seeds, draws)
    rise = _above_centre(value, alphas, betas)
    distance = np.hypot(alphas[None, :], betas[:, None])
    near = np.array([np.nan])
    if max(alphas.max(), betas.max()) >= WITHIN:
        near = rise[..., distance <= WITHIN].mean(-1)
    one = len(seeds) == len(draws) == 1
    errors = [
        _stack(rows, name, seeds, draws)[0, 0] if one and name in rows else _spread(stack)
        for name, stack in (("stderr", value), ("rise_stderr", rise))
    ]
    accuracy = _mean(_mean(_stack(rows, "accuracy", seeds, draws)))
    spread = float(_spread(near)) if near.ndim > 1 and not one else np.nan
    middle = float(_mean(_mean(near))) if near.ndim > 1 else np.nan
    return View(
        key, alphas, betas, _mean(_mean(value)), errors[0], _mean(_mean(rise)), errors[1], accuracy,
        (middle, spread), _note(len(seeds), len(draws)),
    )  # fmt: skip


def _name(chosen: list[int]) -> str:
    return str(chosen[0]) if len(chosen) == 1 else MEAN


def _note(seeds: int, draws: int) -> str:
    if seeds > 1:
        return f"half the 95 % band over {seeds} seeds"
    return f"standard error over {draws} draws" if draws > 1 else "standard error over examples"


def _stack(rows: pd.DataFrame, column: str, seeds: list[int], draws: list[int]) -> np.ndarray:
    """``[draw, seed, beta, alpha]``, NaN where there is no row; checkpoints that share a seed are averaged."""
    places = pd.MultiIndex.from_product([draws, seeds, np.sort(rows["beta"].unique()), np.sort(rows["alpha"].unique())])
    found = rows.groupby(["draw", "seed", "beta", "alpha"])[column].mean().reindex(places)
    return found.to_numpy(dtype=float).reshape(places.levshape)


def _above_centre(value: np.ndarray, alphas: np.ndarray, betas: np.ndarray) -> np.ndarray:
    """The loss above that at the origin, of each surface; NaN where the grid misses it."""
    column, row = np.abs(alphas).argmin(), np.abs(betas).argmin()
    if max(abs(alphas[column]), abs(betas[row])) > 1e-9:
        return np.full_like(value, np.nan)
    with np.errstate(invalid="ignore"):  # where the centre itself is infinite
        return value - value[..., row : row + 1, column : column + 1]


def _mean(stack: np.ndarray) -> np.ndarray:
    """The mean over the first axis of what is measured."""
    known = ~np.isnan(stack)
    total = np.where(known, stack, 0.0).sum(0)
    return np.where(known.any(0), total / np.maximum(known.sum(0), 1), np.nan)


def _spread(stack: np.ndarray) -> np.ndarray:
    """Half the band over seeds, of means over draws; of one seed, the standard error over draws. NaN for one."""
    seeds = stack.shape[1] > 1
    points = _mean(stack) if seeds else stack[:, 0]
    points = np.where(np.isinf(points), np.nan, points)
    n = (~np.isnan(points)).sum(0)
    centred = points - _mean(points)
    square = np.where(np.isnan(centred), 0.0, centred**2).sum(0) / np.maximum(n - 1, 1)
    factor = np.vectorize(lambda count: student(int(count) - 1) if seeds and count > 1 else 1.0)(n)
    lost = (n < 2) | np.isinf(stack).any((0, 1))
    return np.where(lost, np.nan, factor * np.sqrt(square / np.maximum(n, 1)))
