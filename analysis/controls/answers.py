"""What a control says of a measure: passed, failed or undecided, by how much, and why."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from tables.controls import UNDECIDED
from tables.interval import FEWEST

from ..compare.difference import difference

FLATNESS = ("flatness", "scale-free")  # sides whose smaller values are the flatter
OF_MINIMUM = (*FLATNESS, "complexity")


@dataclass(frozen=True)
class Answer:
    """``value`` with its interval ``low`` … ``high``, of ``n`` pairs or networks; ``why`` where a verdict needs it."""

    verdict: str
    value: float = np.nan
    unit: str = ""
    low: float = np.nan
    high: float = np.nan
    n: int = 0
    p: float = np.nan
    why: str = ""

    @property
    def row(self) -> dict[str, Any]:
        """The columns of table controls that an answer fills."""
        return dict(vars(self))


@dataclass(frozen=True)
class Measured:
    """A measure's values by method's label, each a series by seed."""

    head: Mapping[str, Any]
    sides: Mapping[str, "pd.Series[float]"]

    def of(self, label: str) -> "pd.Series[float]":
        """The values under a label, none where there are none."""
        return self.sides.get(label, pd.Series(dtype=float))


def measured(values: pd.DataFrame, sides: tuple[str, ...] = OF_MINIMUM) -> list[Measured]:
    """Every measure of these sides in table measures."""
    columns = ["measure", "title", "loss", "side", "unit", "rescaling"]
    return [
        Measured(dict(zip(columns, key, strict=True)), _by_label(rows))
        for key, rows in values[values["side"].isin(sides)].groupby(columns, sort=False)
    ]


def generalization(values: pd.DataFrame, measure: str, loss: str) -> Measured:
    """A measure of generalization: the one of ``loss``, or of none."""
    rows = values[(values["measure"] == measure) & values["loss"].isin([loss, ""])]
    return Measured({"measure": measure}, _by_label(rows))


def _by_label(rows: pd.DataFrame) -> dict[str, "pd.Series[float]"]:
    return {str(name): side.set_index("seed")["value"].sort_index() for name, side in rows.groupby("method")}


def side(low: float, high: float, n: int) -> int:
    """−1, 1 where an interval of enough seeds is below, above zero; else 0."""
    return int(low > 0) - int(high < 0) if n >= FEWEST else 0


def change(one: "pd.Series[float]", other: "pd.Series[float]") -> Answer | None:
    """``other`` minus ``one``, paired by seed: as yet undecided. None where a side lacks.

    Pairs of which one has no finite value are left out, and ``why`` says how many.
    """
    common = one.index.intersection(other.index)
    finite = [seed for seed in common if np.isfinite(one[seed]) and np.isfinite(other[seed])]
    if not finite:
        return None
    found = difference(one[finite], other[finite])
    why = f"fewer than {FEWEST} pairs" if found["n"] < FEWEST else ""
    why = why or ("no spread" if found["difference"] and np.isnan(found["low"]) else "")
    lost = len(common) - len(finite)
    said = f"{lost} of {len(common)} pairs with a value that isn't finite" if lost else ""
    return Answer(
        UNDECIDED, found["difference"], "", found["low"], found["high"], found["n"], found["p"],
        "; ".join(filter(None, (why, said))),
    )  # fmt: skip
