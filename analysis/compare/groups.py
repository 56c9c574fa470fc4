"""What is compared: methods, or within each method the values of a factor that table settings records.

A factor's values are words: numbers as they are written (two that differ are two), True and False. A network of which
the settings say nothing is refused, rather than put into a group of its own. Where the two sides differ in another
setting too, the difference may be that setting's as well as the factor's, and the row says so; what follows from the
factor, or from how training went, is no setting of its own: how many epochs were done, whether a loss was reached, how
many parameters there are, what drew the images, and what a recipe was changed in.
"""

from typing import Any

import pandas as pd

from tables.schema import IDENTITY, TWIN

SETTING = ["network", "data", "timesteps"]
METHOD = "method"
_FOLLOWS = frozenset({"epochs_done", "until_loss_reached", "parameters", "split_seed", "recipe_changes"})


def groups(values: pd.DataFrame, settings: pd.DataFrame, by: str) -> pd.Series:
    """What each row of ``values`` is compared by, as a word; "" for a twin that has no such setting.

    Raises ValueError for a factor that the settings don't have, or don't say of a network.
    """
    if by == METHOD:
        return values[METHOD]
    factors = [str(name) for name in settings if name not in IDENTITY]
    if by not in factors:
        raise ValueError(f"no factor {by!r}: table settings has {', '.join(factors) or 'none'}; method is always there")
    told = settings.drop_duplicates("checkpoint").set_index("checkpoint")[by]
    words = values["checkpoint"].map(told.map(_word)).fillna("").astype(object)
    unknown = values.loc[(words == "") & ~values["network"].str.endswith(TWIN), "checkpoint"]
    if len(unknown):
        raise ValueError(f"table settings says nothing of {by} for {unknown.iloc[0]}")
    return words


def _word(value: Any) -> str:
    """A setting as text; "" where it is missing."""
    if pd.isna(value):
        return ""
    return f"{value:.15g}" if isinstance(value, float) else str(value).strip()


def reference(values: pd.DataFrame, asked: str | None, by: str) -> str:
    """The group that others are compared with: the one ``asked`` for, else the first.

    Raises ValueError where it isn't there, or is alone.
    """
    there = list(dict.fromkeys(values.loc[~values["network"].str.endswith(TWIN), "group"]))
    chosen = there[0] if asked is None and there else asked
    if chosen not in there:
        raise ValueError(
            f"no {by} {chosen!r} in the tables: there {'is' if len(there) == 1 else 'are'} {', '.join(there) or 'none'}"
        )
    if len(there) < 2:
        raise ValueError(f"nothing to compare {chosen!r} with: it is the only {by} in the tables")
    return str(chosen)


def check_distinct(values: pd.DataFrame, by: str) -> None:
    """Network, data, T, method, factor and seed name one checkpoint: raises ValueError for two of that name."""
    key = [*SETTING, METHOD, "group", "seed"]
    paths = values.groupby(key)["checkpoint"].unique()
    for found in paths[paths.map(len) > 1]:
        what = "network, data, T, method and seed" if by == METHOD else f"network, data, T, method, {by} and seed"
        raise ValueError(
            f"{' and '.join(found)} have {what} in common: compare them apart, or name their methods (--method)"
        )
    twice = values.duplicated([*IDENTITY, "measure", "loss"])
    if twice.any():
        raise ValueError(f"{values.loc[twice, 'checkpoint'].iloc[0]} is there twice: name each folder once")


def differing(group: pd.DataFrame, settings: pd.DataFrame, by: str) -> list[str]:
    """The settings but ``by`` whose values aren't the same in all groups; none where methods are compared."""
    if by == METHOD:
        return []
    told = settings.drop_duplicates("checkpoint").set_index("checkpoint").drop(columns=[*IDENTITY, by], errors="ignore")
    sides = [told.reindex(side["checkpoint"].unique()).map(_word) for _, side in group.groupby("group")]
    return [
        name for name in map(str, told) if name not in _FOLLOWS and len({frozenset(side[name]) for side in sides}) > 1
    ]
