"""The two losses that the paper compares, for logits O(t) at each of T steps.

Standard direct training (SDT, equation 7) is the cross-entropy of the mean logits; temporal efficient training (TET,
equation 9) is the mean over time of the cross-entropy at each step::

    L_SDT = CE( (1/T) Σ_t O(t), y )              L_TET = (1/T) Σ_t CE( O(t), y )

Either may carry the paper's regulariser (equations 12 and 13), which pulls every logit toward φ, the threshold::

    L = (1 − λ) L_SDT|TET + λ (1/T) Σ_t MSE( O(t), φ )

The mean square runs over batch, time and all classes. The paper and its code have the regulariser with TET alone, with
λ = 0.05 (CIFAR) or 0.001 (ImageNet, DVS-CIFAR10) and φ = 1. Cross-entropy of logits is convex in them, so Jensen's
inequality gives L_SDT ≤ L_TET (lemma 4.1), with equality at T = 1.

Source: Deng, Li, Zhang, Gu, "Temporal Efficient Training of Spiking Neural Network via Gradient Re-weighting",
ICLR 2022.
"""

from collections.abc import Callable

from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import cross_entropy


def sdt_loss(
    logits: Float[Tensor, "time batch class"],
    labels: Int[Tensor, "batch"],
    *,
    mse_weight: float = 0.0,
    mse_target: float = 1.0,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
) -> Float[Tensor, "*batch"]:
    """Cross-entropy of the mean over time. Arguments are those of :func:`tet_loss`."""
    entropy = cross_entropy(logits.mean(0), labels, reduction="none", label_smoothing=label_smoothing)
    return _reduce(_regularised(entropy, logits, mse_weight, mse_target), reduction)


def tet_loss(
    logits: Float[Tensor, "time batch class"],
    labels: Int[Tensor, "batch"],
    *,
    mse_weight: float = 0.0,
    mse_target: float = 1.0,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
) -> Float[Tensor, "*batch"]:
    """Mean over time of the cross-entropy at each step.

    ``mse_weight`` is the paper's λ, ``mse_target`` its φ. ``reduction`` is "mean" (a scalar) or "none" (one value per
    image, whose mean is that scalar).
    """
    steps = labels.expand(len(logits), -1)
    entropy = cross_entropy(
        logits.flatten(0, 1), steps.flatten(), reduction="none", label_smoothing=label_smoothing
    ).view_as(steps)
    return _reduce(_regularised(entropy.mean(0), logits, mse_weight, mse_target), reduction)


def _regularised(entropy: Tensor, logits: Tensor, mse_weight: float, mse_target: float) -> Tensor:
    if not 0 <= mse_weight <= 1:
        raise ValueError(f"mse_weight (the paper's lambda) must lie in [0, 1], got {mse_weight}")
    if mse_weight == 0:
        return entropy
    return (1 - mse_weight) * entropy + mse_weight * (logits - mse_target).square().mean((0, 2))


def _reduce(loss: Tensor, reduction: str) -> Tensor:
    if reduction not in ("mean", "none"):
        raise ValueError(f"reduction must be 'mean' or 'none', got {reduction!r}")
    return loss.mean() if reduction == "mean" else loss


LOSSES: dict[str, Callable[..., Tensor]] = {"sdt": sdt_loss, "tet": tet_loss}
