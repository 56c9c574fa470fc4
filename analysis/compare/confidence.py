"""Whether a row's flatter side is still that with logits at one scale, so that confidence and flatness come apart.

The rise of a loss grows with the scale of the logits. A row that names a flatter method is held against the curves of
the rise with each network's logits over their own root mean square (:mod:`landscape.sharpness.logit_scale`), at the
radius and along what the row is about: noise or surfaces of a stated radius, 1/radius at the radius that it is; what is
measured at the weights themselves, at the smallest radius of the curves. There the difference's own interval decides,
as that of every row does; the band that holds all radii at once, which crossovers are read from, is wider, and would
doubt a row for what it says of other radii.
"""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from tables.measures import family

_AT_SURFACES = ("rise_within", "inverse_doubling_radius", "inverse_half_width")


def depends_on_scale(row: Mapping[str, Any], curves: pd.DataFrame) -> bool:
    """Whether ``row`` of the comparison names a flatter side that the rise with scaled logits doesn't name, there.

    ``curves`` are those of :func:`analysis.compare.rises.against`, whose column ``here`` is read, by pairs or without
    them as the row is. False where it names none, and where the curves don't have that loss.
    """
    if not row["flatter"] or curves.empty:
        return False
    along, radius = _place(row)
    own = curves[(curves["method"] == row["method"]) & (curves["loss"] == row["loss"]) & (curves["along"] == along)]
    own = own[own["logits"] == "network"]
    if own.empty:
        return False
    nearest = own.loc[(own["radius"] - radius).abs().idxmin()]
    return bool(nearest["here"] != row["flatter"])


def _place(row: Mapping[str, Any]) -> tuple[str, float]:
    """What a row's numbers were taken along, and at which radius; 0 for the weights themselves."""
    name, (kind, *asked) = family(row["measure"]), row["measure"].partition("[")[2].rstrip("]").split(",")
    if name == "rise_within":
        return kind, float(asked[0])
    if name in _AT_SURFACES:
        mean = (row["reference_mean"] + row["method_mean"]) / 2
        return kind, 1 / mean if mean > 0 else 0.0
    if name == "average_rise":
        return "noise", float(kind)
    return "noise", 0.0
