"""What each surface of a checkpoint says in a few numbers, so that pictures can be compared without looking.

Table ``shapes.csv``, computed from table ``surface`` alone, one row per line or plane, landscape loss and draw; after
checkpoint, network, data, method, training, seed: loss, split, directions, axes_loss, kind, draw, and

- ``centre``: the loss at the weights as trained
- ``doubling_radius``: how far the loss stays below twice that, in units of α; ``doubling_reached`` is False where the
  surface ends first, and the radius is then a lower bound
- ``half_width``: how far it stays within ``rise`` above the centre; ``half_width_reached``
- ``mean_rise`` at distance ``radius``: mean of L − L(0)
- ``roughness``: how far neighbouring points jump (:mod:`landscape.surfaces.shape`); nan where some are
  interpolated, and do not jump
- ``minima``: local minima; ``significant_minima``: those with a persistence above ``threshold``, twice the median
  standard error of a rise above the centre; ``persistence``: the largest but the lowest minimum's own, which is
  infinite; 0 where there is one minimum (:mod:`landscape.surfaces.topology`)
- ``infinite``: points where the loss is not finite
- ``images``: the most that any point took

Spread over draws is the error of any of them: a plane is one of many.

Table ``minima.csv`` has the merge trees, one row per local minimum: after the same keys minimum (numbered, the most
persistent first), birth (its loss), death (the loss at which it meets a lower one; inf for the lowest), persistence,
parent (the minimum it meets; −1), alpha, beta, saddle_alpha, saddle_beta (where; nan).
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from landscape.surfaces import Radius, mean_rise, radius_at_rise, roughness, topology
from tables.schema import IDENTITY

RISE, RADIUS = 0.5, 0.5
KEYS = ("loss", "split", "directions", "axes_loss", "kind", "draw")


def shapes(surfaces: pd.DataFrame, *, rise: float = RISE, radius: float = RADIUS) -> pd.DataFrame:
    """A row per surface of a table ``surface``, of one or many checkpoints. Numbers that a grid can't give are nan."""
    return pd.DataFrame([key | _row(group, rise, radius) for key, group in _each(surfaces)])


def minima(surfaces: pd.DataFrame) -> pd.DataFrame:
    """A row per local minimum of every surface of a table ``surface``; a surface nowhere finite has none."""
    trees = [_tree(group).assign(**key) for key, group in _each(surfaces) if np.isfinite(group["value"]).any()]
    keys = [key for key in (*IDENTITY, *KEYS) if key in surfaces]
    columns = ["minimum", "birth", "death", "persistence", "parent", "alpha", "beta", "saddle_alpha", "saddle_beta"]
    return pd.concat(trees, ignore_index=True)[[*keys, *columns]] if trees else pd.DataFrame(columns=[*keys, *columns])


def _each(surfaces: pd.DataFrame) -> Iterator[tuple[dict[str, Any], pd.DataFrame]]:
    keys = [key for key in (*IDENTITY, *KEYS) if key in surfaces]
    for values, group in surfaces.groupby(keys, sort=False):
        yield dict(zip(keys, values, strict=True)), group


def _grid(points: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    grid = points.pivot_table(index="alpha", columns="beta", values="value", dropna=False)
    return grid.to_numpy(float), grid.index.to_numpy(float), grid.columns.to_numpy(float)


def _tree(points: pd.DataFrame) -> pd.DataFrame:
    values, alphas, betas = _grid(points)
    tree = topology(values).to_frame()
    ends = tree["parent"] >= 0
    return tree.assign(
        alpha=alphas[tree["row"]],
        beta=betas[tree["column"]],
        saddle_alpha=np.where(ends, alphas[tree["saddle_row"]], np.nan),
        saddle_beta=np.where(ends, betas[tree["saddle_column"]], np.nan),
    )


def _row(points: pd.DataFrame, rise: float, radius: float) -> dict[str, Any]:
    values, alphas, betas = _grid(points)
    infinite = int((~np.isfinite(values)).sum())
    return {
        **_widths(values, alphas, betas, rise, radius),
        "roughness": np.nan if "interpolated" in points and points["interpolated"].any() else roughness(values),
        **_minima(values, 2 * float(points["rise_stderr"].replace([np.inf, -np.inf], np.nan).median())),
        "infinite": infinite,
        **({"images": int(points["images"].max())} if "images" in points else {}),
    }


def _widths(
    values: np.ndarray, alphas: np.ndarray, betas: np.ndarray, rise: float, radius: float
) -> dict[str, float | bool]:
    middle = values[np.ix_(alphas == 0, betas == 0)].ravel()
    centre = float(middle[0]) if len(middle) and np.isfinite(middle[0]) else np.nan
    doubling = half = Radius(np.nan, False)
    reach = min(abs(axis[end]) for axis in (alphas, betas) if len(axis) > 1 for end in (0, -1))
    if np.isfinite(centre):
        half = radius_at_rise(values, alphas, betas, rise)
        doubling = radius_at_rise(values, alphas, betas, centre) if centre > 0 else doubling
    known = np.isfinite(centre) and radius <= reach
    return {
        "centre": centre,
        "doubling_radius": doubling.value,
        "doubling_reached": doubling.reached,
        "rise": rise,
        "half_width": half.value,
        "half_width_reached": half.reached,
        "radius": radius,
        "mean_rise": mean_rise(values, alphas, betas, radius) if known else np.nan,
    }


def _minima(values: np.ndarray, threshold: float) -> dict[str, float | int]:
    if not np.isfinite(values).any():
        return {"minima": 0, "significant_minima": 0, "persistence": np.nan, "threshold": threshold}
    found = topology(values)
    ending = found.persistence[np.isfinite(found.persistence)]
    return {
        "minima": found.count(),
        "significant_minima": found.count(max(threshold, 0.0)),
        "persistence": float(ending.max(initial=0.0)),
        "threshold": threshold,
    }
