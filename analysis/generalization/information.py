"""What a measure's order tells of the gap's where hyperparameters are known (Jiang et al. 2020, section 4.3).

Over ordered pairs of networks, V_g is the sign of the gaps' difference, V_μ that of the measure's, and U_S the levels
of every factor in S, of the one network and of the other, as in the scoring program of Jiang et al.'s competition
(2020)::

    Î(S) = I(V_μ; V_g | U_S) / H(V_g | U_S)
    I    = Σ_u p(u) Σ p(v_μ, v_g | u) log( p(v_μ, v_g | u) / (p(v_μ | u) p(v_g | u)) )
    K    = min over S of at most two factors of Î(S)

A measure that only follows the factors in S tells nothing once they are given. K is in 0 … 1, and 1 where the measure's
order always gives the gap's *or always its reverse*: it has no side. Pairs with equal gaps are left out; a tie of the
measure is a third value of V_μ. A set S that gives the gap's order without any measure (H = 0) is passed over.

These are plug-in estimates, which are above zero for noise too, and the smaller the cells the more. ``chance`` is the
95th percentile of K for the gap itself dealt anew, its seeds and its settings as wholes
(:mod:`analysis.compare.exchange`). The interval over seeds says how far K moves with them, and is no test of zero.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from jaxtyping import Bool, Float, Int

from .pairs import Pairs, left_out

Given = tuple[int, ...]
_LARGEST = 2  # factors in S


@dataclass(frozen=True)
class Cells:
    """The values of U_S for the pairs of a gap, ``kept``: places of V_μ = −1 in the table of counts, by group and cell.

    ``turn`` is −1 where a pair is turned round for its cell; ``equal`` says which cells are of equal levels.
    """

    kept: Int[np.ndarray, " kept"]
    place: Int[np.ndarray, " kept"]
    turn: Int[np.ndarray, " kept"]
    equal: Bool[np.ndarray, " cell"]
    groups: int


def cells_of(pairs: Pairs, given: Given, gap: Float[np.ndarray, " pair"]) -> Cells:
    """The cells of a set of factors, for the signs of a gap's differences.

    A pair stands for both of its orders, of which the one with the lower levels first will do.
    """
    kept = np.flatnonzero(~np.isnan(gap) & (gap != 0))
    levels = pairs.levels[:, given] if given else np.zeros((len(pairs.levels), 1), int)
    codes = np.unique(levels, axis=0, return_inverse=True)[1].ravel()
    one, other = codes[pairs.first[kept]], codes[pairs.second[kept]]
    size = int(codes.max()) + 1
    low, high = np.minimum(one, other), np.maximum(one, other)
    values, cell = np.unique(low * size + high, return_inverse=True)
    turn = np.where(one > other, -1, 1)
    place = (pairs.block[kept] * len(values) + cell.ravel()) * 6 + (gap[kept] * turn > 0)
    return Cells(kept, place, turn, values // size == values % size, pairs.groups)


def sets(factors: int) -> Iterator[Given]:
    """All sets of at most two factors."""
    for size in range(_LARGEST + 1):
        yield from combinations(range(factors), size)


def information(measure: Float[np.ndarray, " pair"], of: Cells) -> Float[np.ndarray, " leaving"]:
    """Î(S) from the signs of a measure's differences, of all pairs, and without each group of seeds.

    NaN where no order of the gaps is left to tell.
    """
    ours, place, turn = measure[of.kept], of.place, of.turn
    there = ~np.isnan(ours)
    if not there.all():
        ours, place, turn = ours[there], place[there], turn[there]
    code = place + 2 * (ours.astype(int) * turn + 1)
    count, groups = len(of.equal), of.groups
    blocks = np.bincount(code, minlength=groups**2 * count * 6).reshape(groups, groups, count, 3, 2)
    table = left_out(blocks.astype(float))
    table[:, of.equal] = (table[:, of.equal] + table[:, of.equal, ::-1, ::-1]) / 2
    of_gap = _entropy(table.sum(2))
    told = of_gap + _entropy(table.sum(3)) - _entropy(table.reshape(*table.shape[:2], 6))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(of_gap.sum(1) > 0, told.sum(1) / of_gap.sum(1), np.nan)


def _entropy(counts: Float[np.ndarray, "leaving cell value"]) -> Float[np.ndarray, "leaving cell"]:
    """Entropy of the values of every cell times how many pairs the cell has, in nats."""
    total = counts.sum(-1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        parts = np.where(counts > 0, counts * np.log(counts / total), 0.0)
    return -parts.sum(-1)


def least(found: Mapping[Given, Float[np.ndarray, " leaving"]]) -> tuple[Float[np.ndarray, " leaving"], Given]:
    """K, and without each group of seeds, with the S that has it; NaN where no S has a value."""
    known = {given: values for given, values in found.items() if np.isfinite(values[0])}
    if not known:
        return np.array([np.nan]), ()
    return np.fmin.reduce(list(known.values())), min(known, key=lambda given: float(known[given][0]))
