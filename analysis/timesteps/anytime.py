"""Anytime inference: a network that stops when it is confident, and what it gains over a fixed number of steps.

After each step t the network looks at the mean output so far; it stops at the first t where its largest softmax
probability is at least a threshold θ, or at the last step where it never is. θ = 0 stops every image at the first step,
and a θ that is never reached is inference with all steps; in between, easy images take few steps and hard ones many.

**Against what.** With θ the steps used are m on average, and accuracy alone says little. The fair rival spends m steps
on average without looking: with m between the whole numbers a and a + 1 it gives each image a steps or one more, by a
coin, and its accuracy lies on the straight line between A(a) and A(a + 1). ``gain`` is the accuracy above that. All of
it is of the same images, so its standard error is that of the paired differences::

    gain_i = right_i(θ) − [(1 − w) right_i(a) + w right_i(a + 1)] − [A(a + 1) − A(a)] (steps_i − m),   w = m − a

whose last term, of mean zero, carries the error of m itself to first order. A threshold picked because it looks best on
test images is no longer measured by them: the table has the training images too.

Softmax confidences are the network's own, calibrated or not: the same θ means different things to two networks.
"""

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

Answers = Bool[np.ndarray, "time image"] | Float[np.ndarray, "time image"]


def check_thresholds(thresholds: tuple[float, ...]) -> None:
    """Raise ValueError for none, or one outside [0, 1]."""
    if not thresholds or not all(0 <= threshold <= 1 for threshold in thresholds):
        raise ValueError(f"--thresholds takes probabilities between 0 and 1, at least one, got {list(thresholds)}")


def anytime(confidence: Float[np.ndarray, "time image"], right: Answers, thresholds: tuple[float, ...]) -> pd.DataFrame:
    """A row for each threshold, in rising order; ``confidence`` and ``right`` of the mean output up to each step.

    Both are NaN where that is no answer: nothing stops there, and what is made of it is NaN.

    Columns: threshold, mean_steps, accuracy, fixed_accuracy (the rival's), gain, each of these but the rival's with its
    ``_stderr`` over images, and undecided, the share of images that never reach the threshold.
    """
    return pd.DataFrame([_row(confidence, right, threshold) for threshold in sorted(thresholds)])


def _row(confidence: np.ndarray, right: np.ndarray, threshold: float) -> dict[str, float]:
    reached = confidence >= threshold
    decided = reached.any(0)
    steps = np.where(decided, reached.argmax(0) + 1, len(reached))
    hits = right[steps - 1, np.arange(len(steps))].astype(float)
    mean = steps.mean()
    fewer, more = (right[int(bound) - 1].astype(float) for bound in (np.floor(mean), np.ceil(mean)))
    weight, slope = mean - np.floor(mean), more.mean() - fewer.mean()
    rival = (1 - weight) * fewer + weight * more
    found = {"mean_steps": steps, "accuracy": hits, "gain": hits - rival - slope * (steps - mean)}
    row = {"threshold": threshold, "fixed_accuracy": float(rival.mean()), "undecided": float((~decided).mean())}
    for name, values in found.items():
        row |= {name: float(values.mean()), f"{name}_stderr": _stderr(values)}
    return row


def _stderr(values: np.ndarray) -> float:
    return float(values.std(ddof=1) / len(values) ** 0.5) if len(values) > 1 else float("nan")
