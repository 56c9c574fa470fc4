"""How many pairs two numbers put in the same order, less those that they don't, without a pass over the pairs.

Subjects have places by x. Two of them stand the other way round in y where the later place has the smaller y. Halve the
places again and again: the two part once, and are found there by how many of the right half come before the left one in
the order of y (Knight 1966, by merge sort). Whole numbers, exact; time is n log n and memory n, of n subjects. Of few
subjects all pairs are sooner passed over.
"""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float, Int, Num

FEW = 50


def agreement(
    x: Num[np.ndarray, " n"], y: Num[np.ndarray, " n"], groups: Int[np.ndarray, " n"]
) -> Int[np.ndarray, " n"]:
    """Of each subject, the sum of sign(x_i − x_j) sign(y_i − y_j) over the subjects j of its group.

    Equal values are tied, two infinite ones of one sign too.
    """
    alike, against = (_inverted(*sides) for sides in _sides(x, y[None], groups))
    return alike - against


def agreements(
    x: Num[np.ndarray, " n"], y: Num[np.ndarray, "deal n"], groups: Int[np.ndarray, " n"]
) -> Int[np.ndarray, " deal"]:
    """The sum over all subjects of what :func:`agreement` says, for each row of ``y``."""
    if len(x) <= FEW:
        first, second = np.nonzero(np.triu(groups[:, None] == groups, 1))
        ours, theirs = signs(x)[first, second], _ranks(y)
        return 2 * (np.sign(theirs[:, first] - theirs[:, second]) @ ours).astype(int)
    alike, against = (
        sum((later.sum((1, 2)) for _, later in _parting(_arranged(*sides)[1])), np.zeros(len(y), int))
        for sides in _sides(x, y, groups)
    )
    return 2 * (alike - against)


def untied(values: Num[np.ndarray, " n"], groups: Int[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
    """Of each subject, how many of its group have another value."""
    same = _by_group(values, groups)
    return np.bincount(groups)[groups] - np.bincount(same)[same]


def signs(values: Num[np.ndarray, " n"]) -> Float[np.ndarray, "n n"]:
    """sign(values_i − values_j) of all pairs."""
    return (values[:, None] > values).astype(float) - (values[:, None] < values)


def _sides(
    x: Num[np.ndarray, " n"], y: Num[np.ndarray, "deal n"], groups: Int[np.ndarray, " n"]
) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    """x and y as ranks, first with y from behind, whose inversions are pairs in order; groups stand apart, in order."""
    first, second = _by_group(x, groups), _ranks(y)
    count = second.max() + 1
    return (first, groups * count + count - 1 - second), (first, groups * count + second)


def _by_group(values: Num[np.ndarray, " n"], groups: Int[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
    """Ranks, groups first; the same where group and value are."""
    ranks = _ranks(values)
    return _ranks(groups * (ranks.max() + 1) + ranks)


def _ranks(values: Num[np.ndarray, "..."]) -> Int[np.ndarray, "..."]:
    return np.unique(values, return_inverse=True)[1].reshape(values.shape)


def _inverted(x: Int[np.ndarray, " n"], y: Int[np.ndarray, "1 n"]) -> Int[np.ndarray, " n"]:
    """Of each subject, how many others y puts the other way round than x does.

    Those are after it with a smaller y, or before it with a larger one; and how many more of the latter than of the
    former follows from its places by x and by y.
    """
    (subjects,), (places,) = _arranged(x, y)
    found = np.arange(len(places))
    found[places] -= np.arange(len(places))
    for left, later in _parting(places[None]):
        found[left] += 2 * later
    of_subject = np.empty_like(subjects)
    of_subject[subjects] = found[: len(subjects)]
    return of_subject


def _arranged(
    x: Int[np.ndarray, " n"], y: Int[np.ndarray, "deal n"]
) -> tuple[Int[np.ndarray, "deal n"], Int[np.ndarray, "deal size"]]:
    """Subjects by x, and their places in the order of y, filled to a power of two by places that are last in both.

    Where x is tied subjects are by y, where y is by place: no tie is the other way round.
    """
    subjects = np.argsort(x * (y.max() + 1) + y, axis=1)
    places = np.tile(np.arange(1 << (len(x) - 1).bit_length(), dtype=np.int32), (len(y), 1))
    places[:, : len(x)] = np.argsort(np.take_along_axis(y, subjects, 1), axis=1, kind="stable")
    return subjects, places


def _parting(
    places: Int[np.ndarray, "deal size"],
) -> Iterator[tuple[Int[np.ndarray, "deal part half"], Int[np.ndarray, "deal part half"]]]:
    """At each halving the places of left halves, and how many of the right half come before them."""
    deals, size = places.shape
    half = size // 2
    while half:
        right = (places & half) != 0
        at = np.flatnonzero(~right)
        left = places.ravel()[at].reshape(deals, -1, half)
        yield left, (at & (2 * half - 1)).reshape(left.shape) - np.arange(half)
        places = np.stack([left, places[right].reshape(left.shape)], 2).reshape(deals, size)
        half //= 2
