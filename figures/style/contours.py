"""Filled contours with labelled lines, and the levels that panels share.

Levels of a loss are 0.1, 0.6, 1.1 … as in Figure 2 (Deng et al. 2022) where they fit the data, and the same ladder in
another step where they don't. Those of a rise are 1, 2 and 5 times powers of ten: a rise grows with the square of the
distance, and equal steps would leave all that is near a minimum in one colour. Those of a difference are as far below
zero as above. Lines are of a cubic spline through the grid's points, where all are finite.
"""

import numpy as np
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.contour import QuadContourSet
from matplotlib.figure import Figure
from scipy.interpolate import RectBivariateSpline

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
    _infinite(ax, alphas, betas, mean)
    return filled


def _infinite(ax: Axes, alphas: np.ndarray, betas: np.ndarray, mean: np.ndarray) -> None:
    """The sign ∞ at each infinite point."""
    rows, columns = np.nonzero(np.isposinf(mean))
    if len(rows):
        halo = [patheffects.withStroke(linewidth=1.2, foreground=PAPER)]
        ax.plot(
            alphas[columns], betas[rows], linestyle="none", marker=r"$\infty$", color="black", markersize=5,
            markeredgewidth=0.3, path_effects=halo, label="_infinite",
        )  # fmt: skip


def geometric(values: np.ndarray, *, most: int = 12) -> np.ndarray:
    """Levels of rises: 1, 2 and 5 times powers of ten from the least to the last hundredth, thinned to ``most``.

    Of a thousandth of the highest at least. At least two levels; of values none of which is positive and finite, 0.01,
    0.1 and 1.
    """
    positive = values[np.isfinite(values) & (values > 0)]
    if not len(positive):
        return np.array([0.01, 0.1, 1.0])
    high = float(np.quantile(positive, 0.99))
    low = max(float(positive.min()), high / 1000)
    powers = np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)) + 1)
    for factors in ((1, 2, 5), (1, 3), (1,)):
        every = np.array([round(factor * 10.0**power, 12) for power in powers for factor in factors])
        inside = every[(every >= low) & (every <= high)]
        if len(inside) <= most:
            break
    if len(inside) < 2:
        inside = np.array([every[every <= low].max(initial=every[0]), every[every > low].min(initial=every[-1])])
    return np.unique(inside) if len(np.unique(inside)) > 1 else np.array([0.5, 2.0]) * inside[0]


def symmetric(values: np.ndarray, *, most: int = 4) -> np.ndarray:
    """Levels of differences: −most·step … most·step at most, the step 1, 2 or 5 times a power of ten."""
    finite = np.abs(values[np.isfinite(values)])
    high = float(np.quantile(finite, 0.99)) if len(finite) else 0.0
    step = next((step for step in sorted(_STEPS) if step * most >= high), max(_STEPS))
    count = max(1, int(np.ceil(high / step - 1e-9)))
    return step * np.arange(-count, count + 1)


def smooth(
    alphas: np.ndarray, betas: np.ndarray, values: np.ndarray, *, fewest: int = 97
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The grid as finely as ``fewest`` points a side, by a cubic spline; as it is where not all values are finite."""
    if not np.isfinite(values).all() or min(values.shape) < 4:
        return alphas, betas, values
    fine = [np.linspace(axis[0], axis[-1], max(fewest, len(axis))) for axis in (alphas, betas)]
    return fine[0], fine[1], RectBivariateSpline(betas, alphas, values)(fine[1], fine[0])


def rises(ax: Axes, alphas: np.ndarray, betas: np.ndarray, mean: np.ndarray, levels: np.ndarray) -> QuadContourSet:
    """Filled contours of a rise on levels of :func:`geometric`; what is lower than the first has one colour."""
    at = smooth(alphas, betas, mean)
    known = np.ma.masked_invalid(np.where(np.isposinf(at[2]), 1e300, at[2]))
    values: np.ndarray = np.clip(known, levels[0] / 10, levels[-1] * 10)
    norm = LogNorm(levels[0], levels[-1])
    filled = ax.contourf(at[0], at[1], values, levels=levels, cmap="viridis", norm=norm, extend="both")
    reached = levels[(levels > values.min()) & (levels < values.max())]
    if len(reached):
        _label(ax, ax.contour(at[0], at[1], values, levels=reached, colors="black", linewidths=0.4, alpha=0.7), reached)
    _infinite(ax, alphas, betas, mean)
    return filled


def differences(
    ax: Axes, alphas: np.ndarray, betas: np.ndarray, mean: np.ndarray, levels: np.ndarray, decided: np.ndarray
) -> QuadContourSet:
    """Filled contours of a difference on levels of :func:`symmetric`, hatched where it isn't ``decided``.

    Lines below zero are dashed: without colours both sides are as dark.
    """
    at = smooth(alphas, betas, mean)
    values = np.ma.masked_invalid(at[2])
    filled = ax.contourf(at[0], at[1], values, levels=levels, cmap="PuOr_r", extend="both")
    if not decided.all():
        veil = np.where(decided, 0.0, 1.0)
        ax.contourf(alphas, betas, veil, levels=[0.5, 1.5], colors=PAPER, alpha=0.45)
        ax.contourf(alphas, betas, veil, levels=[0.5, 1.5], colors="none", hatches=["//////"])
    reached = levels[(levels > values.min()) & (levels < values.max())]
    if len(reached):
        widths = [1.0 if level == 0 else 0.4 for level in reached]
        dashes = [(0, (4, 2)) if level < 0 else "solid" for level in reached]
        lines = ax.contour(
            at[0], at[1], values, levels=reached, colors="black", linewidths=widths, linestyles=dashes, alpha=0.8
        )
        _label(ax, lines, reached)
    return filled


def _label(ax: Axes, lines: QuadContourSet, levels: np.ndarray) -> None:
    """Write the values of ``levels`` on their lines, leaving out what would come too close to another or its line."""
    halo = [patheffects.withStroke(linewidth=1.5, foreground=PAPER, alpha=0.8)]
    figure = ax.get_figure()
    inches = ax.get_position().width * (figure.get_figwidth() if isinstance(figure, Figure) else 1.0)
    apart, kept = max(0.14, 0.34 / inches) * np.ptp(ax.get_xlim()), [np.full(2, np.inf)]
    low, high = np.transpose([ax.get_xlim(), ax.get_ylim()])
    near = 0.35 * SMALL / 72 / inches * np.ptp(ax.get_xlim())  # of the middle of a label: there it would be struck out
    for text in ax.clabel(lines, levels, fontsize=SMALL, fmt=_number, inline=False):
        place = np.array(text.get_position())
        edge = np.minimum(place - low, high - place).min()  # a label there would be cut off
        close = min(np.linalg.norm(place - other) for other in kept) < apart
        if close or edge < 0.5 * apart or _beside(lines, text.get_text(), place) < near:
            text.remove()
            continue
        kept.append(place)
        text.set(color="black", alpha=1.0, path_effects=halo)


def _beside(lines: QuadContourSet, own: str, place: np.ndarray) -> float:
    """How far it is from ``place`` to the next line of another level than its ``own``."""
    others = [
        part
        for level, parts in zip(lines.levels, lines.allsegs, strict=True)
        if _number(level) != own
        for part in parts
    ]
    return min((float(np.linalg.norm(part - place, axis=1).min()) for part in others if len(part)), default=np.inf)


def _number(level: float) -> str:
    return f"{level:.3g}".replace("-", "−")


def _beyond(levels: np.ndarray) -> float:
    """High enough to be off the scale, low enough to leave the contours inside it in place."""
    return float(levels[-1] + (levels[-1] - levels[0]))
