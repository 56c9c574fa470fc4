"""Controls of one network: measured again as a copy that is known to differ in nothing that matters.

A measure passes where no network's value moves: by no more than 10⁻⁴ of itself. Random draws are the same for both,
scaled with the weights where a measure scales them, and copies compute the same digits (:mod:`.copies`), so that what
isn't moved by more than rounding is not moved at all; power iterations may stop a product sooner or later, which by
their own tolerance of the *residual*, 10⁻², is a second-order error in the value. ``value`` is the median over networks
of the new value over the old one, ``low`` and ``high`` the smallest and the largest.

Not every measure that fails claims to pass: a raw eigenvalue says of itself that it changes with the scale of weights.
"""

import numpy as np
import pandas as pd

from tables.controls import FAILED, PASSED, UNDECIDED
from tables.measures import CHANGES, INVARIANT

from .answers import Answer

TOLERANCE = 1e-4


def moved(before: "pd.Series[float]", after: "pd.Series[float]", *, control: str, claims: str) -> Answer:
    """Values of the same networks (by their index) before and after; ``claims`` is "invariant" or "changes"."""
    common = before.index.intersection(after.index)
    pairs = [(float(before[one]), float(after[one])) for one in common]
    pairs = [(old, new) for old, new in pairs if np.isfinite(old) and np.isfinite(new)]
    if not pairs:
        return Answer(UNDECIDED, unit="factor", why="not measured before and after")
    far = max(abs(new - old) - TOLERANCE * abs(old) for old, new in pairs) > 0
    factors = [new / old for old, new in pairs if old] or [np.nan]
    value, low, high = float(np.median(factors)), min(factors), max(factors)
    why = ""
    if control == "rescaled":
        why = {(True, CHANGES): "it says so itself", (True, INVARIANT): "and claims to be invariant"}.get(
            (far, claims), ""
        )
    return Answer(FAILED if far else PASSED, value, "factor", low, high, len(pairs), why=why)
