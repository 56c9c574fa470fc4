"""Subjects one after the other; or, where torchrun started several processes, one in each at a time.

An analysis that splits one subject's work over :mod:`models.processes` keeps them together. With any other the
processes take whole subjects in turn, and every one of them gets what all found, in the subjects' order: the tables are
one process's, to the bit. Subjects of one chain, neighbours of which the later is measured from the earlier, are taken
by one process.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import chain, groupby
from typing import TypeVar

from models import processes

S = TypeVar("S")
T = TypeVar("T")
Key = Callable[[S], object]


def in_turn(
    items: Sequence[S], measure: Callable[[S], T], *, together: bool = False, key: Key[S] = id
) -> Iterator[tuple[S, T]]:
    """Each of ``items`` with what ``measure`` makes of it; what other processes found has been pickled.

    Neighbours of one ``key`` are a chain.
    """
    world = 1 if together else processes.world()
    if world == 1:
        for one in items:
            yield one, measure(one)
        return
    chains = [list(same) for _, same in groupby(items, key)]
    for start in range(0, len(chains), world):
        turn = chains[start : start + world]
        mine = chain(*turn[processes.rank() : processes.rank() + 1])
        yield from zip(chain(*turn), processes.gathered([measure(one) for one in mine]), strict=True)


def check_enough(items: Sequence[S], key: Key[S] = id) -> None:
    """Raise ValueError for fewer chains than processes, of which some would have nothing to do."""
    count = len(list(groupby(items, key)))
    if count < processes.world():
        raise ValueError(
            f"this analysis takes whole networks, and {processes.world()} processes have too few in {count}: start it "
            "without torchrun, or name more"
        )
