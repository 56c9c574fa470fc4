"""The factors of a sweep: settings that differ among its networks, and the method.

Of the columns of table settings those count that have two values or more; not what follows from how training went
(:data:`analysis.compare.groups.FOLLOWS`), what is the same for all networks of a method (λ is part of the method then),
what differs from each network to the next, and what says the same as a factor before it. Values are words, as in a
comparison by a factor. What is no factor in this sense may be asked for by name.
"""

from collections.abc import Sequence

import pandas as pd

from tables.schema import IDENTITY

from ..compare.groups import FOLLOWS, METHOD, word


def factors(networks: pd.DataFrame, settings: pd.DataFrame, asked: Sequence[str] = ()) -> pd.DataFrame:
    """The word of every factor (a column) for each checkpoint (the index), ``method`` the last where there are two.

    ``networks`` has columns checkpoint, method and seed, a row each. Only the factors ``asked`` for, where some are.

    Raises ValueError for a checkpoint without settings, a factor that isn't there or doesn't vary, and where none does.
    """
    told = settings.drop_duplicates("checkpoint").set_index("checkpoint")
    missing = [name for name in networks["checkpoint"] if name not in told.index]
    if missing:
        raise ValueError(
            f"table settings says nothing of {missing[0]}: it is another sweep's, or was cut; write "
            f"python -m analysis.history {missing[0]} --out DIR/tables"
        )
    told = told.loc[networks["checkpoint"]].drop(columns=[*IDENTITY, *FOLLOWS], errors="ignore")
    told = told.map(word)
    told[METHOD] = networks[METHOD].to_numpy(str)
    there = [name for name in map(str, told) if told[name].nunique() > 1]
    if unknown := [name for name in asked if name not in there]:
        raise ValueError(f"no factor {unknown[0]!r}: among these networks {', '.join(there) or 'nothing'} differs")
    if not there:
        raise ValueError(
            f"all {len(told)} networks have one setting: nothing differs but the seed; a sweep needs two levels of a "
            "factor, as in python -m analysis.sweep"
        )
    return told[list(dict.fromkeys(asked)) or _own(told, there)]


def _own(told: pd.DataFrame, there: Sequence[str]) -> list[str]:
    """Those that aren't the method's own, a network's own, or another factor's twin."""
    kept: dict[str, pd.Series] = {}
    for name in there:
        codes = pd.Series(told[name].factorize()[0], told.index)
        of_method = name != METHOD and told.groupby(METHOD)[name].nunique().max() == 1
        of_network = name != METHOD and len(told) > 2 and told[name].nunique() == len(told)
        if not (of_method or of_network or any(codes.equals(other) for other in kept.values())):
            kept[name] = codes
    return list(kept) or list(there)
