"""What a network's output says, by its shape beside the target's: where time lies, which losses and which score fit.

=======================================  ==========  ==================  =============================================
output                                   target      losses              score of an example
=======================================  ==========  ==================  =============================================
[time, batch, class], [batch, time, …]   [batch]     sdt, tet            1 where the mean over time is largest there
[batch, class]                           [batch]     ce                  1 where the output is largest there
[batch, place, class]                    like it     ce, mean of places  share of the places that are right
[batch, class, place, …]                 like it     ce, mean of places  share of the places that are right
[batch, label]                           0s and 1s   bce, mean           share of the labels that are right (above 0)
anything else                            anything    to be given         none
=======================================  ==========  ==================  =============================================

A place whose target is −100 counts in neither; as the label of a whole example −100 is refused. Classes and labels are
given as logits, which is looked at: outputs that are probabilities are refused, since their losses would be others.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from landscape.evaluation import described
from landscape.refusal import Refusal
from models.losses import LOSSES

Loss = Callable[[Any, Any], Tensor]
IGNORED = -100


@dataclass(frozen=True)
class Layout:
    """``time`` is the output's axis of time, None without; ``steps`` its length, 1 without; ``answers`` what it says.

    ``answers`` is "classes", "places" (the classes last), "pixels" (the classes second), "labels" or "values".
    """

    time: int | None
    steps: int
    answers: str

    def time_first(self, output: Tensor) -> Tensor:
        """The output as [time, batch, …], with one step where there is no time."""
        return output.unsqueeze(0) if self.time is None else output.movedim(self.time, 0)


def tensor(output: Any) -> Tensor:
    """The tensor in what a network returned: itself, ``logits`` of an object or a mapping, the only one of a tuple.

    Raises ValueError where several might be meant, with the line to write.
    """
    if isinstance(output, Tensor):
        return output
    found = output.get("logits") if isinstance(output, Mapping) else getattr(output, "logits", None)
    if isinstance(found, Tensor):
        return found
    if isinstance(output, tuple | list) and len(output) == 1:
        return tensor(output[0])
    shown = ", ".join(map(described, output)) if isinstance(output, tuple | list) else described(output)
    raise ValueError(
        f"the network returns {described(output)} ({shown}): which of it do the losses take? Say so: "
        "Subject(…, output=lambda output: output[0])"
    )


def layout(output: Tensor, target: Any, *, time: int | None = None) -> Layout:
    """What ``output`` says beside ``target``; ``time`` where that is known. Raises ValueError where it can't be told.

    There must not be as many steps as examples.
    """
    if not isinstance(target, Tensor):
        return _timed(output, time, "values")
    whole, shape, places = not target.is_floating_point(), output.shape, target.shape
    if whole and target.ndim == 1 and output.ndim in (2, 3):
        batch = len(target)
        if output.ndim == 2 and time is None and shape[0] == batch:
            return Layout(None, 1, "classes")
        axes = [axis for axis in (0, 1) if output.ndim == 3 and shape[1 - axis] == batch and time in (axis, None)]
        if len(axes) == 1:
            return Layout(axes[0], shape[axes[0]], "classes")
    if whole and time is None and target.ndim > 1 and output.ndim == target.ndim + 1:
        if shape[:-1] == places:
            return Layout(None, 1, "places")
        if (shape[0], *shape[2:]) == tuple(places):
            return Layout(None, 1, "pixels")
    flat = time is None and output.ndim == 2 and shape == places and shape[1] > 1
    if flat and set(target.unique().tolist()) <= {0, 1}:
        return Layout(None, 1, "labels")
    return _timed(output, time, "values")


def _timed(output: Tensor, time: int | None, answers: str) -> Layout:
    return Layout(time, 1 if time is None else output.shape[time], answers)


def usual_losses(found: Layout, output: Tensor) -> dict[str, Loss]:
    """The losses that an output of this layout has by itself, one value per example; none for "values".

    Raises ValueError for probabilities.
    """
    if found.answers == "values":
        return {}
    _check_logits(found, output)
    if found.answers == "classes" and found.time is not None:
        losses: dict[str, Loss] = {name: partial(_over_time, loss, found) for name, loss in LANDSCAPE.items()}
    else:
        losses = {"bce" if found.answers == "labels" else "ce": _USUAL[found.answers]}
    return {name: partial(_labelled, loss, found) for name, loss in losses.items()}


def _labelled(loss: Loss, found: Layout, output: Tensor, target: Tensor) -> Tensor:
    """``loss``, with one line for a class that the output hasn't got, −100 of a whole example included."""
    classes = output.shape[1 if found.answers == "pixels" else -1]
    if found.answers == "classes":
        check_labels(classes, target)
    try:
        return loss(output, target.long() if found.answers != "labels" else target)  # cross_entropy takes no other
    except IndexError as error:
        raise Refusal(_outside(classes, target)) from error


def _outside(classes: int, target: Tensor) -> str:
    got = f"{int(target.min())} … {int(target.max())}"
    return f"labels must be 0 … {classes - 1}, the network has {classes} outputs; got {got}"


def check_labels(classes: int, target: Tensor) -> None:
    """Raise Refusal for a label that is none of so many classes."""
    if target.numel() and not ((target >= 0) & (target < classes)).all():
        raise Refusal(_outside(classes, target))


def _check_logits(found: Layout, output: Tensor) -> None:
    if not output.is_floating_point() or not ((output >= 0) & (output <= 1)).all():
        return
    axis = 1 if found.answers == "pixels" else -1
    if found.answers != "labels" and torch.allclose(output.sum(axis), torch.ones(()).to(output), atol=1e-3):
        raise ValueError(
            "the network's outputs are probabilities (they sum to 1), and cross-entropy takes logits: leave the "
            "softmax out, or give the losses: "
            "losses={'nll': lambda output, target: -output.log()[range(len(target)), target]}"
        )


def _over_time(loss: Callable[..., Tensor], found: Layout, output: Tensor, target: Tensor) -> Tensor:
    return loss(found.time_first(output), target, reduction="none")


def _mean(entropy: Tensor, target: Tensor) -> Tensor:
    """Over the places of each example that count."""
    counted = (target != IGNORED).flatten(1).sum(1)
    return entropy.flatten(1).sum(1) / counted.clamp(min=1)


def _classes(output: Tensor, target: Tensor) -> Tensor:
    return cross_entropy(output, target, reduction="none")


def _places(output: Tensor, target: Tensor) -> Tensor:
    return _pixels(output.movedim(-1, 1), target)


def _pixels(output: Tensor, target: Tensor) -> Tensor:
    return _mean(cross_entropy(output, target, reduction="none", ignore_index=IGNORED), target)


def _labels(output: Tensor, target: Tensor) -> Tensor:
    return binary_cross_entropy_with_logits(output, target.to(output.dtype), reduction="none").mean(1)


LANDSCAPE: dict[str, Callable[..., Tensor]] = {name: LOSSES[name] for name in ("sdt", "tet")}
_USUAL: dict[str, Loss] = {"classes": _classes, "places": _places, "pixels": _pixels, "labels": _labels}


def through(pick: Callable[[Any], Tensor], function: Loss, returned: Any, target: Any) -> Tensor:
    """``function`` of the tensor that ``pick`` takes out of what a network returned."""
    return function(pick(returned), target)


def score(found: Layout) -> Loss | None:
    """What counts as accuracy, one value per example, NaN where the output is no answer; None where nothing does."""
    return None if found.answers == "values" else partial(_right, found)


def _right(found: Layout, output: Tensor, target: Tensor) -> Tensor:
    if found.answers == "classes":
        mean = found.time_first(output).mean(0)
        return where_known(mean.argmax(1) == target, mean, 1)
    if found.answers == "labels":
        right = ((output > 0) == (target > 0)).to(output.dtype)
        return right.where(~output.isnan(), torch.nan).mean(1)
    axis = -1 if found.answers == "places" else 1
    right = where_known(output.argmax(axis) == target, output, axis)
    return _mean(right.where(target != IGNORED, 0), target)


def where_known(values: Tensor, logits: Tensor, axis: int) -> Tensor:
    """``values`` in the dtype of the ``logits`` of classes along ``axis``, NaN where these say no class.

    They do where their softmax is a distribution: none is NaN or +∞, one is finite; −∞ rules a class out. (argmax takes
    NaN for the largest.)
    """
    return values.to(logits.dtype).where(logits.amax(axis).isfinite(), torch.nan)
