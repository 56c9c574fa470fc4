"""Measures that are known for what they are, to read the others by: rows like theirs, marked in column control.

- ``oracle``: the gap itself and normal noise of a stated share of its standard deviation. Nothing that is measured with
  so much noise can do better.
- ``random``: normal noise. What it reaches is chance.
- ``training loss``: where training ended, of the loss whose gap it is.
- ``parameters``: how many weights there are, which a measure of flatness should beat.
- ``logit scale``: the root mean square of the logits (table rise), with which every rise of the loss grows.
"""

import numpy as np
import pandas as pd
from jaxtyping import Float

from .reading import Tables
from .sweep import Measured, Sweep

TRAINING_LOSS, LOGIT_SCALE, NORM = "training loss", "logit scale", "norm"
_NORM = "norm[param_norm]"


def references(sweep: Sweep, tables: Tables, *, noise: float, seed: int) -> tuple[Measured, ...]:
    """The reference measures that the tables allow; ``noise`` in standard deviations of the finite gaps."""
    generator = np.random.default_rng(seed)
    found = []
    for name, gap in sweep.gaps.items():
        blurred = gap + noise * _deviation(gap) * generator.standard_normal(len(gap))
        title = f"oracle: gap in {name.replace('_', ' ')} with noise of {noise:g} of its deviation"
        found.append(Measured(f"oracle[{name},{noise:g}]", title, "", "", blurred, f"oracle of {name}"))
    random = generator.standard_normal(len(sweep.seeds))
    found.append(Measured("random", "random numbers", "", "", random, "random"))
    for (name, title), values in (
        (("train_loss", TRAINING_LOSS), _value(sweep, tables.values, "train_loss", sweep.loss)),
        (("parameters", "number of parameters"), _column(sweep, tables.settings, "parameters")),
        (("logit_scale", "scale of the logits"), _column(sweep, tables.rise, "rms")),
    ):
        if np.isfinite(values).any():
            loss = sweep.loss if name == "train_loss" else ""
            found.append(Measured(name, title, loss, "", values, _CONTROLS[name]))
    return tuple(found)


_CONTROLS = {"train_loss": TRAINING_LOSS, "parameters": "parameters", "logit_scale": LOGIT_SCALE}


def held_fixed(sweep: Sweep) -> dict[str, Float[np.ndarray, " network"]]:
    """What a partial τ may be given, by name: training loss, logit scale, norm, where they are there and vary."""
    controls = {one.control: one.values for one in sweep.measured if one.control in (TRAINING_LOSS, LOGIT_SCALE)}
    norms = [one.values for one in sweep.measured if one.measure == _NORM]
    found = controls | ({NORM: norms[0]} if norms else {})
    return {name: values for name, values in found.items() if len(np.unique(values[~np.isnan(values)])) > 1}


def _deviation(gap: Float[np.ndarray, " network"]) -> float:
    finite = gap[np.isfinite(gap)]
    return float(finite.std(ddof=1)) if len(finite) > 1 else 0.0


def _value(sweep: Sweep, values: pd.DataFrame, measure: str, loss: str) -> Float[np.ndarray, " network"]:
    return _column(sweep, values[(values["measure"] == measure) & (values["loss"] == loss)], "value")


def _column(sweep: Sweep, table: pd.DataFrame, name: str) -> Float[np.ndarray, " network"]:
    """A column's first entry for each network, NaN where there is none."""
    if name not in table:
        return np.full(len(sweep.seeds), np.nan)
    return table.drop_duplicates("checkpoint").set_index("checkpoint")[name].reindex(sweep.levels.index).to_numpy(float)
