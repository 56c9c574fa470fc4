"""Measures of the loss around the weights, from tables surface, shapes and rise: how it rises, with which radius."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from tables.measures import MEASURES

from .rows import KEYS, rows, whole_mean

_RADIUS = 0.5  # that the mean rise on a surface is taken within, and rises with logits at one scale are taken at


def _of_minimum(table: pd.DataFrame) -> pd.DataFrame:
    """Random directions, and training images where there are others too."""
    if "directions" in table:
        table = table[table["directions"] == "random"]
    return table[table["split"] == "train"] if table["split"].nunique() > 1 else table


def surface(table: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """Mean rise above the centre within half a unit of it, on random lines and planes; invariant by the normalization.

    A surface that doesn't reach that far, or lacks its centre, has no such number.
    """
    table = _of_minimum(table)
    for kind in ("line", "plane"):
        chosen = table[table["kind"] == kind]
        keys = [*KEYS, "loss", "draw"]
        reach = chosen.groupby(keys)["alpha"].transform("max")
        chosen = chosen[reach >= _RADIUS]
        centre = chosen[(chosen["alpha"] == 0) & (chosen["beta"] == 0)].set_index(keys)["value"]
        near = chosen[np.hypot(chosen["alpha"], chosen["beta"]) <= _RADIUS].set_index(keys)
        near = near[near.index.isin(centre.index)]
        near["rise"] = near["value"] - centre.reindex(near.index)
        plan = {"rise": ("rise", whole_mean)} | ({"images": ("images", "max")} if "images" in near else {})
        rise = near.groupby(keys, sort=False).agg(**plan).reset_index()
        if len(rise):
            yield rows(rise, MEASURES["rise_within"].asked(kind, f"{_RADIUS:g}"), "rise")


def shapes(table: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """What random lines and planes of training images look like, as means over draws.

    Radii as 1/r, smaller at a flatter minimum, where every surface reached the level: else the mean means nothing.
    """
    for kind, chosen in _of_minimum(table).groupby("kind", sort=False):
        rise = f"{chosen['rise'].iloc[0]:g}"
        for radius, measure in (
            ("doubling_radius", MEASURES["inverse_doubling_radius"].asked(str(kind))),
            ("half_width", MEASURES["inverse_half_width"].asked(str(kind), rise)),
        ):
            reached = chosen.get(radius.replace("_radius", "") + "_reached", pd.Series(True))
            if reached.ne(False).all():
                yield rows(chosen.assign(inverse=1 / chosen[radius]).dropna(subset="inverse"), measure, "inverse")
        for name in ("roughness", "persistence"):
            yield rows(chosen, MEASURES[name].asked(str(kind)), name)


def rises(table: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """The rise at half a unit with every network's logits brought to one scale, and how large they are as they are.

    Neither has to do with the other: a network that multiplies its logits changes the second alone.
    """
    table = _of_minimum(table)
    for along in ("plane", "noise"):
        at = (table["along"] == along) & (table["logits"] == "network") & np.isclose(table["radius"], _RADIUS)
        if at.any():
            yield rows(table[at], MEASURES["rise_at_one_scale"].asked(along, f"{_RADIUS:g}"), "rise")
    if "rms" in table:
        yield rows(table.drop(columns="loss"), MEASURES["logit_scale"], "rms")
