"""Readings of what has timesteps: accuracy, gradients, energy; and of what a trained network survives."""

import numpy as np
import pandas as pd

from tables.reading import TableError
from tables.rows import check_columns, most_trained, one_split

from ..pictures.energy import unit
from ..pictures.momentum import matching
from ..pictures.robustness import PERTURBATIONS
from ..pictures.scalability import WAYS, as_trained, gains
from ..style.look import LOOKS
from .gaps import each, gap, listed, number, sentence, told
from .readings_minima import Tables, incomparable, needed

_STEP = 0.01
_THRESHOLD = 0.9


def robustness(tables: Tables) -> str:
    """The accuracy under each perturbation, averaged over its strengths."""
    split, rows = one_split(needed(tables, "robustness"), "test")
    none = np.where(rows["perturbation"] == "rounding", rows["strength"] >= 32, rows["strength"] == 0)
    rows = rows[~none].drop_duplicates(["checkpoint", "perturbation", "strength"])
    claims = {
        f"under {PERTURBATIONS.get(str(name), (str(name), ''))[0]}": gap(part, "accuracy").scaled(100)
        for name, part in rows.groupby("perturbation")
    }
    if not claims:
        raise TableError("no strength above zero")
    return sentence(told(f"the {split} accuracy, averaged over strengths,", claims, unit="%"))


def _tested(tables: Tables, *columns: str) -> tuple[str, int, pd.DataFrame]:
    """The split, the T trained at, and the rows of the table timesteps for networks as they were trained."""
    split, rows = one_split(as_trained(needed(tables, "timesteps")), "test")
    check_columns(rows, *columns)
    return split, *most_trained(rows)


def _by_steps(tables: Tables, column: str, what: str, *, at: str = "T") -> str:
    """A percentage at the first T, the one trained at, and the last."""
    split, trained, rows = _tested(tables, column)
    claims = {
        f"at {at} = {steps:.0f}": gap(rows[rows["timesteps"] == steps], column).scaled(100)
        for steps in (rows["timesteps"].min(), trained, rows["timesteps"].max())
    }
    return sentence(told(what.format(split=split, trained=trained), claims, unit="%"))


def scalability(tables: Tables) -> str:
    """The accuracy at the first, the trained and the last T."""
    return _by_steps(tables, "accuracy_cumulative", "the {split} accuracy of networks trained at T = {trained}")


def per_timestep(tables: Tables) -> str:
    """The accuracy of the first step alone, of the last that was trained, and of the last."""
    what = "the {split} accuracy of one step alone (trained at T = {trained})"
    return _by_steps(tables, "accuracy_at_step", what, at="step t")


def scalability_ways(tables: Tables) -> str:
    """What each other way adds to the accuracy of a network, at the first and the last T."""
    split, trained, rows = gains(needed(tables, "timesteps"))
    clauses = []
    for (frames, statistics), (way, _) in WAYS.items():
        part = rows[(rows["frames"] == frames) & (rows["statistics"] == statistics)]
        for at in dict.fromkeys((part["timesteps"].min(), part["timesteps"].max())) if len(part) else ():
            clauses.append(f"with {way} at T = {at:.0f} it is {each(part[part['timesteps'] == at], 'gain', 0.0)}")
    what = f"the change of the {split} accuracy of networks trained at T = {trained}, in points"
    return sentence(f"{what}: {clauses[0]}", *clauses[1:])


def agreement(tables: Tables) -> str:
    """How often the first step already has the final class."""
    split, _, rows = _tested(tables, "agreement_cumulative")
    first = rows["timesteps"].min()
    claims = {f"at T = {first:.0f}": gap(rows[rows["timesteps"] == first], "agreement_cumulative").scaled(100)}
    return sentence(told(f"agreement with the final class on {split} images", claims, unit="%"))


def calibration(tables: Tables) -> str:
    """The calibration error at the trained T, and which way it errs."""
    split, trained, rows = _tested(tables, "ece", "confidence")
    rows = rows[rows["timesteps"] == trained]
    rows = rows.assign(over=100 * (rows["confidence"] - rows["accuracy_cumulative"]))
    claims = {f"at T = {trained}": gap(rows, "ece").scaled(100)}
    error = told(f"the calibration error (ECE) on {split} images", claims, unit="%")
    return sentence(error, f"confidence minus accuracy, in points, is {each(rows, 'over', 0.0)}")


def anytime(tables: Tables) -> str:
    """What stopping at a confidence of 0.9 gains over the same number of steps for all."""
    split, rows = one_split(needed(tables, "anytime"), "test")
    _, rows = most_trained(rows)
    threshold = min(rows["threshold"].unique(), key=lambda one: (abs(one - _THRESHOLD), one))
    rows = rows[rows["threshold"] == threshold].assign(gain=100 * rows["gain"])
    steps = rows.groupby("training")["mean_steps"].mean().to_dict()
    used = listed([f"{number(steps[name])} steps with {look.label}" for name, look in LOOKS.items() if name in steps])
    stop = f"stopping at a confidence of {threshold:g} takes {used} in the mean, of {rows['limit'].max():.0f}"
    gain = f"the gain over as many steps for all {split} images, in points, is {each(rows, 'gain', 0.0)}"
    return sentence(stop, gain)


def momentum(tables: Tables) -> str:
    """Norm and coherence of the whole gradient."""
    rows = matching(needed(tables, "momentum"))
    whole, doubts = rows[rows["timestep"] == 0], (*incomparable(tables), "changes when weights are rescaled")
    claims = {
        f"in {words}": gap(whole, column, doubts=doubts)
        for column, words in {"gradient_norm": "norm", "coherence": "coherence over batches"}.items()
    }
    null = listed([number(one) for one in sorted(set(whole["coherence_null"].dropna().round(6)))])
    text = told("the gradient of the loss trained with", claims)
    return sentence(text, f"independent noise would have a coherence of {null}" if null else "")


def descent(tables: Tables) -> str:
    """What a step of 1 % along the gradient gains, of what the gradient predicts."""
    rows = matching(needed(tables, "descent"))
    rows = rows[rows["direction"] == "gradient"]
    if rows.empty:
        raise TableError("no rows along the gradient")
    distance = np.log10(rows["relative_step"] / _STEP).abs()
    near = rows[distance == distance.min()]
    step = number(float(near["relative_step"].iloc[0]))
    told_apart = told("the quotient", {"": gap(near, "ratio", doubts=incomparable(tables))})
    what = f"realised over predicted decrease for a relative step of {step} along the gradient is"
    return sentence(f"{what} {each(near, 'ratio', 1.0)}", told_apart)


def energy(tables: Tables) -> str:
    """The energy per image at the trained T."""
    split, rows = one_split(needed(tables, "energy"), "test")
    total = rows[rows["layer"] == "total"]
    if total.empty:
        raise TableError("no row for the whole network")
    trained, total = most_trained(total) if "trained_timesteps" in total else (int(total["timesteps"].max()), total)
    total = total[total["timesteps"] == trained]
    name, size = unit(total["joules"])
    claims = {f"at T = {trained}": gap(total, "joules").scaled(1 / size)}
    return sentence(told(f"the energy per image on {split} images", claims, unit=name))
