"""What measures are set against: gaps between training images and test images, as they are or shifted.

``loss`` and ``accuracy`` are measures of their own. Those to shifted images are made of two: the mean over shifts and
severities (:mod:`analysis.compare.shifted`) less the loss on training images as they are; of accuracies the other way
round. So they hold the usual gap, and what shifting adds to it.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float

from tables.measures import family

from .flags import Gap

GAPS: dict[Gap, str] = {"loss": "gap_in_loss", "accuracy": "gap_in_accuracy"}
_SHIFTED: dict[Gap, str] = {"shifted_loss": "train_loss", "shifted_accuracy": "train_accuracy"}
Values = Mapping[tuple[str, str], Float[np.ndarray, " network"]]


def gaps_of(wide: Values, loss: str, asked: Sequence[Gap]) -> dict[str, Float[np.ndarray, " network"]]:
    """The gaps ``asked`` for of every network, from its measures by (id, loss); those of losses are of ``loss``.

    What isn't there of loss and accuracy is left out. Raises ValueError for shifted images that networks weren't shown,
    or not all the same ones.
    """
    found: dict[str, Float[np.ndarray, " network"]] = {}
    for name in dict.fromkeys(asked):
        if name in _SHIFTED:
            found[name] = _to_shifted(wide, name, loss)
        elif (key := (GAPS[name], loss if name == "loss" else "")) in wide:
            found[name] = wide[key]
    return found


def _to_shifted(wide: Values, name: Gap, loss: str) -> Float[np.ndarray, " network"]:
    of = loss if name == "shifted_loss" else ""
    there = [measure for measure, one in wide if family(measure) == name and one == of]
    if len(there) > 1:
        raise ValueError(f"not all networks were shown the same shifted images: {', '.join(there)}")
    if not there or (_SHIFTED[name], of) not in wide:
        raise ValueError(
            f"no {name.replace('_', ' ')}: table robustness needs each network on shifted test images, as measures = "
            '[…, "timesteps", "shifted"] in a sweep\'s plan writes it'
        )
    sign = 1 if name == "shifted_loss" else -1
    return sign * (wide[there[0], of] - wide[_SHIFTED[name], of])
