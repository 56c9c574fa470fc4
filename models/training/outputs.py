"""What a network's outputs are, as its first batch shows: that decides what can be trained and what can be told of it.

==========  =====================  ===========================================================
steps       [time, batch, class]   SDT's and TET's loss and the accuracy of the mean over time
classes     [batch, class]         the accuracy
other       whatever a loss takes  neither
==========  =====================  ===========================================================

The first two only where the targets are class labels: whole numbers, one an example, of which the output has one number
each.
"""

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor, nn

from .. import code
from ..data.splits import Split
from ..losses import OBJECTIVES

Kind = Literal["steps", "classes", "other"]
_TAKES = {"steps": "[time, batch, class]", "classes": "[batch, class]"}


@torch.no_grad()
def checked(
    network: nn.Module,
    splits: tuple[Split, Split],
    losses: dict[str, Callable[[Tensor, Tensor], Tensor]],
    *,
    name: str,
    batch: tuple[Tensor, Tensor],
) -> Kind:
    """What the outputs of ``network``, called ``name``, are for a first ``batch``. It is left in training mode.

    Raises ValueError where one of the ``losses`` that it is to be trained with doesn't take them or doesn't give one
    value an example, or a label has no output; CodeError for what code of the user's own raises.
    """
    network.eval()
    with torch.random.fork_rng(devices=[]), code.lines():
        output = network(batch[0])
    network.train()
    found = _kind(output, batch[1])
    for loss, function in losses.items():
        if loss in OBJECTIVES:
            _check_takes(loss, found, output, batch[1], name)
            _check_labels(splits, output, name)
        else:
            with code.lines():
                values = function(output, batch[1])
            _check_values(loss, values, len(batch[1]))
    return "other" if found != "other" and _misfits(splits, output) else found


def _kind(output: Any, targets: Tensor) -> Kind:
    if not isinstance(output, Tensor) or targets.ndim != 1 or targets.is_floating_point():
        return "other"
    shape, count = output.shape, len(targets)
    if output.ndim == 3 and shape[1] == count and shape[2] > 1:
        return "steps"
    return "classes" if output.ndim == 2 and shape[0] == count and shape[1] > 1 else "other"


def _check_takes(loss: str, found: Kind, output: Any, targets: Tensor, name: str) -> None:
    wanted: Kind = "classes" if loss == "ce" else "steps"
    if found == wanted:
        return
    if targets.ndim != 1 or targets.is_floating_point():
        got = f"y of {targets.dtype} and shape {list(targets.shape[1:])} an example"
        raise ValueError(
            f"--loss {loss} takes class labels, and got {got}: give a loss of your own, --loss FILE.py:NAME"
        )
    other = {"steps": "--loss sdt or tet", "classes": "--loss ce"}.get(found, "a loss of your own, --loss FILE.py:NAME")
    raise ValueError(
        f"--loss {loss} takes outputs {_TAKES[wanted]}, and {name} gives {_shape(output)} for {len(targets)} examples:"
        f" write {other}"
    )


def _misfits(splits: tuple[Split, Split], output: Tensor) -> str:
    """The labels that there are, where ``output`` hasn't one number for each."""
    low = min(int(split.labels.min()) for split in splits)
    high = max(int(split.labels.max()) for split in splits)
    return "" if low >= 0 and high < output.shape[-1] else f"{low} to {high}"


def _check_labels(splits: tuple[Split, Split], output: Tensor, name: str) -> None:
    if got := _misfits(splits, output):
        count = output.shape[-1]
        raise ValueError(
            f"labels run from {got}, and {name} has {count} outputs, for labels 0 to {count - 1}: count labels from 0,"
            " and give the network an output for each"
        )


def _check_values(loss: str, values: Any, count: int) -> None:
    if not isinstance(values, Tensor) or values.shape != (count,):
        raise ValueError(
            f"--loss {loss} gives {_shape(values)} for {count} examples, expected one value an example, [{count}]:"
            " write return value.flatten(1).mean(1), of a value taken with reduction='none'"
        )


def _shape(value: Any) -> str:
    return f"{list(value.shape)}" if isinstance(value, Tensor) else f"a {type(value).__name__}"
