"""ψ of a factor and Ψ, the granulated rank correlation (Jiang, Neyshabur, Mobahi, Krishnan, Bengio 2020, section 4.2).

    ψ_i = mean over contexts c of   Σ sgn(μ − μ') sgn(g − g') / number of pairs        pairs differ in factor i alone
    Ψ   = mean over factors i of    ψ_i

μ is the measure, g the gap. A context is a setting of all other factors and the seed, as they repeated their whole
experiment for each seed; where no two networks that differ in one factor have the same seed, contexts have all seeds. A
pair with equal gaps has no order to be found, and doesn't count (a context of such pairs alone, neither); a pair
that ties in the measure counts as 0. Without ties in the gap that is their τ.

Ψ is over these factors: few. Where a measure has nothing to do with the gap, but both follow a factor, ψ of that factor
is 1 or −1, and of five factors Ψ is then 0.45 from zero in the mean square. So look at each ψ: does its sign stay?
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from .pairs import Pairs


@dataclass(frozen=True)
class Psi:
    """ψ of one factor, and without each group of seeds, with the number of contexts and of pairs it is made of."""

    leaving: Float[np.ndarray, " leaving"]
    contexts: int
    pairs: int


def psi(measure: Float[np.ndarray, " pair"], gap: Float[np.ndarray, " pair"], pairs: Pairs, factor: int) -> Psi | None:
    """ψ of a factor (a number) from the signs of the measure's and the gap's differences; None where there is none."""
    chosen = pairs.alone == factor
    aligned = chosen & pairs.same_seed if (pairs.same_seed & (pairs.alone >= 0)).any() else chosen
    kept = aligned & ~np.isnan(measure) & ~np.isnan(gap) & (gap != 0)
    if not kept.any():
        return None
    own, agreed = pairs.chosen(kept), (measure * gap)[kept]
    contexts = _contexts(own, factor)
    found = [_mean(contexts, agreed, own.without(group)) for group in range(-1, pairs.groups)]
    return Psi(np.array(found), len(np.unique(contexts)), int(kept.sum()))


def _contexts(own: Pairs, factor: int) -> Int[np.ndarray, " pair"]:
    """A number for all other factors, and the seed where pairs have one."""
    others = np.delete(own.levels, factor, axis=1)[own.first]
    seeds = own.seeds[own.first][:, None] if own.same_seed.all() else np.zeros((len(others), 1), int)
    return np.unique(np.hstack([others, seeds]), axis=0, return_inverse=True)[1].ravel()


def _mean(
    contexts: Int[np.ndarray, " pair"], agreed: Float[np.ndarray, " pair"], kept: Bool[np.ndarray, " pair"]
) -> float:
    counts = np.bincount(contexts[kept])
    there = counts > 0
    if not there.any():
        return np.nan
    return float((np.bincount(contexts[kept], agreed[kept])[there] / counts[there]).mean())


def granulated(found: dict[int, Psi]) -> Float[np.ndarray, " leaving"]:
    """Ψ of the factors that have a ψ, and without each group of seeds; NaN where none has."""
    return np.mean([one.leaving for one in found.values()], axis=0) if found else np.array([np.nan])
