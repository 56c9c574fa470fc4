"""Table ``rise`` compared: one method's curves beside the reference's, and what they say at which radius.

Each checkpoint's curve is the mean over its draws. Curves are paired by seed, per network, data set, loss, logits,
split and what the radius is measured along; interval, crossover and verdict are those of
:mod:`analysis.compare.crossover`. Every verdict on plain logits is held against those at one scale.

A method whose curves don't pair with the reference's has no band that holds at all radii, and no crossover: its row of
table crossovers says why (:func:`unpaired`). At one radius its rises are compared as its other rows are, by Welch's
interval, so that doubts about the logits' scale are the same for all.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from tables.interval import FEWEST, Difference, independent, paired, pairs

from .crossover import Verdict, unsupported, verdict

_CURVE = ["network", "data", "loss", "split", "along"]


def verdicts(
    table: pd.DataFrame, reference: str, method: str, *, by: str = "method", seed: int = 0
) -> Iterator[tuple[dict[str, Any], pd.DataFrame, pd.DataFrame, Verdict]]:
    """For every curve: what it is of, the reference's and the method's rises [seed, radius], and the verdict.

    Rises are as long as all of them are finite: from the first radius at which one isn't, a curve says nothing. A curve
    of fewer than two radii is none.

    Raises ValueError where a method isn't there, where fewer than two seeds are common to both, and where two
    checkpoints of a method have one seed.
    """
    for name in (reference, method):
        if name not in set(table[by]):
            raise ValueError(f"no rows of {name!r}, only of {', '.join(sorted(map(str, set(table[by]))))}")
    for key, curve in table.groupby([*_CURVE, "logits"], sort=False):
        place = dict(zip([*_CURVE, "logits"], key, strict=True))
        one, other = (_curves(curve[curve[by] == name], name) for name in (reference, method))
        seeds = one.index.intersection(other.index)
        if len(seeds) < 2 or not one.columns.equals(other.columns):
            raise ValueError(
                f"{reference} and {method} need two seeds in common and the same radii, got seeds {list(one.index)} "
                f"and {list(other.index)}"
            )
        finite = np.isfinite([one.loc[seeds], other.loc[seeds]]).all((0, 1)).cumprod().astype(bool)
        if finite.sum() < 2:
            continue
        one, other = one.loc[seeds, finite], other.loc[seeds, finite]
        found = verdict(one.columns.to_numpy(float), one.to_numpy(float), other.to_numpy(float), seed=seed)
        yield place, one, other, found


def _curves(rows: pd.DataFrame, name: str) -> pd.DataFrame:
    """Mean over draws, [seed, radius]; NaN where a draw's is."""
    twice = rows.groupby("seed")["checkpoint"].nunique()
    if (twice > 1).any():
        seed = twice[twice > 1].index[0]
        raise ValueError(f"{seed} is the seed of several checkpoints of {name!r}: compare them apart")
    sums = rows.groupby(["seed", "radius"])["rise"]
    return (sums.sum(skipna=False) / sums.size()).unstack()


def compared(
    table: pd.DataFrame, reference: str, method: str, *, by: str = "method", seed: int = 0
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The curves and the verdicts as tables.

    Curves, a row per radius: network, data, loss, split, along, logits, reference, method, radius, reference_mean,
    method_mean, difference, low, high (the simultaneous band), n, flatter (the one's name, or ""); and here, the one
    that is flatter by this radius's own interval, which isn't written: it is what a row of the comparison would say.
    Verdicts, a row per curve: crossover, crossover_low, crossover_high (missing where the mean doesn't change sign),
    certain, verdict (in words), depends_on_scale (of plain logits: where what they decide isn't decided so at one
    scale, "network: 0.6 to 1"; else empty), beyond (the first radius at which a loss isn't finite; missing where all
    are), n.
    """
    found = list(verdicts(table, reference, method, by=by, seed=seed))
    if not found:
        return pd.DataFrame(), pd.DataFrame()
    every: dict[tuple[str, ...], dict[str, Verdict]] = {}
    for place, _, _, said in found:
        every.setdefault(_of(place), {})[place["logits"]] = said
    curves, rows = [], []
    for place, one, other, said in found:
        head = place | {"reference": reference, "method": method}
        scaled = every[_of(place)] if place["logits"] == "plain" else {}
        curve = table[(table[list(place)] == pd.Series(place)).all(axis=1)]
        beyond = curve.loc[curve["radius"] > one.columns[-1], "radius"].min()
        curves.append(_curve(head, one, other, said))
        own = _verdict(said, method, reference) | {"depends_on_scale": _dependence(said, scaled), "beyond": beyond}
        rows.append(head | own)
    return pd.concat(curves, ignore_index=True), pd.DataFrame(rows)


@dataclass
class Against:
    """What is known by radius: tables rise_curves and crossovers in parts, and who is flatter ``here``, at each radius.

    ``here`` has the curves' columns loss, along, logits, method, radius and here, of methods that don't pair too.
    """

    curves: list[pd.DataFrame] = field(default_factory=list)
    crossovers: list[pd.DataFrame] = field(default_factory=list)
    here: list[pd.DataFrame] = field(default_factory=list)


def against(rise: pd.DataFrame, values: pd.DataFrame, reference: str) -> Against:
    """Curves and verdicts of every method (or value of a factor) against the reference, one row where they don't pair.

    ``values`` are the measures of one network, data and T, whose column ``group`` says what is compared.
    """
    groups = values.drop_duplicates("checkpoint").set_index("checkpoint")["group"]
    own = rise[rise["checkpoint"].isin(groups.index)]
    own = own.assign(group=own["checkpoint"].map(groups))
    found = Against()
    if own.empty:
        return found
    every = {name: part["seed"].drop_duplicates() for name, part in values.groupby("group")}
    for method in [str(name) for name in groups.unique() if name != reference]:
        apart = not len(pairs(*(pd.Index(every[name]) for name in (reference, method))))
        both = own[own["group"].isin([reference, method])]
        pairing = []
        for key, curve in both.groupby([*_CURVE, "logits"], sort=False):
            place = dict(zip([*_CURVE, "logits"], key, strict=True))
            one, other = (set(curve.loc[curve["group"] == name, "seed"]) for name in (reference, method))
            if len(one & other) > 1:
                pairing.append(curve)
                continue
            head = place | {"reference": reference, "method": method}
            if place["logits"] == "plain":
                found.crossovers.append(pd.DataFrame([head | unpaired(one, other, head, apart=apart)]))
            found.here += [_apart(curve, head)] if one and other else []
        if pairing:
            curves, rows = compared(pd.concat(pairing), reference, method, by="group")
            found.curves += [curves] if len(curves) else []
            found.crossovers += [rows] if len(rows) else []
    found.here += found.curves
    return found


def unpaired(one: set[float], other: set[float], head: Mapping[str, Any], *, apart: bool) -> dict[str, Any]:
    """The row of table crossovers where the seeds ``one`` of the reference and ``other`` of the method make no pairs.

    ``apart``: whether the comparison's other rows don't pair either.
    """
    method, reference, n = head["method"], head["reference"], len(one & other)
    if not (one and other):
        said = f"the rise of {method if one else reference} wasn't measured here"
    else:
        welch = "; rows are by Welch's interval" if apart else ""
        said = f"{'one seed' if n else 'no seeds'} in common (curves take pairs{welch})"
    open_ends = dict.fromkeys(("crossover", "crossover_low", "crossover_high", "beyond"), np.nan)
    rest = {"certain": False, "verdict": f"{method} and {reference}: {said}", "depends_on_scale": "", "n": n}
    return open_ends | rest


def _apart(curve: pd.DataFrame, head: Mapping[str, Any]) -> pd.DataFrame:
    """Who is flatter at each radius that both sides have, by Welch's interval there."""
    one, other = (_curves(curve[curve["group"] == head[side]], head[side]) for side in ("reference", "method"))
    radii = one.columns.intersection(other.columns)
    with np.errstate(invalid="ignore"):  # rises may be infinite
        alone = [independent(one[radius].to_numpy(float), other[radius].to_numpy(float)) for radius in radii]
    return pd.DataFrame({**head, "radius": radii, "here": [_side(each, head) for each in alone]})


def _of(place: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(place[name] for name in _CURVE)


def _curve(head: Mapping[str, Any], one: pd.DataFrame, other: pd.DataFrame, said: Verdict) -> pd.DataFrame:
    band = said.band
    enough = band.pairs >= FEWEST
    sides = np.select([enough & (band.low > 0), enough & (band.high < 0)], [head["reference"], head["method"]], "")
    alone = [paired(one[radius].to_numpy(float), other[radius].to_numpy(float)) for radius in one]
    found = {
        "radius": band.radii, "reference_mean": one.mean().to_numpy(), "method_mean": other.mean().to_numpy(),
        "difference": band.mean, "low": band.low, "high": band.high, "n": band.pairs, "flatter": sides,
        "here": [_side(each, head) for each in alone],
    }  # fmt: skip
    return pd.DataFrame({**head, **found})


def _side(found: Difference, head: Mapping[str, Any]) -> str:
    """The flatter one's name by the interval of one radius."""
    if found.n < FEWEST or not abs(found.mean) > found.half:
        return ""
    return str(head["reference"] if found.mean > 0 else head["method"])


def _verdict(said: Verdict, method: str, reference: str) -> dict[str, Any]:
    at = said.crossover
    return {
        "crossover": at.radius if at else np.nan,
        "crossover_low": at.low if at else np.nan,
        "crossover_high": at.high if at else np.nan,
        "certain": at.certain if at else False,
        "verdict": said.sentence(method, reference),
        "n": said.band.pairs,
    }


def _dependence(plain: Verdict, scaled: Mapping[str, Verdict]) -> str:
    """Where what plain logits decide is not decided so at one scale."""
    said = [
        f"{logits}: {', '.join(f'{each.low:.3g} to {each.high:.3g}' for each in ranges)}"
        for logits, other in scaled.items()
        if (ranges := unsupported(plain, other))
    ]
    return "; ".join(said)
