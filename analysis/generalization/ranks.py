"""Kendall's τ-b of a measure with the gap over pairs of networks, also given other measures, and its p.

τ-b is the cosine of two vectors of signs, one entry a pair. The partial τ given z is the cosine of what is left of them
when the signs of z are projected out; for one z that is Kendall's (1942)

    τ_xy·z = (τ_xy − τ_xz τ_yz) / √((1 − τ_xz²)(1 − τ_yz²))

and for several the same applied again, −P_xy/√(P_xx P_yy) with P the inverse of the matrix of all τ (Kendall, Gibbons
1990, chapter 8; Kim 2015). What ranks can't take away stays: it is no proof that nothing else is behind it.

Intervals are over seeds for these settings (:mod:`analysis.compare.rank_interval`). ``p`` is how often |τ| is as large
when the gap's seeds, as wholes, and its settings, where there are three or more, are dealt anew: it asks whether a
measure and a gap that both follow the settings have anything to do with each other, while an interval over seeds takes
the settings as they are.
"""

import numpy as np
from jaxtyping import Float, Int

from ..compare.exchange import Exchanges, exchanges
from .pairs import Pairs

_BLOCK = 2 * 10**7  # entries at once


def tau(pairs: Pairs, *signs: Float[np.ndarray, " pair"]) -> Float[np.ndarray, " leaving"]:
    """τ-b of the first two of ``signs``, given the others; then without each group of seeds.

    NaN where it isn't defined. Pairs of which one sign is unknown are left out.
    """
    there = ~np.isnan(np.sum(signs, axis=0))
    own, some = (pairs, signs) if there.all() else (pairs.chosen(there), [one[there] for one in signs])
    size = len(some)
    gram = np.empty((own.groups + 1, size, size))
    for row in range(size):
        for column in range(row, size):
            gram[:, row, column] = gram[:, column, row] = own.sums(some[row] * some[column])
    return np.array([_cosine(one) for one in gram])


def _cosine(gram: Float[np.ndarray, "sign sign"]) -> float:
    """Of the first two vectors, without what lies along the others."""
    lengths = np.sqrt(np.diag(gram))
    if (lengths[:2] == 0).any():
        return np.nan
    gram = gram / np.outer(lengths, lengths) if lengths.all() else gram
    others = gram[2:, 2:]
    rest = gram[:2, :2] - gram[:2, 2:] @ np.linalg.pinv(others, hermitian=True) @ gram[2:, :2]
    product = rest[0, 0] * rest[1, 1]
    if product <= 1e-12 * gram[0, 0] * gram[1, 1]:
        return np.nan
    return float(np.clip(rest[0, 1] / np.sqrt(product), -1.0, 1.0))


def p_values(
    gap: Float[np.ndarray, " network"],
    signs: Float[np.ndarray, "measure pair"],
    pairs: Pairs,
    settings: Int[np.ndarray, " network"],
    *,
    deals: int,
    seed: int,
) -> Float[np.ndarray, " measure"]:
    """The p of each measure's τ, from the signs of its differences; gap and measures are known of every network.

    Raises ValueError where two networks have setting and seed in common.
    """
    dealt = deal(settings, pairs.seeds, most=deals, seed=seed)
    found, far = np.abs(signs @ pairs.signs(gap)), np.zeros(len(signs), int)
    size = max(1, _BLOCK // max(1, len(pairs.first)))
    for start in range(0, len(dealt.order), size):
        others = np.array([pairs.signs(gap[order]) for order in dealt.order[start : start + size]])
        far += (np.abs(signs @ others.T) >= found[:, None] - 0.5).sum(1)
    return np.array([dealt.p(int(count)) for count in far])


def deal(
    settings: Int[np.ndarray, " network"], seeds: Int[np.ndarray, " network"], *, most: int, seed: int
) -> Exchanges:
    """Which network stands in for each: seeds are dealt as wholes, and settings where there are three or more."""
    labels = settings.tolist(), seeds.tolist()
    return exchanges(*labels, of_methods=len(set(labels[0])) > 2, most=most, seed=seed)
