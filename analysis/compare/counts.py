"""Is "flatter in 30 of 40 rows" more than chance, when most rows measure the same thing again?

Each row, a measure, is called for a side by its own 95 % interval, and chance alone calls 5 % of them. How many at once
is another matter: where one is called by chance, so are those like it. So the chance of a count is taken over all rows
together, where no row differs: residuals, which are the differences without their mean over pairs, are made into
differences anew, whole pairs at a time so that rows keep what they have to do with each other, and are called again by
their intervals. ``how`` says by what:

- **sign flips**, with 8 pairs (256 flips) or more: each pair's residuals are kept or turned round, in all rows (a wild
  bootstrap: Liu 1988; Davidson, Flachaire 2008). All flips there are, beyond 14 pairs a sample of them.
- **draws**, with fewer (5 pairs have 32 flips) or unpaired: normal deviates, as many as there were pairs, with the
  residuals' own correlations between rows, and from them Student's or Welch's t with their degrees of freedom.

The p of a side is the chance that *either* gets as many as it has, so that looking at both costs nothing::

    p = (1 + #{max(above*, below*) ≥ count}) / (1 + #)

Simulated with 40 rows correlated as a demo's measures of flatness (normal), p ≤ 5 % where nothing differs comes in 2.6,
2.8 and 4.4 % of cases with 3, 5 and 10 pairs (skewed as an exponential, in up to 8 %). Where 30 of the rows differ by
one standard deviation of their differences it comes in 52 % with 5 pairs and in 89 % with 8; by two, in 71 % with 3.

Easy to get wrong:

- Flips of the differences themselves are exact, and blind to large effects: where all rows differ by much, one pair
  turned round leaves a t that is still called, in all rows, and of 8 pairs that makes p 18/256.
- Correlations from few pairs scatter, and ask to be shrunk (Ledoit, Wolf 2004; Schäfer, Strimmer 2005). But shrunk rows
  hang together less than they do, and chance's counts come out too small: the same simulation gave 9 to 11 %.
  Unshrunk they err to the other side. So they are left as they are.
- A small p says that some rows differ: not that all those called do, nor that each is a witness of its own.

What 5 pairs can't do: tell whether residuals are normal, on which draws rest; see more than four directions in which
rows move together; make the count of one row, or of rows that are all the same, surer than 5 %, which is what chance
calls of them (so it is with any number of pairs). What is small beside a row's spread over seeds is missed.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import special

HEADLINES = {
    "flatness": "average_rise[0.2]",
    "robustness": "accuracy_under[weight_noise,up to 0.4]",
}
"""Measure of the row that speaks first on each side, whatever the others say, under the first loss; and why this one.

- flatness: the loss itself and no derivative, which for a spike is its surrogate's; noise relative to each filter, so
  that rescaling weights before a BatchNorm changes nothing; an average, which draws estimate without bias, where a
  worst case is what a search has found. Of the default radii 0.05, 0.1, 0.2, 0.5 the nearest to their middle on a log
  scale, and the strength of noise at which robustness is quoted. The first loss, SDT's, is that of the mean output, by
  which a network is used however it was trained; each method's own loss would measure with two rules.
- robustness: what a user loses, accuracy on test images; under the same noise; over the whole curve, so that no
  strength is picked. Not the accuracy *lost* to it, in which a network that starts worse looks better.

The rise of a loss grows with the scale of the logits, accuracy doesn't: the two may well disagree.
"""
_PAIRS = 8
_ALL = 14
_BLOCK = 10**6
_FREEDOM = 4  # below it correlations between rows are noise


@dataclass(frozen=True)
class Count:
    """Rows called for each side, and what chance makes of it.

    ``rows`` have an interval, ``above`` and ``below`` one that lies so to zero; ``p_above``, ``p_below``: the chance,
    where no row differs, that the side with more has at least as many; ``percentile``: the 95th of what it then has.
    ``stderr``: the Monte Carlo error of the smaller p over ``samples`` flips or draws, 0 where all flips were taken.
    ``how``: "all sign flips", "sign flips", "draws". ``independent``: :func:`effective_number`.
    """

    rows: int
    above: int
    below: int
    p_above: float
    p_below: float
    percentile: int
    stderr: float
    samples: int
    how: str
    independent: float


def paired_count(
    differences: Float[np.ndarray, "row pair"],
    *,
    called: Int[np.ndarray, " row"] | None = None,
    draws: int = 9999,
    seed: int = 0,
) -> Count:
    """Rows called by Student's interval of their differences, one column a pair, all rows oriented alike.

    NaN where a pair lacks a row. Rows with an infinite difference or fewer than two pairs have no interval and are left
    out. ``called`` (1, −1 or 0 a row) are the verdicts where intervals are made otherwise; the null keeps Student's, so
    that they must not be narrower than his. Flips need 8 pairs in every row that counts.

    Raises ValueError where no row has an interval, or for a verdict on one that has none.
    """
    return _counted([differences], called, draws, seed)


def unpaired_count(
    reference: Float[np.ndarray, "row n"],
    method: Float[np.ndarray, "row m"],
    *,
    called: Int[np.ndarray, " row"] | None = None,
    draws: int = 9999,
    seed: int = 0,
) -> Count:
    """Rows called by Welch's interval of method − reference, one column a subject, all rows oriented alike.

    The null is always draws, as there is nothing to flip: with correlations pooled within the groups, and each row's
    spread in each group its own. The rest as in :func:`paired_count`, with two values a group for two pairs.
    """
    return _counted([-reference, method], called, draws, seed)


def effective_number(residuals: Float[np.ndarray, "row subject"], freedom: float) -> float:
    """How many independent rows hang together as much as these; ``residuals`` of length 1 a row. NaN below ν = 4.

        N = (Σ λ)² / Σ λ² = rows² / Σ r²          λ the eigenvalues of the rows' correlations r

    (Bretherton, Widmann, Dymnikov, Wallace, Bladé 1999.) From few pairs E r² = 1/ν where there is no correlation,
    ν the degrees of freedom, so that N couldn't exceed ν: (ν r² − 1) / (ν − 1) stands for r², as in an adjusted R²
    (Ezekiel 1930), and N is kept between 1 and the rows. It is rough, and from fewer than five pairs (ν < 4) no
    estimate at all: of 40 rows that are all correlated alike and worth 8, half of the time it comes out between 7.3
    and 15.7 with 10 pairs, between 7.7 and 25 with 5, and with 3 between 10 and 40, in 35 % of cases as all of the 40.
    """
    if freedom < _FREEDOM:
        return float("nan")
    rows = len(residuals)
    squares = (freedom * ((residuals @ residuals.T) ** 2).sum() - rows**2) / (freedom - 1)
    return float(rows**2 / np.clip(squares, rows, rows**2))


def _counted(
    groups: list[Float[np.ndarray, "row _subject"]], called: Int[np.ndarray, " row"] | None, draws: int, seed: int
) -> Count:
    if draws < 1:
        raise ValueError(f"draws must be 1 or more, not {draws}")
    tested = np.all([(np.isfinite(one).sum(1) >= 2) & ~np.isinf(one).any(1) for one in groups], axis=0)
    if not tested.any():
        raise ValueError("no row has an interval: each needs two finite pairs, or two finite values a group")
    groups = [one[tested] for one in groups]
    present = [~np.isnan(one) for one in groups]
    sides = _sides([np.nan_to_num(one) for one in groups], present) if called is None else _given(called, tested)
    generator = np.random.default_rng(seed)
    residuals, spreads = _residuals(groups, generator)
    if len(groups) == 1 and present[0].sum(1).min() >= _PAIRS:
        how, blocks = _flipped(residuals, draws, generator)
    else:
        how, blocks = "draws", _drawn(residuals, draws, generator)
    cuts = np.cumsum([one.shape[1] for one in groups])[:-1]
    most = np.concatenate([_most(_null(block, cuts, spreads, present)) for block in blocks])
    freedom = float(np.mean([sum(counts) for counts in zip(*(one.sum(1) - 1 for one in present), strict=True)]))
    return _summed(sides, most, how, effective_number(residuals, freedom))


def _given(called: Int[np.ndarray, " row"], tested: Bool[np.ndarray, " row"]) -> Int[np.ndarray, " _tested"]:
    if called.shape != tested.shape or not np.isin(called, (-1, 0, 1)).all():
        raise ValueError("called must hold 1, -1 or 0 for each row")
    if called[~tested].any():
        raise ValueError(f"row {np.flatnonzero(~tested & (called != 0))[0]} is called for a side, but has no interval")
    return called[tested]


def _sides(
    groups: list[Float[np.ndarray, "*draw row _subject"]], present: list[Bool[np.ndarray, "row _subject"]]
) -> Int[np.ndarray, "*draw row"]:
    """1 or −1 where the 95 % interval of the sum of the groups' means leaves zero out, else 0."""
    means, parts, squares = 0.0, 0.0, 0.0
    for values, there in zip(groups, present, strict=True):
        size = there.sum(-1)
        mean = (values * there).sum(-1) / size
        part = (((values - mean[..., None]) * there) ** 2).sum(-1) / (size - 1) / size
        means, parts, squares = means + mean, parts + part, squares + part**2 / (size - 1)
    with np.errstate(invalid="ignore", divide="ignore"):  # rows without spread
        freedom = parts**2 / squares if len(groups) > 1 else size - 1.0
        outside = special.stdtr(freedom, -np.abs(means) / np.sqrt(parts)) < 0.025
    return np.asarray(np.sign(means) * outside).astype(int)


def _residuals(
    groups: list[Float[np.ndarray, "row _subject"]], generator: np.random.Generator
) -> tuple[Float[np.ndarray, "row subject"], list[Float[np.ndarray, " row"]]]:
    """What is left without each group's mean, over its spread, 0 where nothing is there, of length 1; and the spreads.

    A row without any spread gets deviates of its own: in the null it is one that hangs together with no other.
    """
    spreads = [np.nanstd(one, axis=1, ddof=1) for one in groups]
    parts = [
        np.nan_to_num((one - np.nanmean(one, axis=1, keepdims=True)) / np.where(spread, spread, 1)[:, None])
        for one, spread in zip(groups, spreads, strict=True)
    ]
    residuals, flat = np.hstack(parts), ~np.any(spreads, axis=0)
    own = generator.normal(size=residuals[flat].shape)
    residuals[flat] = own - own.mean(1, keepdims=True)
    spreads = [np.where(flat, 1.0, spread) for spread in spreads]
    return residuals / np.linalg.norm(residuals, axis=1, keepdims=True), spreads


def _flipped(
    residuals: Float[np.ndarray, "row pair"], draws: int, generator: np.random.Generator
) -> tuple[str, Iterator[Float[np.ndarray, "_flip row pair"]]]:
    """Residuals under flips of pairs; of all flips the half that leaves the last pair alone, as the rest mirrors it."""
    pairs = residuals.shape[1]
    if pairs <= _ALL:
        how, signs = "all sign flips", 1.0 - 2 * (np.arange(2 ** (pairs - 1))[:, None] >> np.arange(pairs) & 1)
    else:
        how, signs = "sign flips", generator.choice([-1.0, 1.0], (draws, pairs))
    size = max(1, _BLOCK // residuals.size)
    return how, (signs[start : start + size, None] * residuals for start in range(0, len(signs), size))


def _drawn(
    residuals: Float[np.ndarray, "row subject"], draws: int, generator: np.random.Generator
) -> Iterator[Float[np.ndarray, "_draw row subject"]]:
    """Standard normal deviates that are independent between subjects and correlated as residuals between rows."""
    subjects = residuals.shape[1]
    size = max(1, _BLOCK // (max(residuals.shape) * subjects))
    for start in range(0, draws, size):
        yield residuals @ generator.normal(size=(min(size, draws - start), subjects, subjects))


def _null(
    block: Float[np.ndarray, "draw row subject"],
    cuts: Int[np.ndarray, " _cut"],
    spreads: list[Float[np.ndarray, " row"]],
    present: list[Bool[np.ndarray, "row _subject"]],
) -> Int[np.ndarray, "draw row"]:
    parts = np.split(block, cuts, axis=2)
    return _sides([part * spread[:, None] for part, spread in zip(parts, spreads, strict=True)], present)


def _most(sides: Int[np.ndarray, "draw row"]) -> Int[np.ndarray, " draw"]:
    """Rows called for the side that has more."""
    return np.maximum((sides > 0).sum(1), (sides < 0).sum(1))


def _summed(sides: Int[np.ndarray, " row"], most: Int[np.ndarray, " draw"], how: str, independent: float) -> Count:
    above, below = int((sides > 0).sum()), int((sides < 0).sum())
    p_above, p_below = (float((1 + (most >= side).sum()) / (1 + len(most))) for side in (above, below))
    p = min(p_above, p_below)
    return Count(
        rows=len(sides), above=above, below=below, p_above=p_above, p_below=p_below,
        percentile=int(np.quantile(most, 0.95, method="inverted_cdf")),
        stderr=0.0 if how == "all sign flips" else float(np.sqrt(p * (1 - p) / len(most))),
        samples=len(most), how=how, independent=independent,
    )  # fmt: skip
