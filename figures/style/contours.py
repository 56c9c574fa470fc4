"""Filled contours with labelled lines, and the levels that panels share.

Levels are 0.1, 0.6, 1.1 … as in Figure 2 (Deng et al. 2022) where they fit the data, and the same ladder in another
step where they don't.
"""

import numpy as np
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.contour import QuadContourSet

from .look import PAPER, SMALL

_STEPS = sorted((m * 10.0**e for e in range(-6, 7) for m in (1, 2, 5)), key=lambda step: abs(np.log(step / 0.5)))


def ladder(values: np.ndarray, *, fewest: int = 5, most: int = 24) -> np.ndarray:
    """Contour levels for all ``values`` together: step/5, step/5 + step, …, of which ``fewest`` to ``most`` fit.

    The step is 0.5 (the paper's levels 0.1, 0.6, 1.1 …) or the nearest of 1, 2, 5 × 10ⁿ that gives so many. The highest
    hundredth of the values does not stretch the ladder. A flat surface gets two levels around it.
    """
    finite = values[np.isfinite(values)]
    low, high = float(finite.min()), float(np.quantile(finite, 0.99))
    for step in _STEPS:
        first = max(0, int(np.ceil((low - step / 5) / step)))
        count = int(np.floor((high - step / 5) / step)) - first + 1
        if fewest <= count <= most:
            return step / 5 + step * np.arange(first, first + count)
    margin = 0.1 * abs(low) or 0.1
    return np.array([low - margin, low + margin])


def contours(ax: Axes, alphas: np.ndarray, betas: np.ndarray, mean: np.ndarray, levels: np.ndarray) -> QuadContourSet:
    """Filled contours with labelled lines. An infinite point has the last colour and the sign ∞, a missing one none."""
    values = np.clip(np.ma.masked_invalid(np.where(np.isposinf(mean), 1e300, mean)), None, _beyond(levels))
    filled = ax.contourf(alphas, betas, values, levels=levels, cmap="viridis", extend="both")
    reached = levels[(levels > values.min()) & (levels < values.max())]
    if len(reached):
        lines = ax.contour(alphas, betas, values, levels=reached, colors="black", linewidths=0.4, alpha=0.7)
        named = np.intersect1d(reached, levels[1 :: 1 + len(levels) // 11])
        _label(ax, lines, named)
    rows, columns = np.nonzero(np.isposinf(mean))
    if len(rows):
        halo = [patheffects.withStroke(linewidth=1.2, foreground=PAPER)]
        ax.plot(
            alphas[columns], betas[rows], linestyle="none", marker=r"$\infty$", color="black", markersize=5,
            markeredgewidth=0.3, path_effects=halo, label="_infinite",
        )  # fmt: skip
    return filled


def _label(ax: Axes, lines: QuadContourSet, levels: np.ndarray) -> None:
    """Write the values of ``levels`` on their lines, leaving out what would come too close to another."""
    halo = [patheffects.withStroke(linewidth=1.5, foreground=PAPER, alpha=0.8)]
    apart, kept = 0.14 * np.ptp(ax.get_xlim()), [np.full(2, np.inf)]
    low, high = np.transpose([ax.get_xlim(), ax.get_ylim()])
    for text in ax.clabel(lines, levels, fontsize=SMALL, fmt="%.3g", inline=False):
        place = np.array(text.get_position())
        edge = np.minimum(place - low, high - place).min()  # a label there would be cut off
        if edge < 0.3 * apart or min(np.linalg.norm(place - other) for other in kept) < apart:
            text.remove()
            continue
        kept.append(place)
        text.set(color="black", alpha=1.0, path_effects=halo)


def _beyond(levels: np.ndarray) -> float:
    """High enough to be off the scale, low enough to leave the contours inside it in place."""
    return float(levels[-1] + (levels[-1] - levels[0]))
