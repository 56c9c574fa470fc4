"""Controls that compare two ways of training, paired by seed.

- **sam** (Foret et al. 2021; Kwon et al. 2021): trained to be flat at its radius. A measure has to call it flatter.
- **random-labels** (Zhang et al. 2017): memorised, so that the gap is as large as can be. A measure passes where it
  calls these minima sharper, and fails where it calls them flatter. Nothing is said where they weren't memorised, or
  their gap isn't larger.
- **counter** (Kaur, Cohen, Lipton 2023): the learning rate, or the batch size, changes curvature, and the gap need not
  follow. Passed where the measure and the gap go the same way, failed where they go opposite ways.

Intervals are Student's over seeds, of 95 % and one row at a time: of twenty measures that decide nothing, one is
decided by chance.
"""

from dataclasses import replace

import numpy as np

from tables.controls import FAILED, PASSED, UNDECIDED

from .answers import Answer, Measured, change, side

MEMORISED = 0.9
_NONE = Answer(UNDECIDED, why="not measured on both sides")


def flatter(measure: Measured, base: str, other: str) -> Answer:
    """Whether ``measure`` calls ``other`` flatter than ``base``, as it is."""
    found = change(measure.of(base), measure.of(other))
    if found is None:
        return _NONE
    verdict = {-1: PASSED, 0: UNDECIDED, 1: FAILED}[side(found.low, found.high, found.n)]
    return replace(found, verdict=verdict, unit=measure.head["unit"])


def memorised(measure: Measured, base: str, other: str, gap: Measured, accuracy: Measured) -> Answer:
    """Whether ``measure`` calls networks that memorised random labels, ``other``, no flatter than others."""
    found = change(measure.of(base), measure.of(other))
    if found is None:
        return _NONE
    found = replace(found, unit=measure.head["unit"])
    right = float(accuracy.of(other).mean())
    if not right >= MEMORISED:
        return replace(found, why=f"not memorised: {right:.0%} of the random labels are learned")
    larger = change(gap.of(base), gap.of(other))
    if larger is None or side(larger.low, larger.high, larger.n) <= 0:
        return replace(found, why="the gap isn't decidedly larger with random labels")
    verdict = {1: PASSED, 0: UNDECIDED, -1: FAILED}[side(found.low, found.high, found.n)]
    return replace(found, verdict=verdict)


def follows(measure: Measured, gap: Measured, less: str, more: str) -> Answer:
    """Whether the gap goes where ``measure`` goes, from ``less`` to ``more`` of a setting."""
    found, other = change(measure.of(less), measure.of(more)), change(gap.of(less), gap.of(more))
    if found is None:
        return _NONE
    found = replace(found, unit=measure.head["unit"])
    if other is None:
        return replace(found, why="no gap on both sides")
    signs = side(found.low, found.high, found.n) * side(other.low, other.high, other.n)
    said = f"gap {other.value:+.3g} ({_number(other.low)} … {_number(other.high)})"
    why = "; ".join(filter(None, (said, found.why)))
    return replace(found, verdict={1: PASSED, 0: UNDECIDED, -1: FAILED}[signs], why=why)


def _number(value: float) -> str:
    return "unknown" if np.isnan(value) else f"{value:.3g}"
