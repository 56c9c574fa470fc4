"""The networks of a sweep: their factors, their gaps, and every measure that is set against these."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from ..compare.groups import METHOD, SETTING, check_distinct
from .factors import factors
from .flags import Gap
from .gaps import GAPS, gaps_of
from .reading import Tables

_SIDES = ("flatness", "scale-free", "complexity", "dynamics", "")  # of a measure; the others say what became of it


@dataclass(frozen=True)
class Measured:
    """A measure's value at each network, NaN where there is none; ``control`` says which reference it is, if any."""

    measure: str
    title: str
    loss: str
    side: str
    values: Float[np.ndarray, " network"]
    control: str = ""


@dataclass(frozen=True)
class Sweep:
    """Networks of one name on one data set at one T. ``levels`` holds a word a factor (a column) and network (a row).

    ``gaps`` by name (:mod:`.gaps`), those that there are; ``loss`` is the one that gaps in loss are of.
    ``unmeasured``: the method of each network that table runs names and nothing could be measured of.
    """

    place: Mapping[str, str]
    levels: pd.DataFrame
    methods: tuple[str, ...]
    seeds: Int[np.ndarray, " network"]
    gaps: Mapping[str, Float[np.ndarray, " network"]]
    loss: str
    measured: tuple[Measured, ...]
    unmeasured: tuple[str, ...] = ()

    @cached_property
    def settings(self) -> Int[np.ndarray, " network"]:
        """A number for each combination of levels."""
        if self.levels.empty:
            return np.zeros(len(self.seeds), int)
        return self.levels.groupby(list(self.levels), sort=False).ngroup().to_numpy()

    def chosen(self, kept: Bool[np.ndarray, " network"]) -> "Sweep":
        """Some of the networks, and the factors that differ among them."""
        levels = self.levels[kept]
        return replace(
            self,
            levels=levels[[name for name in levels if levels[name].nunique() > 1]],
            methods=tuple(np.array(self.methods)[kept].tolist()),
            seeds=self.seeds[kept],
            gaps={name: gap[kept] for name, gap in self.gaps.items()},
            measured=tuple(replace(one, values=one.values[kept]) for one in self.measured),
        )


def sweeps(tables: Tables, asked: Sequence[str] = (), gaps: Sequence[Gap] = tuple(GAPS)) -> list[Sweep]:
    """A sweep for each network, data set and T of which there is a gap; ``asked`` names the factors, if any.

    Raises ValueError where no gap is known, nothing varies, or two networks have everything in common.
    """
    found, wrong = [], []
    known = tables.values["measure"].isin(list(GAPS.values()))
    for key, values in tables.values.groupby(SETTING, sort=False):
        if not known[values.index].any():
            continue
        networks = values.drop_duplicates("checkpoint")
        try:
            levels = factors(networks, tables.settings, asked)
            place = dict(zip(SETTING, map(str, key), strict=True))
            own = _sweep(place, values.assign(group=""), networks, levels, gaps)
        except ValueError as error:
            wrong.append(error)
            continue
        found.append(replace(own, unmeasured=_unmeasured(tables, place)))
    if not found and wrong:
        raise wrong[0]
    if not found:
        raise ValueError(
            "no generalization gap in the tables: table timesteps needs each network on training and test images, as "
            "python -m analysis.timesteps CKPT --out DIR/tables writes it"
        )
    return found


def _unmeasured(tables: Tables, place: Mapping[str, str]) -> tuple[str, ...]:
    """The methods of this network's runs on these data that have no measure, as those that diverged; T isn't known."""
    if tables.runs.empty:
        return ()
    runs = tables.runs[~tables.runs["checkpoint"].isin(tables.values["checkpoint"])]
    own = (runs["network"] == place["network"]) & (runs["data"] == place["data"])
    return tuple(runs.loc[own, METHOD].astype(str))


def _sweep(
    place: Mapping[str, str], values: pd.DataFrame, networks: pd.DataFrame, levels: pd.DataFrame, asked: Sequence[Gap]
) -> Sweep:
    combined = levels.apply(", ".join, axis=1)
    check_distinct(values.assign(group=values["checkpoint"].map(combined)), "factors")
    wide = {
        (str(measure), str(loss)): rows.set_index("checkpoint")["value"].reindex(networks["checkpoint"]).to_numpy(float)
        for (measure, loss), rows in values.groupby(["measure", "loss"], sort=False)
    }
    in_loss = next((str(loss) for measure, loss in wide if measure == GAPS["loss"]), "")
    gaps = gaps_of(wide, in_loss, asked)
    about = values[values["side"].isin(_SIDES)].drop_duplicates(["measure", "loss"])
    measured = tuple(
        Measured(str(name), str(title), str(loss), str(side), wide[name, loss])
        for name, title, loss, side in about[["measure", "title", "loss", "side"]].itertuples(index=False, name=None)
    )
    return Sweep(
        place, levels, tuple(networks[METHOD].astype(str)), networks["seed"].to_numpy(int), gaps, in_loss, measured
    )
