"""BatchNorm's running statistics, taken anew at the weights a model has now.

Statistics that were gathered while training belong to the trained weights. At others, say half way between two
minima, activations have other means and far smaller variances, and a loss measured with the old statistics, or with
interpolated ones, is mostly their misfit: barriers between networks shrink severalfold once the statistics are taken
anew (Entezari, Sedghi, Saukh, Neyshabur 2022; Jordan, Sedghi, Saukh, Entezari, Neyshabur 2023, "REPAIR"; done for
averaged weights by Izmailov et al. 2018, section 3).

**Definition.** One pass over the batches with BatchNorm in train mode, so that the layers after it see inputs that were
normalised batch by batch, as in training; everything else (dropout) in eval mode. A layer's statistics are then those
of *all* the inputs it saw, as if they were one batch::

    mean = Σ_b n_b m_b / N,     var = [Σ_b (n_b − 1) v_b + Σ_b n_b (m_b − mean)²] / (N − 1)

n_b counts the values per channel (images × space, × time where it is folded in), m_b and v_b are the batch's mean and
unbiased variance. torch's own cumulative update (``momentum=None``) differs in two ways: it averages batches equally,
also a smaller last one, and it leaves out the second sum, the variance between batches. For a single batch both agree.
The first layer's statistics do not depend on the split into batches; those behind it do, as in training.
"""

from functools import partial
from typing import Unpack

import torch
from torch import Tensor, nn

from ..refusal import Refusal
from .batches import Batch, Source
from .checks import check
from .evaluation import Evaluation, Reading
from .structure import leaves

_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
_STATISTICS = ("running_mean", "running_var")
Norm = nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d | nn.SyncBatchNorm


class _Moments:
    """Mean and sum of squared deviations of all values so far, in float64 (Chan, Golub, LeVeque 1983)."""

    def __init__(self) -> None:
        self.count = 0
        self.mean = torch.zeros((), dtype=torch.float64)
        self.squares = torch.zeros((), dtype=torch.float64)

    def add(self, count: int, mean: Tensor, variance: Tensor) -> None:
        """Take in ``count`` more values, with their mean and unbiased variance."""
        total = self.count + count
        shift = mean.cpu().double() - self.mean
        self.mean = self.mean + shift * (count / total)
        self.squares = (
            self.squares + variance.cpu().double() * (count - 1) + shift.square() * (self.count * count / total)
        )
        self.count = total


def recalibrate(model: nn.Module, batches: Source, **reading: Unpack[Reading]) -> int:
    """Write the statistics of ``batches`` into the running means and variances of ``model``; return how many layers.

    Only those two buffers of BatchNorm layers change (subclasses included; layers without running statistics, or that
    the pass does not reach, stay as they are). Weights, modes, momenta and the count of batches come back as found.
    Without such a layer nothing is computed and 0 returned. Inside :func:`~landscape.evaluation.preserved` the change
    is undone on leaving. Labels are not looked at. ``batches`` and ``reading`` are what
    :class:`~landscape.objective.Objective` takes; ``check=False`` saves the three passes of one batch that tell whether
    the model's output is a function of its weights and the batch.

    Take images the network was trained on, a few hundred at least, in batches about as large as in training.
    Statistics of an activation that overflows are inf or nan. Raises ValueError for batches without an example, for
    what an Objective refuses in batches, and for a batch with a single value per channel.
    """
    layers = [layer for layer in model.modules() if isinstance(layer, _NORMS) and layer.running_mean is not None]
    if not layers:
        return 0
    evaluation = Evaluation(model, batches, device=layers[0].get_buffer(_STATISTICS[0]).device, **reading)
    if evaluation.checked:
        check(evaluation, partial(_outputs, evaluation))
    found = _gathered(evaluation, layers)
    for layer, moments in found.items():
        if moments.count:
            for name, value in zip(_STATISTICS, (moments.mean, moments.squares / (moments.count - 1)), strict=True):
                layer.get_buffer(name).copy_(value)
    return sum(moments.count > 0 for moments in found.values())


def _outputs(evaluation: Evaluation, batch: Batch) -> Tensor:
    """The numbers in the model's output for one batch."""
    found = [leaf for leaf in leaves(evaluation.output(batch.inputs)) if isinstance(leaf, Tensor)]
    return torch.cat(
        [leaf.detach().flatten().cpu().double() for leaf in found if not leaf.is_complex()] or [torch.zeros(0)]
    )


def _gathered(evaluation: Evaluation, layers: list[Norm]) -> dict[Norm, _Moments]:
    """The statistics of every layer's inputs; the layers' own update, with momentum 1, computes each batch's."""
    found, seen = {layer: _Moments() for layer in layers}, dict.fromkeys(layers, 0)

    def record(layer: Norm, inputs: tuple[Tensor, ...], _: Tensor) -> None:
        mean, variance = (layer.get_buffer(name) for name in _STATISTICS)
        counter, seen[layer] = layer.num_batches_tracked, seen[layer] + 1
        if counter is not None and int(counter) != seen[layer]:
            raise Refusal(
                f"a {type(layer).__name__} normalises its input in several parts, which can't be put together"
            )
        found[layer].add(inputs[0].numel() // layer.num_features, mean, variance)

    hooks = [layer.register_forward_hook(record) for layer in layers]
    try:
        with evaluation.evaluating(), torch.no_grad():
            for layer in layers:
                layer.training = True
                layer.reset_running_stats()  # momentum 1 keeps nothing of a finite value, but 0 · inf is nan
                layer.momentum = 1.0
            for batch in evaluation.batches:
                evaluation.output(batch.inputs)
    finally:
        for hook in hooks:
            hook.remove()
    if not sum(evaluation.batches.sizes):
        raise ValueError("the batches hold no example: nothing to take BatchNorm's statistics from")
    return found
