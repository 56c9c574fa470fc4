"""What T' steps give of a subject whose output isn't that of classes at each step, or that has losses of its own.

A loss of the subject's own is taken of the outputs of the first T' steps, [time, batch, …] as the network gives them;
of a network without time there is but T' = 1, the output itself. ``accuracy_cumulative`` and ``accuracy_at_step`` are
the share of an example's answers that are right (:mod:`analysis.subject.outputs`), and empty where nothing counts as
that.
"""

from typing import Any

import torch
from jaxtyping import Float64
from torch import Tensor

from ..subject import Subject
from ..subject.outputs import LANDSCAPE


def own_losses(subject: Subject, output: Tensor, target: Any) -> dict[str, Float64[Tensor, "time batch"]]:
    """Columns ``loss_NAME`` of the losses that aren't those of equations 7 and 9."""
    names = [name for name in subject.asked("all") if subject.losses or name not in LANDSCAPE]
    return {
        f"loss_{name}": torch.stack(
            [subject.timed(name)(output[:steps], target).double() for steps in range(1, len(output) + 1)]
        )
        for name in names
    }


def answered(subject: Subject, output: Tensor, target: Any) -> dict[str, Float64[Tensor, "time batch"]]:
    """The columns of an output that isn't one of classes: accuracy, and the losses."""
    losses = own_losses(subject, output, target)
    right = subject.scored(output, target)
    if right is None:
        right = torch.full_like(next(iter(losses.values())), torch.nan)
    return {"accuracy_cumulative": right, "accuracy_at_step": right} | losses
