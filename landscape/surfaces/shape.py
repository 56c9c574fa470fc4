"""What one surface says in a few numbers: how wide the minimum is, how far it rises, how rough it is.

Of a line L(α) or a plane L(α, β) with the weights at its centre:

    radius at a rise δ    line: half the length of the interval around 0 in which L − L(0) < δ;
                          plane: √(area/π) of the connected part of {L − L(0) < δ} around 0
    mean rise at r        mean over ‖(α, β)‖ = r of L − L(0)
    roughness             root mean square of third differences along the axes, over √20

The radius for δ = L(0) is where the loss has doubled. Between grid points values are interpolated linearly along the
axes. **Roughness** is in units of the loss: independent jumps of standard deviation s at every point give s (third
differences have coefficients 1, −3, 3, −1, squares sum to 20), and a smooth surface on a grid of spacing h gives
h³ |∂³L|/√20, which vanishes as the grid is refined. A surface of steps keeps what its steps make.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

_REFINED = 8  # cells of the finer grid on which areas are counted, per cell of the surface's
_ANGLES = 360


class Radius(NamedTuple):
    """A radius, and whether the level was reached on all sides; else the radius is a lower bound."""

    value: float
    reached: bool


def radius_at_rise(
    values: Float[np.ndarray, "alpha beta"],
    alphas: Float[np.ndarray, " alpha"],
    betas: Float[np.ndarray, " beta"],
    rise: float,
) -> Radius:
    """How far from the centre the loss stays below L(0) + ``rise``, in units of the coordinates.

    Raises ValueError for a rise that is not positive and for a grid without its centre.
    """
    if not rise > 0:
        raise ValueError(f"the rise must be positive, got {rise}")
    heights = values - _centre(values, alphas, betas)
    if len(betas) == 1:
        sides = [_crossing(alphas[side], heights[side, 0], rise) for side in _halves(alphas)]
        return Radius(sum(value for value, _ in sides) / 2, all(reached for _, reached in sides))
    fine = [np.linspace(axis[0], axis[-1], _REFINED * (len(axis) - 1) + 1) for axis in (alphas, betas)]
    below = _interpolated(heights, alphas, betas, np.stack(np.meshgrid(*fine, indexing="ij"), -1)) < rise
    from scipy.ndimage import label  # takes long to import, as scipy.interpolate does

    parts, _ = label(below)
    middle = tuple(int(np.abs(axis).argmin()) for axis in fine)
    around = parts == parts[middle]
    edge = around[0].any() or around[-1].any() or around[:, 0].any() or around[:, -1].any()
    area = around.sum() * np.prod([axis[1] - axis[0] for axis in fine])
    return Radius(float(np.sqrt(area / np.pi)), not edge)


def mean_rise(
    values: Float[np.ndarray, "alpha beta"],
    alphas: Float[np.ndarray, " alpha"],
    betas: Float[np.ndarray, " beta"],
    radius: float,
) -> float:
    """The mean of L − L(0) at distance ``radius`` from the centre: both sides of a line, the circle in a plane.

    Raises ValueError for a radius that is not positive or beyond the grid, and for a grid without its centre.
    """
    reach = min(abs(axis[end]) for axis in (alphas, betas) if len(axis) > 1 for end in (0, -1))
    if not 0 < radius <= reach:
        raise ValueError(f"the radius must lie in (0, {reach:g}], where the surface is known; got {radius}")
    heights = values - _centre(values, alphas, betas)
    if len(betas) == 1:
        return float(np.interp([radius, -radius], alphas, heights[:, 0]).mean())
    angle = np.linspace(0, 2 * np.pi, _ANGLES, endpoint=False)
    points = radius * np.stack([np.cos(angle), np.sin(angle)], -1)
    return float(_interpolated(heights, alphas, betas, points).mean())


def roughness(values: Float[np.ndarray, "alpha beta"]) -> float:
    """How far neighbouring points jump, in units of the loss, where the loss is finite.

    nan for fewer than four points along every axis.
    """
    values = np.where(np.isfinite(values), values, np.nan)
    thirds = np.concatenate(
        [np.diff(values, 3, axis).ravel() for axis in (0, 1) if values.shape[axis] > 3] or [np.zeros(0)]
    )
    thirds = thirds[~np.isnan(thirds)]
    return float(np.sqrt(np.mean(thirds**2) / 20)) if len(thirds) else float("nan")


def _centre(values: np.ndarray, alphas: np.ndarray, betas: np.ndarray) -> float:
    if not (alphas == 0).any() or not (betas == 0).any():
        raise ValueError("the grid doesn't hold its centre (0, 0): take an odd number of points, symmetric about 0")
    return float(values[alphas == 0][:, betas == 0][0, 0])


def _halves(alphas: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The indices of the points on either side, from the centre outwards."""
    zero = int(np.flatnonzero(alphas == 0)[0])
    return np.arange(zero, len(alphas)), np.arange(zero, -1, -1)


def _crossing(coordinates: np.ndarray, heights: np.ndarray, rise: float) -> tuple[float, bool]:
    """The distance from the first point at which the height first reaches ``rise``."""
    above = np.flatnonzero(~(heights < rise))  # nan is not below
    if not len(above):
        return abs(coordinates[-1]), False
    after = above[0]
    low, high = heights[after - 1], heights[after]
    part = (rise - low) / (high - low) if np.isfinite(high) else 0.0
    return abs(coordinates[after - 1] + part * (coordinates[after] - coordinates[after - 1])), True


def _interpolated(heights: np.ndarray, alphas: np.ndarray, betas: np.ndarray, points: np.ndarray) -> np.ndarray:
    from scipy.interpolate import RegularGridInterpolator

    return RegularGridInterpolator((alphas, betas), heights)(points)
