"""Words on doubts: how many, of how many, and each reason with its count."""

import pytest

from tables.words import in_doubt

MANY, LOSSES, SCALE = "one of many rows: not below 5 %", "training losses differ", "changes when weights are rescaled"


@pytest.mark.parametrize(
    ("decided", "says"),
    [
        ([], ""),
        ([(), ()], ""),
        ([(MANY, LOSSES)], f"; the one decided is in doubt: {MANY}, {LOSSES}"),
        ([(MANY, SCALE), ()], f"; 1 of the 2 decided is in doubt: {MANY}, {SCALE}"),
        ([(SCALE,), (SCALE,)], f"; all 2 decided are in doubt: {SCALE}"),
        ([(MANY, LOSSES), (LOSSES,)], f"; all 2 decided are in doubt: {LOSSES} 2, one of many rows 1"),
        ([(LOSSES,), (), (SCALE,)], f"; 2 of the 3 decided are in doubt: {LOSSES} 1, {SCALE} 1"),
        ([(LOSSES, LOSSES), (SCALE, LOSSES)], f"; all 2 decided are in doubt: {LOSSES} 2, {SCALE} 1"),
    ],
)
def test_each_reason_has_its_count(decided, says):
    assert in_doubt(decided) == says
