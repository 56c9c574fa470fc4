"""What networks are of which a page or pictures are: whether nothing spikes, and whether there is time.

Where a spike's derivative is a surrogate, what double backward gives is a formal Hessian; of a network without steps it
is the Hessian. Which it is stands in table settings; without it, the careful word is kept.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

import pandas as pd

_SMOOTH: ContextVar[bool] = ContextVar("smooth", default=False)


def smooth(tables: Mapping[str, pd.DataFrame]) -> bool:
    """Whether table settings says that no network spikes."""
    told = tables.get("settings", pd.DataFrame())
    return bool("spiking" in told and len(told) > 0 and told["spiking"].astype(str).eq("False").all())


def timeless(tables: Mapping[str, pd.DataFrame]) -> bool:
    """Whether no network spikes and all were trained at T = 1."""
    steps = tables.get("settings", pd.DataFrame()).get("timesteps", pd.Series(dtype=float)).dropna()
    return smooth(tables) and len(steps) > 0 and bool(steps.eq(1).all())


@contextmanager
def pictured(tables: Mapping[str, pd.DataFrame]) -> Iterator[None]:
    """In here pictures and sentences are of the networks that these tables are of."""
    token = _SMOOTH.set(smooth(tables))
    try:
        yield
    finally:
        _SMOOTH.reset(token)


def formal(words: str) -> str:
    """``words`` with "formal" where there are spikes; without it where there are none."""
    return words.replace("formal ", "") if _SMOOTH.get() else words
