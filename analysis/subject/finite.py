"""What a network as it is doesn't answer: outputs and losses that are no numbers, refused in one line.

An example has an answer where its output has (:func:`analysis.subject.outputs.score`, NaN where it hasn't). Of the
network as it is, undisturbed, at its own T, all that is measured must have one: a mean over the others would be of
other examples, and taking the lost ones for wrong would be a number that nobody measured. What is far from it
(disturbed weights, other T, points of a surface) may have lost its numbers, which its rows then say.
"""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from jaxtyping import Float
from torch import Tensor

from landscape.evaluation import leaves

if TYPE_CHECKING:
    from .subject import Subject

_CHUNK = 250


class NotFinite(ValueError):
    """The network as it is has outputs or a loss that aren't finite."""


def check_answers(
    subject: "Subject",
    split: str,
    images: int | None,
    *,
    right: Float[Tensor, " image"] | None,
    losses: Mapping[str, Float[Tensor, " image"]],
) -> None:
    """Raise NotFinite where one of the first ``images`` of ``split`` has no answer, or a loss of NaN.

    ``right`` is whether each is answered rightly, NaN for those without an answer; left aside where nothing counts as
    right. An infinite loss is a number: it is the largest.
    """
    if right is not None and subject.score is not None and (lost := int(right.isnan().sum())):
        what = f"the outputs of {lost} of {len(right)} examples aren't finite, so that they have no answer"
        raise NotFinite(f"{subject.title}, {split} data: {what}{_whence(subject, split, images)}")
    for name, values in losses.items():
        if lost := int(values.isnan().sum()):
            what = f"the loss {name} of {lost} of {len(values)} examples is nan"
            raise NotFinite(f"{subject.title}, {split} data: {what}{_whence(subject, split, images)}")


def check_value(subject: "Subject", split: str, images: int | None, loss: str, value: float) -> None:
    """Raise NotFinite where a mean ``loss`` of the first ``images`` of ``split``, at the weights, is no number."""
    if not math.isfinite(value):
        said = f"the loss {loss} is {value} at the weights: there is no landscape around them"
        raise NotFinite(f"{subject.title}, {split} data: {said}{_whence(subject, split, images)}")


def check_weights(subject: "Subject") -> None:
    """Raise NotFinite where weights or buffers are no numbers."""
    if found := _not_finite(subject):
        raise NotFinite(f"{subject.title}: {found} holds NaN or infinity: there is no landscape around it")


def _not_finite(subject: "Subject") -> str:
    """The first weight or buffer that isn't finite."""
    every = [*subject.network.named_parameters(), *subject.network.named_buffers()]
    return next((name for name, held in every if _real(held) and not held.isfinite().all()), "")


def not_finite(inputs: object) -> int:
    """How many examples of a batch's inputs hold NaN or infinity; time first is one example a step."""
    wrong = [~leaf.isfinite().flatten(1).all(1) for leaf in leaves(inputs) if _real(leaf) and leaf.ndim > 1]
    return max((int(one.sum()) for one in wrong), default=0)


def _real(leaf: object) -> bool:
    return isinstance(leaf, Tensor) and leaf.is_floating_point() and not leaf.is_sparse


def _whence(subject: "Subject", split: str, images: int | None) -> str:
    """What isn't finite beside them, where something is."""
    if name := _not_finite(subject):
        return f"; {name} holds NaN or infinity"
    if not subject.axis:
        found = sum(not_finite(inputs) for inputs, _ in subject.batches(split, images, _CHUNK))
        return f"; the inputs of {found} hold NaN or infinity" if found else ""
    found = any(not_finite(inputs) for inputs, _ in subject.batches(split, images, _CHUNK))
    return "; inputs hold NaN or infinity" if found else ""
