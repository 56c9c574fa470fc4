"""Whether the loss of a batch is a function of the weights and that batch: found out, once, by three passes.

    ℓ(first), ℓ(another);    with the model as it was found again, ℓ(another), now where gradients are taken

The two of the other batch must agree, example by example, and no random generator may move. Where they don't, further
passes tell what it is: the losses depend on the batch before if the model keeps a state, on nothing known if it draws
at random, on whether gradients are taken if forward asks; what does so is named. Beside that it is seen whether forward
or loss writes to what it is given (it then gets copies) or to the model's weights (refused), whether parameters come or
go, and whether ``train()`` folds weights into others, as adapters that merge do.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from ..refusal import Refusal, exhausted
from .aliases import detached, used
from .batches import Batch, copied
from .diagnosis import Losses, drawn_by, generators, kept_by
from .evaluation import Evaluation
from .state import acts_on_train, preserved
from .structure import leaves, same_bits

Weights = list[tuple[str, nn.Parameter, Tensor]]


def check(evaluation: Evaluation, losses: Losses) -> None:
    """Raise ValueError for a model, a loss or batches that give a batch other losses another time.

    ``losses(batch)`` are one or several values for each example, or a scalar, from ``evaluation.output``; it is called
    with gradients enabled, and as ``evaluation.watching()`` has it. Costs three passes of one batch. The model is given
    back as found, whatever happens.
    """
    batches = evaluation.first(2)
    if not batches:
        return
    first = batches[0]
    another = batches[-1] if batches[-1].size == first.size else first
    with _weights_back(evaluation.model) as weights:
        if acts_on_train(evaluation.model):
            _check_modes(evaluation, weights, lambda: _alone(evaluation, losses, first))
        with evaluation.evaluating(), evaluation.watching():
            drawn = generators(evaluation)
            _first_pass(evaluation, losses, first)
            _check_weights(evaluation.model, weights)
            if drawn != generators(evaluation):
                why = drawn_by(evaluation, losses, first)
                raise Refusal(f"the loss is not deterministic, or was not at the first pass. {why}")
            after = losses(another)
        alone = _with_gradients(evaluation, losses, another)
        if not agree(alone, after):
            _check_difference(evaluation, losses, (first, another), alone, after)
        with evaluation.evaluating(), evaluation.watching():
            evaluation.alias = used(detached(evaluation.model), lambda: not agree(after, losses(another)))


def _with_gradients(evaluation: Evaluation, losses: Losses, batch: Batch) -> Tensor:
    """The losses of ``batch`` with the model as found, gradients enabled; without, where memory does not suffice."""
    try:
        with evaluation.evaluating(), torch.enable_grad():
            return losses(batch)
    except (RuntimeError, MemoryError) as error:
        if not exhausted(error):
            raise
    return _alone(evaluation, losses, batch)


def _check_weights(model: nn.Module, weights: Weights) -> None:
    if written := _changed(weights):
        raise Refusal(
            f"the model writes to its own weight {written[0]!r} as it runs (an embedding with max_norm does, and a "
            "moving average kept in forward): its loss is no function of the weights. Write to it before, and switch "
            "that off"
        )
    if grown := {name for name, _ in model.named_parameters()} ^ {name for name, _, _ in weights}:
        raise Refusal(
            f"parameters come or go as the model runs ({', '.join(sorted(grown)[:3])}): run it once on a batch before "
            "it is measured"
        )


def _check_difference(
    evaluation: Evaluation, losses: Losses, batches: tuple[Batch, Batch], graded: Tensor, after: Tensor
) -> None:
    """Raise ValueError that says why the losses of a batch differ, if it is more than gradients' other rounding."""
    alone = _alone(evaluation, losses, batches[1])
    if not agree(alone, after):
        raise Refusal(_reason(evaluation, losses, batches, alone, after))
    if not agree(alone, graded, rounding=2.0**12 if graded.dtype != torch.float64 else 2.0**20):
        raise Refusal(
            f"forward computes something else where gradients are taken: a loss of {_mean(graded)}, and {_mean(alone)} "
            "without, so that its gradient would be another loss's. Look for torch.is_grad_enabled() in it"
        )


def agree(one: Tensor, other: Tensor, rounding: float = 32.0) -> bool:
    """Whether two evaluations are the same but for ``rounding`` units of the last digit.

    Parallel machines may sum in another order.
    """
    if same_bits(one, other):
        return True
    if one.shape != other.shape or not one.is_floating_point():
        return False
    finite = one.isfinite() & other.isfinite()
    if not same_bits(one[~finite].nan_to_num(), other[~finite].nan_to_num()):
        return False
    size = one[finite].abs().max() if finite.any() else one.new_zeros(())
    unit = torch.finfo(one.dtype).eps if one.dtype in (torch.float32, torch.float64) else 1e-8
    return bool(((one - other)[finite].abs() <= rounding * unit * size).all())


def _alone(evaluation: Evaluation, losses: Losses, batch: Batch) -> Tensor:
    """The losses of ``batch`` with the model as found."""
    with evaluation.evaluating(), evaluation.watching():
        return losses(batch)


def _first_pass(evaluation: Evaluation, losses: Losses, batch: Batch) -> Tensor:
    """The losses of ``batch``; sets ``evaluation.writes`` if the batch is written to on the way."""
    given = copied((batch.inputs, batch.target))
    found = losses(Batch(given[0], given[1], batch.size))
    pairs = zip(leaves((batch.inputs, batch.target)), leaves(given), strict=True)
    evaluation.writes = not all(
        same_bits(one, other) if isinstance(one, Tensor) else np.array_equal(one, other) for one, other in pairs
    )
    return found


@contextmanager
def _weights_back(model: nn.Module) -> Iterator[Weights]:
    """Yield every weight with a copy; on leaving put back what was written to, bit for bit."""
    found = [(name, weight, weight.detach().clone()) for name, weight in model.named_parameters()]
    try:
        yield found
    finally:
        _put_back(found)


def _changed(weights: Weights) -> list[str]:
    return [name for name, weight, value in weights if not same_bits(weight, value)]


def _put_back(weights: Weights) -> None:
    for _, weight, value in weights:
        if not same_bits(weight, value):
            weight.data.copy_(value)


def _check_modes(evaluation: Evaluation, weights: Weights, alone: Callable[[], Tensor]) -> None:
    """Find out whether ``train()`` folds weights into others, so that those that were folded move nothing any more.

    Then the model is measured unfolded, its modes set past ``train()``, if that gives the same loss. Raises ValueError
    where it doesn't, and for a model that comes folded.
    """
    if written := _written_by(evaluation.model, weights, train=True):
        raise Refusal(
            f"train() of this model writes to the weight {written[0]!r}: it was handed over with weights folded into "
            "others (an adapter that is merged), which could not move. Call model.train() before measuring; it is "
            "evaluated in eval mode all the same"
        )
    if evaluation.mode == "train" or not (written := _written_by(evaluation.model, weights, train=False)):
        return
    folded = alone()
    _put_back(weights)
    evaluation.by_attribute = True
    unfolded = alone()
    if not agree(folded.double(), unfolded.double(), rounding=2.0**20 if folded.dtype == torch.float64 else 2.0**40):
        raise Refusal(
            f"train(False) of this model writes to the weight {written[0]!r}, and without that its loss is another "
            f"({float(folded.mean()):.6g}, without {float(unfolded.mean()):.6g}): which weights should move can't be "
            "told. Measure it with mode='train', or unfold its weights for good"
        )


def _written_by(model: nn.Module, weights: Weights, *, train: bool) -> list[str]:
    """The names of the weights that ``train()`` writes to, or brings or takes away; they are put back."""
    with preserved(model):
        model.train(train)
        names = {name for name, _ in model.named_parameters()}
        found = [*_changed(weights), *sorted(names ^ {name for name, _, _ in weights})]
    _put_back(weights)
    return found


def _reason(evaluation: Evaluation, losses: Losses, batches: tuple[Batch, Batch], alone: Tensor, after: Tensor) -> str:
    """Why the losses of a batch were others after another one."""
    again = _alone(evaluation, losses, batches[1])
    if agree(alone, again):
        kept = kept_by(evaluation, losses, batches[0])
        return (
            f"the loss of a batch depends on the batches before it: it is {_mean(after)} after another one, alone "
            f"{_mean(alone)}. The model keeps a state{kept} that nothing clears: pass reset=, a function of the model "
            "that does, and it is called before every batch"
        )
    return (
        f"the loss is not deterministic: of the same batch at the same weights it is {_mean(alone)}, then "
        f"{_mean(again)}, so that every difference would be noise. {drawn_by(evaluation, losses, batches[1])}"
    )


def _mean(losses: Tensor) -> str:
    return f"{float(losses.double().mean()):.5g}"
