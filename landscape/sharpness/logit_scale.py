"""Losses of logits brought to one scale, so that confidence and flatness come apart.

Cross-entropy is not scale-free: with the logits z of a network that has learned its examples, a larger c lowers the
loss of c·z at the weights and steepens it away from them, though no decision changes anywhere. Two networks of unequal
confidence therefore rise unequally at the same distance, whatever the shape of what they compute (Granziol 2020,
"Flatness is a false friend"; Andriushchenko, Croce, Müller, Hein, Flammarion 2023, ICML). Beside the loss of the
logits as they come, "plain", stand two that have lost their scale::

    network    ℓ(z/s, y)        s² = mean over examples i of s_i² at the weights as found: one number a network
    example    ℓ(z/s_i, y)      s_i of that example at that point, everywhere

    s_i²  =  mean over classes of (z_ik − z̄_i)²,        z̄_i the mean over classes

Confidence may still change along the way under the first; under the second it can't, and what is left is direction.

**About the classes' mean.** Softmax doesn't see what all logits have in common, so that this has no part in confidence,
and no part in s_i. It matters where training pulls all logits to one value, as the regulariser of TET does: a root mean
square about zero (``centred=False``) then takes the pull for confidence.

**Time first.** Of logits [time, batch, class] s_i is that of their mean over time, and all steps are divided by it:
the network's answer is the mean, and to divide it is to divide every step alike. Steps keep their sizes relative to
each other, so that a loss of single steps (TET) sees fluctuations that a loss of the mean (SDT) doesn't. Scaling every
step by itself would make another network of it.

**Which scale** they are brought to is a choice, and not without effect: the loss of near-certain answers and that of
hesitant ones weigh the same disturbance differently, so that who rises less close by can depend on it. Look at two, of
which one is near the networks' own.

An example whose logits are all equal has no scale and stays as it is: its loss is that of no preference.
"""

from collections.abc import Callable, Mapping
from typing import Any, Unpack

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..evaluation import Reading, Source
from ..objective import Objective, Parameters

LOGITS = ("plain", "network", "example")
MEAN_SQUARE = "mean square"
Loss = Callable[[Tensor, Tensor], Tensor]


def mean_square(logits: Any, *, centred: bool = True) -> Float[Tensor, " batch"]:
    """s_i² of each example. Raises ValueError for logits that are neither [batch, class] nor [time, batch, class]."""
    if not isinstance(logits, Tensor) or logits.ndim not in (2, 3):
        got = list(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise ValueError(f"logits must be [batch, class] or [time, batch, class], got {got}")
    answer = logits.mean(0) if logits.ndim == 3 else logits
    return (answer - answer.mean(1, keepdim=True) if centred else answer).square().mean(1)


def network_scale(
    model: nn.Module,
    batches: Source,
    *,
    centred: bool = True,
    pick: Callable[[Any], Any] = lambda returned: returned,
    parameters: Parameters | None = None,
    mode: str = "eval",
    **reading: Unpack[Reading],
) -> float:
    """s at the weights as found: one pass. Arguments are :class:`~landscape.objective.Objective`'s.

    ``pick`` takes the logits out of what the model returns.

    Raises ValueError where it is zero or not finite.
    """

    def squares(returned: Any, _target: object) -> Tensor:
        return mean_square(pick(returned), centred=centred)

    found = Objective(model, squares, batches, parameters=parameters, mode=mode, **reading)
    scale = float(found.examples().double().mean().sqrt())
    if not 0 < scale < float("inf"):
        raise ValueError(f"the logits at the weights have the root mean square {scale:g}: nothing can be scaled by it")
    return scale


def metric(loss: str, logits: str) -> str:
    """The name in :func:`scaled` of a loss with logits "plain", "network" or "example"."""
    return f"{loss}, {logits} logits"


def scaled(
    losses: Mapping[str, Loss], network: float, *, to: float = 1.0, centred: bool = True
) -> Callable[[Tensor, Tensor], dict[str, Tensor]]:
    """Metrics of one output: every loss in all three ways, named by :func:`metric`, and s_i² as ``MEAN_SQUARE``.

    ``network`` is :func:`network_scale`'s s; the second and third way bring the logits ``to`` this root mean square.
    Raises ValueError where one of these is not positive.
    """
    if not (network > 0 and to > 0):
        raise ValueError(f"scales must be positive, got {network:g} and {to:g}")

    def metrics(logits: Tensor, target: Tensor) -> dict[str, Tensor]:
        squares = mean_square(logits, centred=centred)
        own = torch.where(squares > 0, squares.sqrt() / to, 1)[:, None]
        ways = dict(zip(LOGITS, (logits, logits * (to / network), logits / own), strict=True))
        found = {metric(name, way): loss(ways[way], target) for name, loss in losses.items() for way in LOGITS}
        return found | {MEAN_SQUARE: squares}

    return metrics
