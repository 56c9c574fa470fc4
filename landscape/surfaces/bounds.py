"""How sure one may be of a root mean square: of errors seen at a few random places, and of a field that is all noise.

**Seen at m of U places, drawn at random.** Were the errors normal, m times their mean square over the true one would be
χ² with m degrees of freedom. Errors of an interpolant have heavier tails: the degrees of freedom are those that give
the mean square the variance it is seen to have (Satterthwaite 1946), ν = 2 m² q²/Σ(e² − q)², never more than m.

**A field of noise.** The sampling error of a surface is the same examples' at every point, so that its mean square over
the plane is no average of many independent ones, but Σ λₖ zₖ² with the eigenvalues of its covariance: mean tr C, and
ν = (tr C)²/tr C² degrees of freedom, which the covariance of a few examples makes too few rather than too many.
"""

import numpy as np
from jaxtyping import Float
from scipy.special import gammaincinv

CONFIDENCE = 0.95


def seen_bound(errors: Float[np.ndarray, " place"], confidence: float) -> float:
    """An upper bound of the mean square error at all places, from those drawn at random; inf for none or nonfinite."""
    squares = np.square(errors)
    if not len(squares) or not np.isfinite(squares).all():
        return float("inf")
    mean, spread = squares.mean(), np.square(squares - squares.mean()).sum()
    freedom = min(float(len(squares)), 2 * (len(squares) * mean) ** 2 / spread) if spread > 0 else float(len(squares))
    return float(mean * freedom / _chi_square(1 - confidence, freedom))


def field_quantile(factors: Float[np.ndarray, "place factor"], confidence: float) -> float:
    """The quantile of the mean square over places of a normal field, over its mean.

    ``factors`` F give its covariance, F Fᵀ, up to a number. 1 for a field of zeros.
    """
    gram = factors.T @ factors
    if not np.trace(gram) > 0:
        return 1.0
    freedom = float(np.trace(gram) ** 2 / np.square(gram).sum())
    return float(_chi_square(confidence, freedom) / freedom)


def _chi_square(share: float, freedom: float) -> float:
    """The value that ``share`` of a χ² variable lies below: what scipy.stats computes, which takes long to import."""
    return float(2 * gammaincinv(freedom / 2, share))
