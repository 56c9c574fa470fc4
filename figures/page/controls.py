"""What controls of known answer say of each measure, as a section of the page; nothing where they weren't made."""

from tables.controls import FAILED, wide

from ..words.comparison import Tables
from .markup import folded, prose, table

_ABOUT = (
    "A measure of flatness is worth believing only where it passes controls whose answer is known beforehand: trained "
    "to be flat (sam), the same function rescaled, random labels, two halves of one method's seeds (halves), the "
    "same decisions with other logits (confident), curvature changed otherwise (counter), flatness forced step by step."
)


def passed(tables: Tables) -> str:
    """Measure by control, in words, folded; which measures fail one stands before it."""
    if "controls" not in tables:
        return ""
    frame = wide(tables["controls"])
    names = list(frame.columns[4:])
    rows = [[prose(row["title"]), *(prose(row[name] or "–") for name in names)] for _, row in frame.iterrows()]
    fails = frame[names].apply(lambda column: column.str.startswith(FAILED)).any(axis=1)
    said = f"<p>{prose(_ABOUT)} {int(fails.sum())} of {len(frame)} measures fail one or more here.</p>"
    return said + folded("Measures put to controls", table("Measures put to controls", ["measure", *names], rows))
