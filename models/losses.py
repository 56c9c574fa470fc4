"""The losses that a network is trained with, for logits O(t) at each of T steps, or for logits without time.

Standard direct training (SDT, equation 7) is the cross-entropy of the mean logits; temporal efficient training (TET,
equation 9) is the mean over time of the cross-entropy at each step::

    L_SDT = CE( (1/T) Σ_t O(t), y )              L_TET = (1/T) Σ_t CE( O(t), y )

The paper compares these two, and landscapes are made of them: :data:`LOSSES`. Trained with, :data:`OBJECTIVES`, can be
these also, all but the last for [time, batch, class]::

    lts    CE( O(T), y )                                            the last step's output
    tmc    (1/T) Σ_t [ CE( O(t), y ) + (p_y / p_other)^((T−t)/T) ]  t = 0 … T−1
    trt    (1/T) Σ_t [ (1−η) CE( O(t), y ) + η MSE( O(t), onehot(y) ) + R_t(w) ]
    ce     CE( O, y )                                               for [batch, class]

In tmc, p is the softmax of the mean of O(0) … O(t), all but O(t) taken as constants; p_y is its mean over the batch at
the label and p_other what is left, as in the authors' code. So the second term is one number a batch and not one an
image: a landscape can be made of sdt, tet, lts and ce, and not of tmc. R_t, trt's term of the weights, is
:func:`models.training.objective.weight_term`.

All may carry the paper's regulariser (equations 12 and 13), which pulls every logit toward φ, the threshold::

    L = (1 − λ) L_SDT|TET + λ (1/T) Σ_t MSE( O(t), φ )

The mean square runs over batch, time and all classes. The paper and its code have the regulariser with TET alone, with
λ = 0.05 (CIFAR) or 0.001 (ImageNet, DVS-CIFAR10) and φ = 1. Cross-entropy of logits is convex in them, so Jensen's
inequality gives L_SDT ≤ L_TET (lemma 4.1), with equality at T = 1.

Sources: Deng, Li, Zhang, Gu, "Temporal Efficient Training of Spiking Neural Network via Gradient Re-weighting",
ICLR 2022. lts: the loss of IMP, 2024. tmc: Yan et al., "Training High Performance Spiking Neural Network by Temporal
Model Calibration", ICML 2025, and its code. trt: "Temporal Regularization Training", arXiv 2506.19256, and its code.
"""

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import cross_entropy, one_hot

Logits = Float[Tensor, "time batch class"]
Labels = Int[Tensor, " batch"]
Each = Float[Tensor, " batch"]


@runtime_checkable
class Loss(Protocol):
    """A loss of logits [time, batch, class], or [batch, class], and labels [batch].

    ``mse_weight`` is the paper's λ, ``mse_target`` its φ. ``reduction`` is "mean" (a scalar) or "none" (one value per
    image, whose mean is that scalar). Raises ValueError for a λ outside [0, 1] and for another reduction.
    """

    def __call__(
        self,
        logits: Float[Tensor, "*time batch class"],
        labels: Labels,
        *,
        mse_weight: float = 0.0,
        mse_target: float = 1.0,
        label_smoothing: float = 0.0,
        reduction: str = "mean",
        **own: float,
    ) -> Float[Tensor, "*batch"]:
        """The loss; ``own`` are arguments that it alone has."""


def _regularised(entropy: Callable[..., Each]) -> Loss:
    """The loss whose value of each image is ``entropy(logits, labels, label_smoothing)``, with the regulariser."""

    def loss(
        logits: Logits,
        labels: Labels,
        *,
        mse_weight: float = 0.0,
        mse_target: float = 1.0,
        label_smoothing: float = 0.0,
        reduction: str = "mean",
        **own: float,
    ) -> Float[Tensor, "*batch"]:
        if not 0 <= mse_weight <= 1:
            raise ValueError(f"mse_weight (the paper's lambda) must lie in [0, 1], got {mse_weight}")
        if reduction not in ("mean", "none"):
            raise ValueError(f"reduction must be 'mean' or 'none', got {reduction!r}")
        each = entropy(logits, labels, label_smoothing, **own)
        if mse_weight:
            each = (1 - mse_weight) * each + mse_weight * (logits - mse_target).square().mean((0, 2))
        return each.mean() if reduction == "mean" else each

    for name in ("__module__", "__name__", "__qualname__", "__doc__"):  # functools.wraps would give its signature too
        setattr(loss, name, getattr(entropy, name))
    return loss


@_regularised
def sdt_loss(logits: Logits, labels: Labels, label_smoothing: float) -> Each:
    """Cross-entropy of the mean over time."""
    return cross_entropy(logits.mean(0), labels, reduction="none", label_smoothing=label_smoothing)


@_regularised
def tet_loss(logits: Logits, labels: Labels, label_smoothing: float) -> Each:
    """Mean over time of the cross-entropy at each step."""
    return _step_entropies(logits, labels, label_smoothing).mean(0)


@_regularised
def lts_loss(logits: Logits, labels: Labels, label_smoothing: float) -> Each:
    """Cross-entropy of the last step."""
    return cross_entropy(logits[-1], labels, reduction="none", label_smoothing=label_smoothing)


@_regularised
def tmc_loss(logits: Logits, labels: Labels, label_smoothing: float) -> Each:
    """TET's loss and the batch's calibration term, which is the same for each image.

    Of a batch in pieces (``--accumulate``) each piece has a term of its own, as it has BatchNorm statistics of its own.
    """
    time, steps = len(logits), logits.new_ones(len(logits)).cumsum(0)
    past = logits.detach().cumsum(0) - logits.detach()
    mean = (past + logits) / steps[:, None, None]
    at_label = one_hot(labels, logits.shape[-1]).to(logits.dtype)
    right, other = ((mean.softmax(-1) * part).sum(-1).mean(1) for part in (at_label, 1 - at_label))
    term = (right / other).pow((time + 1 - steps) / time).mean()
    return _step_entropies(logits, labels, label_smoothing).mean(0) + term


@_regularised
def trt_loss(logits: Logits, labels: Labels, label_smoothing: float, eta: float = 0.05) -> Each:
    """TRT without its term of the weights; ``eta`` is the share of the square error to the one-hot label."""
    if not 0 <= eta <= 1:
        raise ValueError(f"eta, the share of the square error in TRT's loss, must lie in [0, 1], got {eta}")
    entropy = _step_entropies(logits, labels, label_smoothing).mean(0)
    square = (logits - one_hot(labels, logits.shape[-1]).to(logits.dtype)).square().mean((0, 2))
    return (1 - eta) * entropy + eta * square


def ce_loss(logits: Float[Tensor, "batch class"], labels: Labels, **settings: Any) -> Float[Tensor, "*batch"]:
    """Cross-entropy of logits without time, with the ``settings`` of the others at T = 1."""
    return sdt_loss(logits[None], labels, **settings)


def _step_entropies(logits: Tensor, labels: Tensor, label_smoothing: float) -> Tensor:
    """The cross-entropy of each image at each step, [time, batch]."""
    steps = labels.expand(len(logits), -1)
    return cross_entropy(
        logits.flatten(0, 1), steps.flatten(), reduction="none", label_smoothing=label_smoothing
    ).view_as(steps)


LOSSES: dict[str, Callable[..., Tensor]] = {"sdt": sdt_loss, "tet": tet_loss}
"""What landscapes are made of, and what every run's history shows: one value an image each."""

OBJECTIVES: dict[str, Callable[..., Tensor]] = LOSSES | {
    "lts": lts_loss, "tmc": tmc_loss, "trt": trt_loss, "ce": ce_loss,
}  # fmt: skip
"""What ``--loss`` names: all that a network can be trained with by a name."""
