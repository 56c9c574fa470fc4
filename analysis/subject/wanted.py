"""Targets beside which an output says no loss: what to write, by what they look like."""

from typing import Any

from torch import Tensor

from landscape.evaluation import described

ONE_HOT = (
    "every target holds a single 1 beside zeros: one of several classes, or labels of which each may hold? Of classes "
    "give their numbers, target.argmax(1), or unpack=lambda batch: (batch[0], batch[1].argmax(1)); of labels say so: "
    "losses={'bce': lambda output, target: torch.nn.functional.binary_cross_entropy_with_logits(output, "
    "target.float(), reduction='none').mean(1)}"
)


def one_hot(target: Tensor) -> bool:
    """Whether every row of ``target`` holds one 1 and else zeros."""
    return target.ndim == 2 and bool(((target == 1).sum(1) == 1).all() and ((target == 0) | (target == 1)).all())


def advice(output: Tensor, target: Any) -> str:
    """What to write where ``output`` says no loss beside ``target``, as the end of a sentence that says so."""
    if not isinstance(target, Tensor):
        return f" beside its target, {described(target)}; give one value per example: {_loss('mine', '…')}"
    beside = f" beside its target, {described(target)} of {str(target.dtype).removeprefix('torch.')}"
    if output.shape == target.shape and target.is_floating_point():
        return f"{beside}; give one value per example: {_loss('mse', '(output - target).square().flatten(1).mean(1)')}"
    if output.shape == (*target.shape, 1) and target.is_floating_point():
        return f"{beside}; give one value per example: {_loss('mse', '(output.squeeze(-1) - target).square()')}"
    changes = _changes(output, target)
    if changes:
        return (
            f"{beside}. Numbers of classes are whole, one for each example: target{changes}, or "
            f"unpack=lambda batch: (batch[0], batch[1]{changes})"
        )
    return f"{beside}; give one value per example: {_loss('mine', '…')}"


def _changes(output: Tensor, target: Tensor) -> str:
    """What makes numbers of classes of ``target``; empty where it holds none that ``output`` has."""
    column = target.ndim == 2 and target.shape[1] == 1
    classes = output.shape[-1]
    whole = bool(((target >= 0) & (target < classes) & (target == target.round())).all())
    if output.ndim not in (2, 3) or classes < 2 or not whole or not (target.ndim == 1 or column):
        return ""
    if len(target) not in output.shape[: output.ndim - 1]:
        return ""
    return (".squeeze(1)" if column else "") + (".long()" if target.is_floating_point() else "")


def _loss(name: str, value: str) -> str:
    return f"losses={{{name!r}: lambda output, target: {value}}}"
