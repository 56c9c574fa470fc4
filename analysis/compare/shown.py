"""A comparison for reading at a terminal, and as a table of a paper."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from tables.interval import FEWEST, bounds
from tables.latex import booktabs, interval, number
from tables.words import in_doubt

from .controls import FAILS
from .doubts import LETTERS

_FAILS = "k"
_PLACE = ("network", "data", "timesteps", "within")


def table(comparison: pd.DataFrame, beside: Mapping[str, pd.DataFrame]) -> str:
    """The comparison for reading at a terminal, its doubts by letters that the last lines explain."""
    doubts = [_doubts(trust) for trust in comparison["trust"]]
    columns = _telling(comparison)
    columns += ["title", "loss", "method", "reference_mean", "method_mean", "difference", "low", "high"]
    columns += ["p_adjusted", "n"]
    robust = comparison["more_robust"] + np.where(comparison["more_robust"] != "", " more robust", "")
    flatter = comparison["flatter"] + np.where(comparison["flatter"] != "", " flatter", "")
    shown = comparison[columns].assign(found=flatter + robust, doubts=doubts)
    shown.loc[comparison["n"] < FEWEST, ["low", "high"]] = np.nan
    shown = shown.drop(columns="method") if comparison["method"].nunique() == 1 else shown
    used = set(" ".join(doubts).split())
    known = LETTERS | {_FAILS: "fails the controls named, whose answer is known"}
    legend = "; ".join(f"{letter} {reason}" for letter, reason in known.items() if letter in used)
    body = shown.to_string(index=False, float_format=lambda value: f"{value:.4g}")
    return f"{body}\ndoubts: {legend}\n{verdict(comparison, beside)}"


def _doubts(trust: str) -> str:
    """A row's doubts by their letters; the controls that its measure fails by name, behind their letter."""
    short = {reason: letter for letter, reason in LETTERS.items()}
    reasons = [reason for reason in trust.split("; ") if reason]
    failed = [reason.removeprefix(f"{FAILS} ") for reason in reasons if reason.startswith(FAILS)]
    letters = [short[reason] for reason in reasons if not reason.startswith(FAILS)]
    return " ".join([*letters, *([f"{_FAILS} ({', '.join(failed)})"] if failed else [])])


def latex(comparison: pd.DataFrame) -> str:
    """A table in LaTeX for each method against the reference; numbers have three significant digits."""
    telling = _telling(comparison)
    parts = []
    for key, rows in comparison.groupby([*telling, "reference", "method"], sort=False):
        *place, reference, method = map(str, key)
        where = ", ".join(f"{name} {word}" for name, word in zip(telling, place, strict=True))
        about = f"{method} against {reference}" + (f" ({where})" if where else "")
        about += ": means, the difference with its 95 % interval, p by Holm's adjustment, and n"
        header = ["measure", "loss", reference, method, "difference", "p", "n"]
        lines = [
            [
                row["title"], row["loss"], number(row["reference_mean"]), number(row["method_mean"]),
                interval(row["difference"], *bounds(row)), number(row["p_adjusted"]), f"{row['n']:.0f}",
            ]
            for _, row in rows.iterrows()
        ]  # fmt: skip
        parts.append(booktabs(header, lines, caption=about, left=2))
    return "\n".join(parts)


def verdict(comparison: pd.DataFrame, beside: Mapping[str, pd.DataFrame]) -> str:
    """How each method generalizes, which is flatter and at which radius, which survives more.

    ``beside`` are the tables counts and crossovers, where they are there.
    """
    lines, telling = [], _telling(comparison)
    for key, rows in comparison.groupby([*telling, "reference", "method"], sort=False):
        *place, reference, method = map(str, key)
        where = ", ".join(
            f"T = {word}" if name == "timesteps" else word for name, word in zip(telling, place, strict=True)
        )
        head = f"{method} against {reference}" + (f", {where}" if where else "")
        lines += [f"{head}:", f"  {_generalization(rows)}"]
        there = {name: beside[name] for name in ("counts", "crossovers") if name in beside}
        own = {name: _like(one, rows.iloc[0], [*telling, "method"]) for name, one in there.items()}
        for side, words in (("flatness", "flatter"), ("robustness", "more robust")):
            about = own["counts"][own["counts"]["side"] == side] if "counts" in own else pd.DataFrame()
            lines += [f"  {words}: {_counted(one, rows, words)}" for _, one in about.iterrows()]
        if "crossovers" in own:
            lines += _by_radius(own["crossovers"])
    return "\n".join(lines)


def _telling(comparison: pd.DataFrame) -> list[str]:
    """The columns of a comparison's place that tell its rows apart."""
    return [name for name in _PLACE if name in comparison and comparison[name].nunique() > 1]


def _like(table: pd.DataFrame, row: pd.Series, columns: list[str]) -> pd.DataFrame:
    """The rows that have in ``columns`` what ``row`` has."""
    return table[(table[columns] == row[columns]).all(axis=1)]


def _by_radius(crossovers: pd.DataFrame) -> list[str]:
    """Which is flatter at which radius on random planes, with plain logits and at one scale, of the first loss."""
    own = crossovers[crossovers["along"] == "plane"]
    own = own[own["loss"] == own["loss"].iloc[0]] if len(own) else own
    names = {"plain": "by radius", "network": "with logits at one scale"}
    return [
        f"  {words}: {_side(one)} ({one['loss']} loss)" + (f"; in doubt: {one['trust']}" if one.get("trust") else "")
        for logits, words in names.items()
        for _, one in own[own["logits"] == logits].iterrows()
    ]


def _side(one: pd.Series) -> str:
    """What the method is, flatter or sharper where, in words; of too few seeds, which have no verdict, that alone."""
    said = one["verdict"].partition(": ")[2]
    ends = "" if np.isnan(one.get("beyond", np.nan)) else f"; not every loss is finite at {one['beyond']:.3g}"
    return (f"{one['method']} is {said}" if one["n"] >= FEWEST else said) + ends


def _counted(one: pd.Series, rows: pd.DataFrame, words: str) -> str:
    """The headline row and the count with its chance."""
    named = ", ".join(
        f"{one[side]} in {one[f'{side}_rows']:.0f} (p = {one[f'p_{side}']:.2g})" for side in ("reference", "method")
    )
    said = f"of {one['rows']:.0f} rows {named}; chance alone reaches {one['percentile']:.0f} in 5 % of cases"
    said += _doubted(rows[rows["side"] == one["side"]])
    found = rows[(rows["measure"] == one["headline"]) & (rows["loss"] == one["loss"])]
    if found.empty:
        return said
    first = found.iloc[0]
    name = first["flatter"] or first["more_robust"]
    return f"{first['title']}: {f'{name} {words}{_in_doubt(first)}' if name else 'undecided'}; {said}"


def _doubted(rows: pd.DataFrame) -> str:
    """How many of the rows that name a side are in doubt, and by what; "" where none is."""
    decided = rows[(rows["flatter"] != "") | (rows["more_robust"] != "")]
    return in_doubt([_reasons(trust) for trust in decided["trust"]])


def _in_doubt(row: pd.Series) -> str:
    reasons = _reasons(row["trust"])
    return f" (in doubt: {', '.join(reasons)})" if reasons else ""


def _reasons(trust: str) -> list[str]:
    """Why a row that is told with its interval, or as having none, is to be doubted besides."""
    return [reason for reason in trust.split("; ") if reason not in ("", LETTERS["0"], LETTERS["n"])]


def _generalization(rows: pd.DataFrame) -> str:
    for measure, words, scale, form in (("test_accuracy", "points", 100, ".2f"), ("test_loss", "by", 1, ".4g")):
        found = rows[rows["measure"] == measure]
        if len(found):
            first = found.iloc[0]
            low, high = (scale * side for side in bounds(first))
            within = "" if np.isnan(low) else f" ({low:{form}} … {high:{form}})"
            change = f"{scale * first['difference']:+{form}}"
            about = f" {words}{within}" if measure == "test_accuracy" else f"{within} {words} {first['loss']}"
            return f"{measure.replace('_', ' ')} {change}{about}, n = {first['n']:.0f}{_in_doubt(first)}"
    return "nothing was measured on test data"
