"""How early a spiking network makes up its mind: predictions with fewer steps against the final one.

The final prediction is that of the mean output over all T steps, the largest T measured. For each image and T' ≤ T:

- ``agreement_cumulative``: whether the class of the mean over the first T' steps is the final one; 1 at T' = T
- ``agreement_at_step``: whether the class of O(T') alone is
- ``settling``: whether T' is the first number of steps measured from which the former stays the final class. Its mean
  over images is a distribution over T' (it sums to one), and its sum up to T' the share that is settled by then, which
  is less than the agreement at T' where predictions come and go.

Where what is said isn't known (NaN), at a step alone or of outputs that aren't finite, neither is whether it agrees.

Nothing here asks whether a prediction is right, and T is the reader's choice: with a larger one less is settled.
"""

import torch
from jaxtyping import Float64, Num
from torch import Tensor


def agreement(
    cumulative: Num[Tensor, "time batch"], at_step: Num[Tensor, "time batch"]
) -> dict[str, Float64[Tensor, "time batch"]]:
    """Each of the columns above as 0 or 1 for every T' and image, from the classes predicted."""
    final = cumulative[-1]
    agrees = _same(cumulative, final)
    settled = agrees.flip(0).cumprod(0).flip(0)
    before = torch.cat([torch.zeros_like(settled[:1]), settled[:-1]])
    return {
        "agreement_cumulative": agrees,
        "agreement_at_step": _same(at_step, final),
        "settling": settled - before,
    }


def _same(classes: Tensor, final: Tensor) -> Tensor:
    """1 where they are, else 0; NaN where one isn't known."""
    return (classes == final).double().where(~(classes.isnan() | final.isnan()), torch.nan)
