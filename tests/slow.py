"""Which tests are slow: those marked so, but for the first cases of a parametrised one that are to stay."""

from collections import Counter
from collections.abc import Iterable

import pytest


def keep_first(items: Iterable[pytest.Item]) -> None:
    """Take the mark ``slow(keep=n)`` off the first n cases of each test that has it."""
    seen: Counter[str] = Counter()
    for item in items:
        mark = item.get_closest_marker("slow")
        if mark is None:
            continue
        family = item.nodeid.partition("[")[0]
        seen[family] += 1
        if seen[family] <= mark.kwargs.get("keep", 0):
            item.own_markers[:] = [one for one in item.own_markers if one is not mark]
