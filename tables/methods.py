"""Which way of training a row is of: columns ``method`` and, in tables of pairs, ``other_method``.

``method`` is a free label; ``training`` is the loss that was minimized. Tables of earlier versions have no label: there
the loss is all that told ways of training apart, and so it is the method.
"""

import pandas as pd

_COLUMNS = {"method": ("training", "data"), "other_method": ("other_training", "other")}


def with_methods(table: pd.DataFrame) -> pd.DataFrame:
    """``table`` with the columns that it lacks and that follow from others, each where a newer table has it."""
    for name, (loss, before) in _COLUMNS.items():
        if loss in table and name not in table:
            place = list(table).index(before if before in table else loss) + (before in table)
            table = pd.concat([table.iloc[:, :place], table[loss].rename(name), table.iloc[:, place:]], axis=1)
    return table
