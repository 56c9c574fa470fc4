"""What momentum would keep of gradients that are noise: nulls of coherence, and of the part of their length kept.

With a moving average's weights w_b ∝ β^(K−b) on the gradients g_b of K batches, Σ_b w_b = 1, momentum keeps
‖Σ_b w_b g_b‖ / Σ_b w_b ‖g_b‖ of their length. In many dimensions lengths are their root mean squares, and noise keeps::

    √( Σ_b w_b² V_b + Σ_(b≠c) w_b w_c C_bc ) / Σ_b w_b √V_b,        V_b = E‖g_b‖²,   C_bc = E⟨g_b, g_c⟩

so all hangs on C, which depends on how the batches were drawn **and on what has mean zero**: the gradients of the
images drawn from (their loss has no gradient), or of the distribution that these are a sample of (then a pool of n
images has a gradient by chance, of squared length σ²/n, and momentum keeps that one whole).

======================================  ==================================  =========================================
batches of B images                     the images drawn from have mean 0   these are a sample: distribution has mean 0
======================================  ==================================  =========================================
each drawn anew                         C = 0: :func:`coherence_null`       C = V B/n: :func:`sampled_null`
one pass over all n                     C = −V B/(n − B): `low` of          C = 0: `high` of
                                        :func:`epoch_nulls`                 :func:`epoch_nulls`
======================================  ==================================  =========================================

The first needs nothing but that E[g_b | all before] = 0. So it holds with BatchNorm, which ties a batch's images
together, with augmentation, and while weights move, which earlier batches moved. The second takes g_b for a mean over
images, which in training mode BatchNorm makes it only nearly. The others are of a training run's own steps:
:func:`epoch_nulls`. ḡ of the same batches taken away leaves no noise to be a null: g_b − ḡ sum to zero.
"""

from collections.abc import Sequence

import numpy as np


def coherence_null(beta: float, batches: int) -> float:
    """Of batches drawn independently of each other, from images whose own gradient is zero: √Σ_b w_b², which is::

    √( (1−β)(1+β^K) / ((1+β)(1−β^K)) )        →  √((1−β)/(1+β))  as K → ∞
    """
    rest = beta**batches
    return float(((1 - beta) * (1 + rest) / ((1 + beta) * (1 - rest))) ** 0.5)


def sampled_null(beta: float, batches: int, *, size: int, images: int) -> float:
    """Of batches of ``size`` drawn so from ``images`` whose gradients are i.i.d. with mean zero: √(s + (1 − s) B/n).

    s = Σ_b w_b², the square of :func:`coherence_null`. 1 for batches of all images, which are one and the same.
    """
    alone = coherence_null(beta, batches) ** 2
    return float((alone + (1 - alone) * size / images) ** 0.5)


def epoch_nulls(beta: float, sizes: Sequence[int]) -> tuple[float, float]:
    """Of an epoch's own steps, which go once over n = Σ_b B_b images in batches of ``sizes``: low and high.

    Both are √(Σ_b w_b²/B_b − c) / Σ_b w_b √(1/B_b − c), low with c = 1/n and high with c = 0 (which is
    :func:`coherence_null`, up to the smaller batch at the end). Low is for images of mean zero whose gradients stay
    what they are during the epoch: what the first batches held the last can't. High is for images never seen before,
    as in the first epoch, and for weights that move, or views that change, so far that an image's gradients g_i(b) at
    two steps have nothing to do with each other. In general, with mean_i g_i(b) = 0 and mean_i ‖g_i(b)‖² = S² at every
    step, and weights that would have gone the same way in another order of the images::

        E‖Σ_b w_b g_b‖² = S² Σ_b w_b²/B_b − mean_i ‖Σ_b w_b g_i(b)‖² / n

    whose last term lies between 0 and S²/n. So noise keeps low at least, and high / √(1 − max B/n) at most; where in
    between isn't known of a run.

    Low is NaN for an epoch of one batch, which has no noise. Raises ValueError for no batch or one of no images.
    """
    if not sizes or min(sizes) < 1:
        raise ValueError(f"an epoch's batches hold at least one image each, got sizes {list(sizes)}")
    each = np.asarray(sizes, float)
    weights = beta ** np.arange(len(each) - 1, -1, -1.0)
    weights /= weights.sum()
    return _kept(weights, each, 1 / each.sum()) if len(each) > 1 else float("nan"), _kept(weights, each, 0.0)


def _kept(weights: np.ndarray, sizes: np.ndarray, shared: float) -> float:
    square = max(0.0, float(weights**2 @ (1 / sizes)) - shared)
    return float(square**0.5 / (weights @ np.sqrt(1 / sizes - shared)))
