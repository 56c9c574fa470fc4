"""The paper's numbers beside ours, for each of its tables and figures: Deng et al. 2022, in published.toml.

Accuracies of other networks on other data are not compared. What is compared is a question that both sides asked: a
difference or a quotient of two methods, or of two T of one method. Ours carries its 95 % interval over seeds, and
that interval alone says whether the paper's number could be ours: the paper's own spread is not in it. Where our tables
have none of the paper's T, ours is put beside the nearest. Changes in percent come from the
mean difference of logarithms d: 100·(exp(d) − 1).
"""

import math
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tables.reading import TableError
from tables.rows import check_measured, most_trained, one_split

from ..pictures.scalability import as_trained
from ..style.methods import facing, loss_label, losses
from ..words.comparison import Tables, needed
from ..words.gaps import Gap, Mean, gap, mean
from ..words.prose import number
from .differences import ALIKE, differences

_FILE, _DEFINED = (Path(__file__).with_name(f"published.{kind}") for kind in ("toml", "html"))
_PLACE = 0.5
METHODS = ("sdt", "tet")
_LOSSES = losses(METHODS)
_WORDS = _LOSSES | {f"loss_{name}": f"{words} on test images" for name, words in _LOSSES.items()}
_WORDS |= {"accuracy": "test accuracy (points)"}
Ours = dict[int, Mean]


@dataclass(frozen=True)
class Beside:
    """One row: what was asked, where the paper answers it, its answer, ours, their difference, and why they differ.

    ``paper``, ``ours`` and ``difference`` have a line for each T; the last two are empty where nothing compares, the
    last one too where networks, data or training differ: a difference is told only between like and like.
    """

    source: str
    question: str
    setting: str
    paper: tuple[str, ...]
    ours: tuple[str, ...]
    difference: tuple[str, ...]
    why: str


def entries() -> list[dict[str, Any]]:
    """What the paper published, as in the file, each with the recipe of its data set."""
    found = tomllib.loads(_FILE.read_text(encoding="utf-8"))
    return [found["recipe"].get(entry["data"], {}) | entry for entry in found["entry"]]


def beside(tables: Tables) -> list[Beside]:
    """Every entry of the paper beside the ``tables`` of one network and data set, of the methods called as its own."""
    with facing(*METHODS):
        return [_row(entry, tables) for entry in entries()]


def concerns(tables: Tables, *columns: str) -> bool:
    """Whether one of ``columns`` has a name that the paper has, of a method or a loss."""
    return any(frame[name].isin(METHODS).any() for frame in tables.values() for name in columns if name in frame)


def defined(tables: Tables) -> str:
    """The paper's losses as HTML, where the ``tables`` have one of them."""
    return _DEFINED.read_text(encoding="utf-8") if concerns(tables, "loss", "training") else ""


def _row(entry: Mapping[str, Any], tables: Tables) -> Beside:
    kind, _, argument = entry["asks"].partition(" ")
    question, quotient, ask = _QUESTIONS[kind]
    theirs = _theirs(entry, quotient=quotient, base=argument if kind == "longer" else "", first=kind == "trained")
    setting = ", ".join(
        (entry["network"], entry["data"], f"{entry['epochs']} epochs" if "epochs" in entry else "epochs not stated",
         f"n = {entry['runs']}" if "runs" in entry else "n not stated")
    )  # fmt: skip
    about = "; ".join(entry[name] for name in ("note", "read") if name in entry)
    place = {"source": entry["source"], "question": question.format(_WORDS.get(argument, argument)), "setting": setting}
    if ask is None:
        return Beside(**place, paper=_listed(entry), ours=(), difference=(), why=_join(entry["reason"], about))
    paper = tuple(f"{_at(at)}{number(one)}" for at, one in theirs.items())
    try:
        ours = ask(tables, argument)
    except TableError as error:
        return Beside(
            **place, paper=paper, ours=(), difference=(), why=_join(f"nothing to put beside it: {error}", about)
        )
    pairs = _pairs(theirs, ours)
    told = tuple(f"{_at(mine)}{number(ours[mine].mean)} ({ours[mine].interval})" for _, mine in pairs)
    other = differences(entry, tables, pairs)
    apart = tuple(_difference(theirs[at], ours[mine], mine) for at, mine in pairs) if other == ALIKE else ()
    return Beside(**place, paper=paper, ours=told, difference=apart, why=_join(other, about))


def _theirs(entry: Mapping[str, Any], *, quotient: bool, base: str, first: bool) -> dict[int, float]:
    """The paper's answer at each T, from the numbers it printed."""
    at, tet = entry.get("at", []), entry.get("tet", [])
    if base or first:
        origin = tet[at.index(int(base)) if base else 0]
        return {steps: one - origin for steps, one in zip(at, tet, strict=True) if one != origin}
    pairs = zip(at, entry.get("sdt", []), tet, strict=False)
    return {steps: 100 * (two / one - 1) if quotient else two - one for steps, one, two in pairs}


def _listed(entry: Mapping[str, Any]) -> tuple[str, ...]:
    """What the paper has where there is no question: its numbers by label, or the gains."""
    values = entry.get("values") or [two - one for one, two in zip(entry["sdt"], entry["tet"], strict=True)]
    return tuple(f"{label}: {number(one, 4)}" for label, one in zip(entry["labels"], values, strict=True))


def _pairs(theirs: Mapping[int, float], ours: Ours) -> list[tuple[int, int]]:
    """The paper's T and ours: those in common, or the nearest."""
    common = [(at, at) for at in theirs if at in ours]
    return common or [min(((at, mine) for at in theirs for mine in ours), key=lambda pair: abs(pair[0] - pair[1]))]


def _difference(paper: float, ours: Mean, mine: int) -> str:
    text = _at(mine) + number(ours.mean - paper)
    if not ours.known:
        return text + ", no interval"
    return text + (", inside" if ours.low <= paper <= ours.high else ", outside")


def _at(steps: int) -> str:
    return f"T = {steps}: " if steps else ""


def _join(*parts: str) -> str:
    return ". ".join(part[:1].upper() + part[1:] for part in parts if part)


def _as_mean(one: Gap, *, factor: float = 1.0, quotient: bool = False) -> Mean:
    difference, low, high = (
        100 * math.expm1(x) if quotient else factor * x for x in (one.difference, one.low, one.high)
    )
    return Mean(difference, low, high, one.n)


def _measured(found: Ours, missing: str) -> Ours:
    """What is finite of ``found``; TableError when nothing is."""
    known = {at: one for at, one in found.items() if np.isfinite(one.mean)}
    if not known:
        raise TableError(missing)
    return known


def _tested(tables: Tables) -> pd.DataFrame:
    rows = one_split(as_trained(needed(tables, "timesteps")), "test")[1]
    check_measured(rows, "trained_timesteps")
    return rows


def _by_steps(rows: pd.DataFrame) -> Iterator[tuple[int, pd.DataFrame]]:
    for steps in sorted(rows["timesteps"].unique()):
        yield int(steps), rows[rows["timesteps"] == steps]


def _gain(tables: Tables, _: str) -> Ours:
    rows = _tested(tables)
    own = rows[rows["timesteps"] == rows["trained_timesteps"]]
    found = {at: _as_mean(gap(part, "accuracy_cumulative"), factor=100) for at, part in _by_steps(own)}
    return _measured(found, "no T has networks of both methods")


def _longer(tables: Tables, trained: str) -> Ours:
    rows = _tested(tables)
    rows = rows[(rows["trained_timesteps"] == int(trained)) & (rows["method"] == "tet")]
    return _from_first(rows, int(trained), f"no network was trained with TET at T = {trained}")


def _trained(tables: Tables, _: str) -> Ours:
    rows = _tested(tables)
    rows = rows[(rows["timesteps"] == rows["trained_timesteps"]) & (rows["method"] == "tet")]
    return _from_first(rows, int(rows["timesteps"].min()) if len(rows) else 0, "networks were trained at one T alone")


def _from_first(rows: pd.DataFrame, first: int, missing: str) -> Ours:
    """TET's accuracy at every other T minus that at T = ``first``, in points, paired by seed."""
    at_first = rows[rows["timesteps"] == first].groupby("seed")["accuracy_cumulative"].mean()
    rows = rows.assign(change=100 * (rows["accuracy_cumulative"] - rows["seed"].map(at_first)))
    others = rows[rows["timesteps"] != first]
    return _measured({at: mean(part, "change", "tet") for at, part in _by_steps(others)}, missing)


def _ann(tables: Tables, _: str) -> Ours:
    rows = needed(tables, "compare")
    rows = rows[(rows["measure"] == "test_accuracy") & ((rows["method"] == "tet") | (rows["reference"] == "tet"))]
    rows = rows[rows["twin_mean"].notna()] if "twin_mean" in rows else rows.head(0)
    if rows.empty:
        raise TableError("no network without spikes was trained")
    row = rows.iloc[0]
    ours = float(row["method_mean" if row["method"] == "tet" else "reference_mean"])
    steps = pd.to_numeric(pd.Series([row.get("timesteps", "")]), errors="coerce").fillna(0).iloc[0]
    return {int(steps): Mean(100 * (ours - float(row["twin_mean"])), math.nan, math.nan, int(row["n"]))}


def _surface(tables: Tables, loss: str) -> Ours:
    rows = one_split(needed(tables, "surface"), "train")[1]
    rows = rows[(rows["kind"] == "plane") & (rows["loss"] == loss)]
    if "directions" in rows:
        rows = rows[rows["directions"] == "random"]
    rows = rows[np.isclose(rows["alpha"], _PLACE) & np.isclose(rows["beta"], 0.0) & (rows["value"] > 0)]
    found = _as_mean(gap(rows.assign(log=np.log(rows["value"])), "log"), quotient=True)
    steps = most_trained(needed(tables, "timesteps"))[0] if "timesteps" in tables else 0
    return _measured({steps: found}, f"no plane of the {loss_label(loss)} has the point (0.5, 0) for both methods")


def _switch(tables: Tables, column: str) -> Ours:
    rows = needed(tables, "switch")
    rows = rows[(rows["method"] == "sdt") & (rows["split"] == "test") & (rows["step"] == rows["step"].max())]
    one = gap(rows.assign(method=rows["loss"]), column)
    steps = most_trained(needed(tables, "timesteps"))[0] if "timesteps" in tables else 0
    factor = 100.0 if column == "accuracy" else 1.0
    return _measured({steps: _as_mean(one, factor=factor)}, "nothing was switched on both sides")


def _energy(tables: Tables, _: str) -> Ours:
    rows = one_split(needed(tables, "energy"), "test")[1]
    rows = rows[(rows["layer"] == "total") & (rows["joules"] > 0)]
    rows = most_trained(rows)[1] if "trained_timesteps" in rows and len(rows) else rows
    rows = rows.assign(log=np.log(rows["joules"]))
    found = {at: _as_mean(gap(part, "log"), quotient=True) for at, part in _by_steps(rows)}
    return _measured(found, "no energy of both methods")


_QUESTIONS: dict[str, tuple[str, bool, Callable[[Tables, str], Ours] | None]] = {
    "gain": ("test accuracy, TET minus SDT, points", False, _gain),
    "ann": ("test accuracy, TET minus the network without spikes, points", False, _ann),
    "surface": ("{} at (α, β) = (0.5, 0), change from SDT to TET, %", True, _surface),
    "switch": ("{} after a switch to TET, minus going on with SDT", False, _switch),
    "longer": ("TET's test accuracy at T minus that at T = {0}, trained at T = {0}, points", False, _longer),
    "trained": ("TET's test accuracy trained at T, minus trained at the shortest T, points", False, _trained),
    "energy": ("energy, change from SDT to TET, %", True, _energy),
    "nothing": ("not asked here", False, None),
}
