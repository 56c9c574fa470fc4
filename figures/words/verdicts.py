"""Clauses on what is compared, which are never stronger than the interval."""

from collections.abc import Iterable, Mapping, Sequence

import pandas as pd

from tables.reading import TableError
from tables.words import in_doubt

from ..style.methods import alone, label, looks
from .gaps import COUNTS, Gap, mean
from .prose import listed, number

_BROKEN = "isn't finite"
_BRIEF = 2  # claims in one clause beyond which their means are left to the table


def told(what: str, claims: Mapping[str, Gap], *, unit: str = "") -> str:
    """A clause on ``what`` with a verdict for each claim, by where it holds ("at T = 4"); no full stop.

    Doubts that all claims share stand at the end, the others beside their claim.
    """
    if any(one.alone for one in claims.values()):
        return _of_one(what, claims, unit)
    shared = [doubt for doubt in _union(claims) if all(doubt in one.doubts for one in claims.values())]
    if all(one.verdict == "lost" for one in claims.values()):
        broken = any("not finite" in one.doubts for one in claims.values())
        return f"{what} {_BROKEN if broken else 'was not measured'} on both sides"
    found: dict[str, list[str]] = {}
    for where, one in claims.items():
        own = [doubt for doubt in one.doubts if doubt not in shared]
        found.setdefault(one.verdict, []).append(
            f"{where} ({_numbers(one, unit, own, brief=len(claims) > _BRIEF)})".strip()
        )
    reference, method = _labels(claims.values())
    parts = [
        phrase.format(listed(found[verdict]), reference=reference, method=method)
        for verdict, phrase in _PHRASES.items()
        if verdict in found
    ]
    text = f"{what} {', and '.join(parts)}"
    counts = {one.n for one in claims.values() if one.verdict in ("higher", "lower", "undecided")}
    if len(claims) > _BRIEF and counts:
        text += f" ({method} − {reference} and 95 % intervals, n = {' or '.join(map(str, sorted(counts)))})"
    return text + (f"; in doubt: {', '.join(shared)}" if shared else "")


def _of_one(what: str, claims: Mapping[str, Gap], unit: str) -> str:
    """The same of one method alone: its means."""
    found = {where: one.alone for where, one in claims.items() if one.alone and one.alone.n}
    if not found:
        return f"{what} was not measured"
    after = f"\u00a0{unit}" if unit else ""
    said = [f"{number(one.mean, 4)}{after} {where} ({one.interval})".replace("  ", " ") for where, one in found.items()]
    doubts = _union(claims)
    text = f"{what} is {listed(said)} with {label(next(iter(claims.values())).names[0])}"
    return text + (f"; in doubt: {', '.join(doubts)}" if doubts else "")


_PHRASES = {
    "higher": "is higher with {method} than with {reference} {}",
    "lower": "is lower with {method} than with {reference} {}",
    "undecided": "can't be told apart between {reference} and {method} {}",
    "few": "has no interval {}",
    "lost": "was not measured on both sides {}",
}


def _labels(gaps: Iterable[Gap]) -> tuple[str, str]:
    """What readers call the reference and the method that these are of."""
    names = next((one.names for one in gaps), ("", ""))
    reference, method = (
        label(name) or other for name, other in zip(names, ("the reference", "the method"), strict=True)
    )
    return reference, method


def _union(claims: Mapping[str, Gap]) -> list[str]:
    return list(dict.fromkeys(doubt for one in claims.values() for doubt in one.doubts))


def _numbers(one: Gap, unit: str, doubts: list[str], *, brief: bool) -> str:
    if one.verdict == "lost":
        return f"n = {one.n}"
    after = f"\u00a0{unit}" if unit else ""
    points = "\u00a0points" if unit == "%" else after
    reference, method = _labels([one])
    means = f"{method} {number(one.method, 4)}{after}, {reference} {number(one.reference, 4)}{after}"
    change = number(one.difference)
    interval = f"{number(one.low)} … {number(one.high)}{points}"
    if one.verdict == "few":
        parts = [means, f"{COUNTS.get(one.n, f'n = {one.n}')} a side"]
    elif brief:
        parts = [change, interval]
    else:
        parts = [means, f"difference {change}, 95 % interval {interval}, n = {one.n}"]
    return "; ".join([*parts, *([f"in doubt: {', '.join(doubts)}"] if doubts else [])])


def tally(words: str, gaps: Sequence[Gap]) -> str:
    """A clause that counts the verdicts of ``gaps``, of which ``words`` say what they are, {} being how many.

    With it stand how many chance alone would decide, and how many of those decided are in doubt. Of one method alone
    there is none, and the clause is empty.
    """
    if alone():
        return ""
    count = {name: sum(one.verdict == name for one in gaps) for name in _COUNTED}
    tested = count["lower"] + count["higher"] + count["undecided"]
    shown = [name for name in _COUNTED if count[name] or (tested and name in ("lower", "higher"))]
    reference, method = _labels(gaps)
    words_of = {name: _COUNTED[name][count[name] != 1].format(reference=reference, method=method) for name in shown}
    said = [f"{count[name]} {words_of[name]}" for name in shown]
    text = f"{words.format(len(gaps))}, {'' if tested else 'none can be decided: '}{listed(said)}"
    if tested:
        text += f" (chance alone would decide {0.05 * tested:.1f} of {tested})"
    return text + in_doubt([one.doubts for one in gaps if one.verdict in ("lower", "higher")])


_COUNTED = {
    "lower": ("is lower with {method}", "are lower with {method}"),
    "higher": ("is lower with {reference}", "are lower with {reference}"),
    "undecided": ("can't be told apart", "can't be told apart"),
    "few": ("has too few seeds", "have too few seeds"),
    "lost": ("was not measured on both sides", "were not measured on both sides"),
}  # of one, and of several


def each(rows: pd.DataFrame, column: str, reference: float) -> str:
    """Each method's mean with its interval, and what may be said of it and a reference value."""
    found = {method: mean(rows, column, method) for method in looks(rows["method"])}
    said = [f"{number(one.mean)} with {label(name)} ({one.beside(reference)})" for name, one in found.items() if one.n]
    if not said:
        raise TableError(f"no finite value of {column}")
    return listed(said)
