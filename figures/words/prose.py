"""Numbers, lists and clauses as prose has them."""

import math

from tables import words
from tables.reading import TableError

ALONE = "one method alone: there is nothing to compare"
listed = words.listed
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def number(value: float, digits: int = 3) -> str:
    """A number as prose has it: three significant digits, a true minus; a dash for what there isn't."""
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "infinite" if value > 0 else "−infinite"
    text = f"{value:.{digits}g}"
    if "e" in text:
        mantissa, exponent = text.split("e")
        plain = 0 < int(exponent) < 6
        text = f"{value:.0f}" if plain else f"{mantissa}·10{str(int(exponent)).translate(_RAISED)}"
    return text.replace("-", "−")


def sentence(*clauses: str) -> str:
    """Clauses as one sentence. Raises TableError where all are empty, as those of a comparison with nothing are."""
    text = "; ".join(clause for clause in clauses if clause)
    if not text:
        raise TableError(ALONE)
    return words.sentence(text)
