"""Which subjects may stand in for which, where nothing but chance ties a measure to a gap.

Subjects come as seeds × methods, and those of one seed share their initial weights and batches. So a deal moves a seed
as a whole: every method takes seed π(s) for seed s. Where the methods too are exchanged, method σ(m) stands in for
method m at all seeds. If the two-way array of gaps is exchangeable in its seeds (and methods) apart from the measure,
each of these deals is as likely as what was seen, and a test that counts them has its nominal size, whatever subjects
of a seed or of a method have in common.

Where cells are missing, only deals count that map the subjects that are there onto themselves: seeds stand in for each
other if the same methods have them; methods if swapping them leaves as many seeds of every kind. Methods without a seed
in common are then dealt each on its own, as independent subjects are; and with one method, or one seed, what is left is
the plain permutation of all subjects.
"""

import math
from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, permutations, product

import numpy as np
from jaxtyping import Bool, Int


@dataclass(frozen=True)
class Exchanges:
    """Deals, one a row: subject ``order[deal, i]`` stands in for subject i.

    ``exhaustive``: these are all there are, the identity among them; otherwise they are drawn, and it need not be.
    """

    order: Int[np.ndarray, "deal n"]
    exhaustive: bool

    def p(self, far: int) -> float:
        """The p-value where ``far`` deals are as extreme as what was seen; never 0."""
        return far / len(self.order) if self.exhaustive else (1 + far) / (1 + len(self.order))


def exchanges(
    methods: Sequence[Hashable], seeds: Sequence[Hashable], *, of_methods: bool, most: int, seed: int
) -> Exchanges:
    """All deals of the subjects labelled so, or, if there are more than ``most``, so many drawn.

    Methods are exchanged only if ``of_methods``. Raises ValueError where two subjects have method and seed in common.
    """
    place = _place(methods, seeds)
    present = place >= 0
    kinds = _alike(present) if of_methods else [[method] for method in range(len(place))]
    ordered = np.lexsort(present)
    keys = present[:, ordered].T.tolist()
    runs = [[number for number, _ in run] for _, run in groupby(enumerate(keys), key=lambda pair: pair[1])]
    exhaustive = math.prod(math.factorial(len(part)) for part in (*kinds, *runs)) <= most
    choices: Iterator[Sequence[Sequence[int]]]
    if exhaustive:
        choices = product(*(permutations(part) for part in (*kinds, *runs)))
    else:
        generator = np.random.default_rng(seed)
        choices = ([generator.permutation(part).tolist() for part in (*kinds, *runs)] for _ in range(most))
    order = [_deal(place, kinds, ordered, choice) for choice in choices]
    return Exchanges(np.array(order), exhaustive)


def _place(methods: Sequence[Hashable], seeds: Sequence[Hashable]) -> Int[np.ndarray, "method seed"]:
    """Which subject has which method and seed; −1 where there is none."""
    rows, columns = ({name: at for at, name in enumerate(dict.fromkeys(labels))} for labels in (methods, seeds))
    place = np.full((len(rows), len(columns)), -1)
    for subject, (method, of) in enumerate(zip(methods, seeds, strict=True)):
        if place[rows[method], columns[of]] >= 0:
            raise ValueError(f"two subjects of method {method} have seed {of}")
        place[rows[method], columns[of]] = subject
    return place


def _alike(present: Bool[np.ndarray, "method seed"]) -> list[list[int]]:
    """Methods any two of which can be swapped; that two can be is transitive, the swaps being a group."""
    kinds: list[list[int]] = []
    counted = Counter(map(tuple, present.T.tolist()))
    for method in range(len(present)):
        for kind in kinds:
            swapped = present.copy()
            swapped[[kind[0], method]] = present[[method, kind[0]]]
            if Counter(map(tuple, swapped.T.tolist())) == counted:
                kind.append(method)
                break
        else:
            kinds.append([method])
    return kinds


def _deal(
    place: Int[np.ndarray, "method seed"],
    kinds: list[list[int]],
    ordered: Int[np.ndarray, " seed"],
    choice: Sequence[Sequence[int]],
) -> Int[np.ndarray, " n"]:
    """One deal: methods permuted within ``kinds``, then seeds matched that have the same methods.

    ``choice`` has the permuted members of each kind, then of each run of like seeds, as places in ``ordered``.
    """
    sigma = np.arange(len(place))
    for kind, chosen in zip(kinds, choice, strict=False):
        sigma[kind] = chosen
    moved = place[sigma]
    taken = np.empty_like(ordered)
    taken[ordered] = np.lexsort(moved >= 0)[np.concatenate(choice[len(kinds) :]).astype(int)]
    order = np.empty((place >= 0).sum(), int)
    order[place[place >= 0]] = moved[:, taken][place >= 0]
    return order
