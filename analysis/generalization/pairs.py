"""All pairs of a sweep's networks, each once: in which factors they differ, and of which seeds they are.

Every statistic here is made of signs of differences over pairs. To leave out a seed is to leave out the pairs that have
a network of it; where there are more than twenty seeds, groups of them are left out in turn (the delete-a-group
jackknife, Kott 2001).
"""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from .sweep import Sweep

_GROUPS = 20


@dataclass(frozen=True)
class Pairs:
    """Pairs ``first`` < ``second`` of networks. ``alone`` is the one factor in which they differ, −1 for more or none.

    ``block`` = a·groups + b says of which groups of seeds they are; ``levels`` are the factors' codes by network.
    """

    first: Int[np.ndarray, " pair"]
    second: Int[np.ndarray, " pair"]
    alone: Int[np.ndarray, " pair"]
    same_seed: Bool[np.ndarray, " pair"]
    block: Int[np.ndarray, " pair"]
    groups: int
    levels: Int[np.ndarray, "network factor"]
    seeds: Int[np.ndarray, " network"]

    def chosen(self, kept: Bool[np.ndarray, " pair"]) -> "Pairs":
        """Some of the pairs."""
        return replace(
            self, first=self.first[kept], second=self.second[kept], alone=self.alone[kept],
            same_seed=self.same_seed[kept], block=self.block[kept],
        )  # fmt: skip

    def without(self, group: int) -> Bool[np.ndarray, " pair"]:
        """The pairs without a network of that group of seeds; all for −1."""
        return (self.block // self.groups != group) & (self.block % self.groups != group)

    def signs(self, values: Shaped[np.ndarray, " network"]) -> Float[np.ndarray, " pair"]:
        """1, 0 or −1 as the first of a pair is more than, the same as or less than the second; NaN where unknown.

        Two infinite values of one sign are the same.
        """
        one, other = values[self.first], values[self.second]
        found = (one > other).astype(np.float32) - (one < other)
        found[np.isnan(one) | np.isnan(other)] = np.nan
        return found

    def sums(self, quantity: Shaped[np.ndarray, " pair"]) -> Float[np.ndarray, " leaving"]:
        """The sum of ``quantity`` over all pairs, then over those without each group of seeds."""
        square = np.bincount(self.block, quantity, self.groups**2).reshape(self.groups, self.groups)
        return left_out(square)


def left_out(blocks: Float[np.ndarray, "group _group ..."]) -> Float[np.ndarray, "leaving ..."]:
    """Totals of what is summed by pairs of groups: the whole, then what is left without each group."""
    whole, diagonal = blocks.sum((0, 1)), np.einsum("aa...->a...", blocks)
    return np.concatenate([whole[None], whole - blocks.sum(0) - blocks.sum(1) + diagonal])


def pairs_of(sweep: Sweep, *, within: bool = False) -> Pairs:
    """The pairs of the sweep's networks; ``within``: those of one method only."""
    levels = np.column_stack([sweep.levels[name].factorize()[0] for name in sweep.levels])
    first, second = np.triu_indices(len(levels), 1)
    differ = levels[first] != levels[second]
    alone = np.where(differ.sum(1) == 1, differ.argmax(1), -1)
    seeds, codes = np.unique(sweep.seeds, return_inverse=True)
    groups = min(len(seeds), _GROUPS)
    group = codes % groups
    found = Pairs(
        first, second, alone, codes[first] == codes[second], group[first] * groups + group[second], groups, levels,
        sweep.seeds,
    )  # fmt: skip
    methods = np.array(sweep.methods)
    return found.chosen(methods[first] == methods[second]) if within else found
