"""Which loss gradients are told of: each network's own, and where those are unlike, one loss for both sides."""

from collections.abc import Callable

import pandas as pd

from ..style.methods import alone, first_loss, loss_label, sides
from .gaps import Gap
from .verdicts import told


def matching(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows where the landscape's loss is the one trained with, or where that isn't known, those of the first loss.

    Raises TableError where there are none.
    """
    rows = frame[frame["loss"] == frame["training"]]
    return rows if len(rows) else frame[frame["loss"] == first_loss(frame)]


def trained(frame: pd.DataFrame) -> str:
    """What the loss of :func:`matching` is."""
    if (frame["loss"] == frame["training"]).any():
        return "the cross-entropy part of the loss trained with (no regulariser)"
    return f"the {loss_label(first_loss(frame))}"


def under_one_loss(frame: pd.DataFrame, what: str, claims: Callable[[pd.DataFrame], dict[str, Gap]]) -> list[str]:
    """``claims`` of ``what`` under each loss for both sides, where these were trained with unlike ones.

    Only that they are the same, if they are.
    """
    own = frame[frame["method"].isin(sides())]
    if alone() or own["training"].nunique() < 2 or not (own["loss"] == own["training"]).any():
        return []
    both = own.groupby("loss", sort=False)["method"].nunique()
    found = {loss: claims(frame[frame["loss"] == loss]) for loss in both.index[both == len(set(sides()))]}
    if not found:
        return []
    first = [one.verdict for one in claims(matching(frame)).values()]
    if all([one.verdict for one in each.values()] == first for each in found.values()):
        return ["so it is under each loss for both"]
    return [told(f"under the {loss_label(loss)} for both, {what}", each) for loss, each in found.items()]
