"""Whether a scalar loss is the mean over the examples of a batch, found out on the outputs of one.

    ℓ(z, y) = Σ_k n_k/N ℓ(z_k, y_k)      for single examples and the rest, k = 1 …

Then, and only then, batches of N examples may be averaged by their sizes. It fails for a sum, for class weights and
ignored labels (whose mean is over other weights), for losses that compare examples with each other, and for shapes
that broadcast where they shouldn't.
"""

from collections.abc import Callable, Iterator
from itertools import islice, product
from typing import Any

import torch
from torch import Tensor

from ..refusal import Refusal
from .batches import copied
from .structure import leaves, mapped

_SINGLE = 8
_WAYS = 16
_ROUNDING = 64


def check_mean(loss: Callable[[Any, Any], Tensor], output: Any, target: Any, count: int) -> None:
    """Raise ValueError for what :func:`is_mean` denies."""
    if not is_mean(loss, output, target, count):
        raise Refusal(
            "the loss returns a scalar that is not the mean over the examples of a batch (a sum, class weights, "
            "ignored labels, shapes that broadcast, a comparison of examples), so that batches can't be averaged: "
            "return one value per example, reduction='none' (with class weights divide by the mean of w[y] over all "
            "targets: their mean divides by the sum of w[y])"
        )


def is_mean(loss: Callable[[Any, Any], Tensor], output: Any, target: Any, count: int) -> bool:
    """Whether ``loss(output, target)`` is the mean over ``count`` examples, single ones and halves, but for rounding.

    A tensor's dimension of the batch is the one of that length; where there are several, all are tried.
    """
    with torch.no_grad():
        whole = loss(*copied((output, target)))
        if not whole.isfinite():
            return True  # and so will be any mean
        singles, half = list(range(1, min(_SINGLE, count - 1) + 1)), [count // 2] if count > 1 else []
        for way in islice(product(*_dimensions((output, target), count)), _WAYS):
            try:
                if all(_adds_up(loss, whole, (output, target), way, count, places) for places in (singles, half)):
                    return True
            except Exception:  # noqa: BLE001 - another way of cutting may fit
                continue
    return False


def _adds_up(
    loss: Callable[[Any, Any], Tensor],
    whole: Tensor,
    pair: tuple[Any, Any],
    way: tuple[int | None, ...],
    count: int,
    places: list[int],
) -> bool:
    """Whether the parts of the batch between ``places`` have, by their sizes, the mean ``whole``."""
    bounds = list(zip([0, *places], [*places, count], strict=True))
    values = torch.stack([loss(*_part(copied(pair), way, begin, end)) for begin, end in bounds]).double().cpu()
    shares = torch.tensor([(end - begin) / count for begin, end in bounds], dtype=torch.float64)
    unit = _ROUNDING * torch.finfo(whole.dtype).eps
    return bool((values @ shares - whole.double().cpu()).abs() <= unit * max(float(values.abs().max()), 1e-30))


def _dimensions(value: Any, count: int) -> Iterator[list[int | None]]:
    """For each tensor in ``value`` the dimensions of length ``count``; None where there is none."""
    for leaf in leaves(value):
        found = [place for place, length in enumerate(leaf.shape) if length == count]
        yield list(found) or [None]


def _part(value: Any, way: tuple[int | None, ...], begin: int, end: int) -> Any:
    """The examples from ``begin`` to before ``end``; of a list of numbers too."""
    dimensions = iter(way)

    def cut(tensor: Tensor) -> Tensor:
        dimension = next(dimensions)
        return tensor if dimension is None else tensor.narrow(dimension, begin, end - begin)

    output, target = value
    parts = mapped(output, cut), mapped(target, cut)
    if isinstance(target, list) and not any(True for _ in leaves(target)):
        return parts[0], target[begin:end]
    return parts
