"""Whether a network is as often right as it is confident: the expected calibration error, and how far to trust it.

An image's confidence c is the largest softmax probability of the mean output. Bins are of equal width, bin k of K
holding the confidences in ((k − 1)/K, k/K] (Naeini, Cooper, Hauskrecht 2015; Guo, Pleiss, Sun, Weinberger 2017, with
K = 15)::

    ECE = Σ_k (n_k/n) |accuracy_k − mean confidence_k| = (1/n) Σ_k |Σ_{i in k} (right_i − c_i)|

**It is biased upward.** Each bin's absolute value is of a difference that never vanishes in a finite sample, so that a
perfectly calibrated network has an ECE above zero, the more so the fewer the images and the less sure it is. That level
is ``null``: the mean ECE of the same confidences if each image were right with probability c (consistency resampling:
Bröcker and Smith 2007). An ECE near its null is no sign of miscalibration, and differences of ECE between networks are
to be read beside the difference of their nulls. ``stderr`` is the bootstrap's standard deviation over images; the
bootstrap's mean is not used, since it carries the bias twice.

The signed and unbiased companion is mean confidence minus accuracy: overconfidence on the whole.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from .flags import BINS

RESAMPLES = 200


@dataclass(frozen=True)
class Calibration:
    """The ECE, its standard error over images, and what perfect calibration would show."""

    ece: float
    stderr: float
    null: float


def calibration(
    confidence: Float[np.ndarray, " image"],
    right: Bool[np.ndarray, " image"] | Float[np.ndarray, " image"],
    *,
    generator: np.random.Generator,
    bins: int = BINS,
    resamples: int = RESAMPLES,
) -> Calibration:
    """The calibration of predictions with these confidences, in [0, 1], ``right`` (1) or wrong (0); NaN where one is.

    Raises ValueError for fewer than one bin or two resamples.
    """
    if bins < 1 or resamples < 2:
        raise ValueError(f"calibration takes at least 1 bin and 2 resamples, got {bins} and {resamples}")
    place = np.clip(np.ceil(np.nan_to_num(confidence) * bins).astype(np.int64) - 1, 0, bins - 1)
    excess, images = right - confidence, len(right)
    chosen = (generator.integers(images, size=images) for _ in range(resamples))
    again = [_ece(place[one], excess[one]) for one in chosen]
    ideal = [_ece(place, (generator.random(images) < confidence) - confidence) for _ in range(resamples)]
    return Calibration(_ece(place, excess), float(np.std(again, ddof=1)), float(np.mean(ideal)))


def _ece(place: Int[np.ndarray, " image"], excess: Float[np.ndarray, " image"]) -> float:
    return float(np.abs(np.bincount(place, excess)).sum() / len(place))
