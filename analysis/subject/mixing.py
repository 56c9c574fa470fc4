"""Whether the losses of examples depend on which others share their batch, found out by cutting one."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from landscape.evaluation import examples

from .outputs import Loss
from .sources import Batch, selected

if TYPE_CHECKING:
    from .subject import Subject

_RELATIVE, _ROUNDINGS = 1e-3, 64


def mixed(subject: "Subject", loss: Loss, batch: Batch) -> str:
    """Why the losses of ``batch`` aren't those of its two halves, in words; empty where they are.

    Losses ℓᵢ of the whole and ℓᵢ' of the halves agree within (10⁻³ + 64 ε) max|ℓ| + 64 ε, ε being the rounding of their
    dtype. Of a network that spikes one example may differ, whose spike rounding may move. Empty too where the batch
    can't be cut, or the network takes no halves.
    """
    try:
        count = examples(None, batch[1]) if subject.axis else examples(*batch)
        halves = [selected(batch, rows, subject.axis) for rows in torch.arange(count).split((count + 1) // 2)]
        whole, parts = _losses(subject, loss, [batch]), _losses(subject, loss, halves)
    except (ValueError, TypeError, IndexError, ZeroDivisionError):
        return ""
    if count < 2 or whole.shape != parts.shape or not (whole.isfinite().all() and parts.isfinite().all()):
        return ""
    rounding = _ROUNDINGS * torch.finfo(subject.dtype).eps
    off = (whole - parts).abs()
    differing = int((off > (_RELATIVE + rounding) * whole.abs().max() + rounding).sum())
    if differing <= (1 if subject.spikes and len(off) > 1 else 0):
        return ""
    place = int(off.argmax())
    who = f"of example {place} " if len(off) > 1 else ""
    return (
        f"the network, or the loss, mixes the examples of a batch: the loss {who}is {float(whole[place]):.6g} in a "
        f"batch of {count} and {float(parts[place]):.6g} in half of it, so that --chunk would change what is measured. "
        "Leave out what depends on the others (a mean over the batch, BatchNorm with track_running_stats=False)"
    )


def _losses(subject: "Subject", loss: Loss, batches: list[Batch]) -> Tensor:
    """Of each example; of a loss that is a mean the mean over all."""
    objective = subject.objective(loss, batches, check=False)
    with torch.no_grad(), objective.evaluating():
        each = [objective.losses(inputs, target).double().cpu() for _, inputs, target in objective.batches()]
    if any(part.ndim == 0 for part in each):
        weights = [share for share, _, _ in objective.batches()]
        return torch.stack([weight * part for weight, part in zip(weights, each, strict=True)]).sum(0, keepdim=True)
    return torch.cat(each)
