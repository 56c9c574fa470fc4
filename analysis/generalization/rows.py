"""The rows of the tables: every measure against every gap, among all networks, within methods, and of each method."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from tables.interval import FEWEST as SEEDS

from ..compare.correlation import ALL, WITHIN
from ..compare.difference import holm
from ..compare.rank_interval import tau_interval
from .environments import environments
from .granulated import Psi, granulated, psi
from .information import information, least
from .jackknife import DEGENERATE, interval
from .questions import FEWEST, Asked, Question, p_of, questions
from .ranks import tau
from .reading import Tables
from .sweep import Measured, Sweep

Rows = dict[str, list[dict[str, Any]]]


def rows(sweep: Sweep, tables: Tables, asked: Asked) -> Rows:
    """The rows of all tables for one network, data set and T.

    Raises ValueError for a method called as the networks of all methods are, and for fewer than three networks.
    """
    for name in {ALL, WITHIN} & set(sweep.methods):
        raise ValueError(f"a method can't be called {name}: that stands for the networks of every method")
    if len(sweep.seeds) < FEWEST:
        raise ValueError(f"{len(sweep.seeds)} networks have no rank correlation: at least {FEWEST} are needed")
    found: Rows = {"generalization": [], "psi": [], "information": [], "sign_errors": []}
    for question in questions(sweep, tables, asked):
        main, chances = [], p_of(question, asked)
        for one, value in zip(question.sweep.measured, chances, strict=True):
            signs = question.pairs.signs(one.values)
            head = _head(question, one)
            main.append(head | {"given": ""} | _tau(question, one, signs) | {"p": value})
            main[-1] |= _granulated(question, signs, head, found)
            main[-1] |= _information(question, signs, head, found)
            main[-1] |= _environments(question, one, signs, head, found) | _counts(question, one)
            found["generalization"] += [main[-1], *_partial(question, one, signs, head)]
        _adjust(main)
    return found


def _head(question: Question, one: Measured) -> dict[str, Any]:
    told = {
        "gap": question.target,
        "among": question.among,
        "measure": one.measure,
        "title": one.title,
        "loss": one.loss,
        "side": one.side,
        "control": one.control,
    }
    return dict(question.sweep.place) | told


def _tau(question: Question, one: Measured, *signs: Float[np.ndarray, " pair"]) -> dict[str, Any]:
    """τ with its interval, of a measure and what it is given."""
    leaving = tau(question.pairs, signs[0], question.gap, *signs[1:])
    return _estimate("tau", leaving[0], *_score(question, one, leaving))


def _score(question: Question, one: Measured, leaving: Float[np.ndarray, " leaving"]) -> tuple[float, float]:
    """The interval over seeds of a τ of pairs of any seeds; NaN for fewer than three."""
    kept = ~np.isnan(one.values) & ~np.isnan(question.sweep.gaps[question.target])
    if len(set(question.sweep.seeds[kept])) < SEEDS:
        return np.nan, np.nan
    labels = np.array(question.sweep.methods)[kept].tolist(), question.sweep.seeds[kept].tolist()
    return tau_interval(float(leaving[0]), leaving[1:], *labels, within=question.among == WITHIN)


def _estimate(name: str, value: float, low: float, high: float) -> dict[str, Any]:
    return {name: value, "low": low, "high": high, "interval": "" if np.isfinite(low) else DEGENERATE}


def _partial(
    question: Question, one: Measured, signs: Float[np.ndarray, " pair"], head: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """τ given each of what may be held fixed, and all together; not given itself."""
    others = {
        name: of
        for name, of in question.given.items()
        if name != one.control and not np.array_equal(of, signs, equal_nan=True)
    }
    wanted = [(name,) for name in others] + ([tuple(others)] if len(others) > 1 else [])
    return [
        dict(head)
        | {"given": ", ".join(names)}
        | _tau(question, one, signs, *(others[name] for name in names))
        | _counts(question, one)
        for names in wanted
    ]


def _granulated(
    question: Question, signs: Float[np.ndarray, " pair"], head: Mapping[str, Any], found: Rows
) -> dict[str, Any]:
    """Ψ, and a row for every ψ."""
    names = list(map(str, question.sweep.levels))
    each: dict[int, Psi] = {}
    for factor, name in enumerate(names):
        one = psi(signs, question.gap, question.pairs, factor)
        if one is not None:
            each[factor] = one
            told = _estimate("psi", one.leaving[0], *interval(one.leaving)) | {
                "contexts": one.contexts,
                "pairs": one.pairs,
            }
            found["psi"].append(dict(head) | {"factor": name} | told)
    leaving = granulated(each)
    low, high = interval(leaving)
    return {"granulated": leaving[0], "granulated_low": low, "granulated_high": high}


def _information(
    question: Question, signs: Float[np.ndarray, " pair"], head: Mapping[str, Any], found: Rows
) -> dict[str, Any]:
    """K, and among all networks a row for every set of factors."""
    names = list(map(str, question.sweep.levels))
    each = {given: information(signs, one) for given, one in question.cells.items()}
    leaving, given = least(each)
    if question.among == ALL:
        for some, one in each.items():
            low, high = interval(one, 0.0)
            held = ", ".join(names[factor] for factor in some)
            found["information"].append(dict(head) | {"held": held, "information": one[0], "low": low, "high": high})
    low, high = interval(leaving, 0.0)
    told = {"information": leaving[0], "information_low": low, "information_high": high}
    return told | {"information_chance": question.chance, "held": ", ".join(names[factor] for factor in given)}


def _environments(
    question: Question, one: Measured, signs: Float[np.ndarray, " pair"], head: Mapping[str, Any], found: Rows
) -> dict[str, Any]:
    """The mean and the worst sign error, and among all networks a row for every environment."""
    each = environments(signs, question.gap, question.weights, question.coupled)
    told = [question.words[int(pair)] for pair in each.example]
    if question.among == ALL:
        columns = zip(told, each.error, each.effective, each.pairs, strict=True)
        found["sign_errors"] += [
            dict(head)
            | dict(place)
            | {"sign_error": error, "effective": effective, "pairs": number, "weighting": question.weighting}
            for place, error, effective, number in columns
        ]
    high, low = ((1 - end) / 2 for end in _score(question, one, 1 - 2 * each.mean))
    worst = int(each.error.argmax()) if len(each.error) else None
    return {
        "sign_error": each.mean[0], "sign_error_low": low, "sign_error_high": high,
        "worst_error": np.nan if worst is None else each.error[worst],
        "environment": "" if worst is None else "{factor} {level} and {other_level}; {fixed}".format(**told[worst]),
        "environments": len(each.error), "environments_left_out": each.left_out, "weighting": question.weighting,
    }  # fmt: skip


def _counts(question: Question, one: Measured) -> dict[str, Any]:
    """How many networks are ranked, and how many of them diverged; those that lack a number are in no rank."""
    gap, sweep = question.sweep.gaps[question.target], question.sweep
    kept = ~np.isnan(one.values) & ~np.isnan(gap)
    infinite = np.isinf(one.values[kept]) | np.isinf(gap[kept])
    unmeasured = sum(question.among in (ALL, WITHIN, method) for method in sweep.unmeasured)
    counts = {"n": kept.sum(), "missing": (~kept).sum() + unmeasured, "diverged": infinite.sum()}
    counts |= {"seeds": len(set(sweep.seeds[kept])), "combinations": len(set(sweep.settings[kept]))}
    return {name: int(count) for name, count in counts.items()}


def _adjust(main: list[dict[str, Any]]) -> None:
    """Holm's p over the measures; references are none of the family."""
    p = pd.Series([row["p"] if not row["control"] else np.nan for row in main], dtype=float)
    for row, adjusted in zip(main, holm(p.to_numpy()), strict=True):
        row["p_adjusted"] = adjusted
