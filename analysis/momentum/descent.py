"""Mismatch of gradient and loss: the decrease of the loss that a direction promises, and the one it delivers.

Along a direction u, for a step η from the weights W with gradient ḡ::

    predicted = η ⟨ḡ, u⟩        realised = L(W) − L(W − ηu)        ratio = realised / predicted

The realised decrease is that of the *true* loss, over the very batches that ḡ is the mean gradient of, and in the same
BatchNorm mode. A smooth loss gives 1 as η → 0, and 1 − η uᵀHu / 2⟨ḡ, u⟩ before. Spikes are steps and ḡ is a surrogate:
the true loss is piecewise constant in every weight but those that no neuron follows (the head's), so as η → 0 the ratio
tends to the head's part of the prediction, ⟨ḡ, u⟩_head / ⟨ḡ, u⟩; what it is at the steps that training takes is what
Deng et al. 2022 (section 4.2) call the mismatch of gradients and losses, and do not measure.

Steps are chosen by their length relative to the weights, η‖u‖/‖W‖ (all trainable parameters, or those of one layer),
so that networks and directions compare. The shortest are a matter of rounding: in float32 the loss of an image is known
to some 1e-7.
"""

from collections.abc import Mapping, Sequence

import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from landscape.objective import Objective, Replay


def descent(
    objective: Objective,
    gradient: Float[Tensor, " dimension"],
    directions: Mapping[str, Float[Tensor, " part"]],
    *,
    relative_steps: Sequence[float],
    images: Int[Tensor, " size"],
    piece: slice = slice(None),
    before: Float[Tensor, " size"] | None = None,
) -> pd.DataFrame:
    """Rows of direction, step η, relative_step, predicted, realised, ratio, stderr; the weights come back bit for bit.

    ``gradient`` is ḡ, over the objective's batches. ``images`` says which image each example of the objective is: an
    image that is in several batches counts once in ``stderr``, the standard error of the ratio over images, with the
    prediction held fixed and the two losses paired. A direction that is zero gives NaN. Directions are of the ``piece``
    of the weights (a layer; by default all), the others stay, and relative steps are relative to that piece. ``before``
    are the examples' losses at the weights, where they are known.

    Raises ValueError for a relative step that is not positive.
    """
    if not all(step > 0 for step in relative_steps):
        raise ValueError(f"relative steps must be positive, got {', '.join(map(str, relative_steps))}")
    rows, replay = [], Replay(objective, _within(objective, piece))
    with objective.parameters.restored() as weights:
        known = (objective.examples() if before is None else before).double()
        for name, direction in directions.items():
            for relative in relative_steps:
                step = float(relative * weights[piece].norm() / direction.norm())
                moved = weights.clone()
                moved[piece] -= step * direction
                objective.parameters.assign(moved)
                decrease = known - replay.examples().double()
                predicted = step * float(gradient[piece].double() @ direction.double())
                rows.append({"direction": name, "step": step, "relative_step": relative, "predicted": predicted})
                rows[-1] |= _ratio(decrease, images.to(decrease.device), predicted)
    return pd.DataFrame(rows)


def _within(objective: Objective, piece: slice) -> list[nn.Parameter]:
    """The parameters that have entries in ``piece`` of the vector of all."""
    parameters, begin, found = objective.parameters, 0, []
    first, last, _ = piece.indices(parameters.dimension)
    for weight, size in zip(parameters.tensors, parameters.sizes, strict=True):
        if begin < last and begin + size > first:
            found.append(weight)
        begin += size
    return found


def _ratio(decrease: Tensor, images: Tensor, predicted: float) -> dict[str, float]:
    realised = decrease.mean()
    scale = torch.tensor(predicted, dtype=torch.float64)
    stderr = clustered_stderr(decrease, images).cpu() / scale.abs()
    return {"realised": float(realised), "ratio": float(realised.cpu() / scale), "stderr": float(stderr)}


def clustered_stderr(values: Float[Tensor, " size"], clusters: Int[Tensor, " size"]) -> Float[Tensor, ""]:
    """Standard error of the mean of ``values`` whose independent units are ``clusters``; sd/√n where each is alone."""
    names, index = clusters.unique(return_inverse=True)
    sums = values.new_zeros(len(names)).index_add(0, index, values - values.mean())
    return (sums.square().sum() * len(names) / (len(names) - 1)).sqrt() / len(values)
