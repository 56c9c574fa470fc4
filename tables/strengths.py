"""A curve against the strength of a disturbance as one number: the one that comparison, sentences and pictures mean.

The mean over strengths between 0 and the largest (the area under the curve, by trapezoids, over its length); of
rounding, which has no 0, the mean over the numbers of bits.
"""

import numpy as np
import pandas as pd

UNROUNDED = 32  # bits: the weights as trained


def over_strengths(curve: pd.DataFrame, *, rounding: bool) -> tuple[pd.Series, str]:
    """The mean of each column of one checkpoint's curve, indexed by strength, and how far it reaches, in words.

    NaN where there is one strength alone. Weights as trained are no number of bits.
    """
    curve = curve.sort_index()
    if rounding:
        curve = curve.drop(index=UNROUNDED, errors="ignore")
        return curve.mean(skipna=False), f"to {', '.join(f'{bits:g}' for bits in curve.index)} bits"
    strength = curve.index.to_numpy()
    area = np.trapezoid(curve, strength, axis=0)
    return pd.Series(area / (np.ptp(strength) or np.nan), curve.columns), f"up to {strength[-1]:g}"


def undisturbed(curve: pd.DataFrame, *, rounding: bool) -> pd.Series:
    """The columns where nothing is disturbed; NaN where the curve doesn't say."""
    return curve.reindex([UNROUNDED if rounding else 0.0]).iloc[0]
