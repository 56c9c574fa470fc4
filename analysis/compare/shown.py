"""A comparison for reading at a terminal."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from .doubts import LETTERS


def table(comparison: pd.DataFrame, beside: Mapping[str, pd.DataFrame]) -> str:
    """The comparison for reading at a terminal, its doubts by letters that the last lines explain."""
    short = {reason: letter for letter, reason in LETTERS.items()}
    doubts = [" ".join(short[doubt] for doubt in trust.split("; ") if doubt) for trust in comparison["trust"]]
    columns = [name for name in ("network", "data", "timesteps") if comparison[name].nunique() > 1]
    columns += ["title", "loss", "method", "reference_mean", "method_mean", "difference", "low", "high"]
    columns += ["p_adjusted", "n"]
    robust = comparison["more_robust"] + np.where(comparison["more_robust"] != "", " more robust", "")
    flatter = comparison["flatter"] + np.where(comparison["flatter"] != "", " flatter", "")
    shown = comparison[columns].assign(found=flatter + robust, doubts=doubts)
    shown = shown.drop(columns="method") if comparison["method"].nunique() == 1 else shown
    used = set(" ".join(doubts).split())
    legend = "; ".join(f"{letter} {reason}" for letter, reason in LETTERS.items() if letter in used)
    body = shown.to_string(index=False, float_format=lambda value: f"{value:.4g}")
    return f"{body}\ndoubts: {legend}\n{verdict(comparison, beside)}"


def verdict(comparison: pd.DataFrame, beside: Mapping[str, pd.DataFrame]) -> str:
    """How each method generalizes, which is flatter and at which radius, which survives more.

    ``beside`` are the tables counts and crossovers, where they are there.
    """
    lines = []
    counts = beside.get("counts", pd.DataFrame({"method": [], "side": []}))
    for (reference, method), rows in comparison.groupby(["reference", "method"], sort=False):
        lines += [f"{method} against {reference}:", f"  {_accuracy(rows)}"]
        for side, words in (("flatness", "flatter"), ("robustness", "more robust")):
            about = counts[(counts["method"] == method) & (counts["side"] == side)]
            lines += [f"  {words}: {_counted(one, rows, words)}" for _, one in about.iterrows()]
        if "crossovers" in beside:
            lines += _by_radius(beside["crossovers"], str(method))
    return "\n".join(lines)


def _by_radius(crossovers: pd.DataFrame, method: str) -> list[str]:
    """Which is flatter at which radius on random planes, with plain logits and at one scale, of the first loss."""
    own = crossovers[(crossovers["method"] == method) & (crossovers["along"] == "plane")]
    own = own[own["loss"] == own["loss"].iloc[0]] if len(own) else own
    names = {"plain": "by radius", "network": "with logits at one scale"}
    return [
        f"  {words}: {one['verdict'].partition(': ')[2]} ({one['loss']} loss)"
        for logits, words in names.items()
        for _, one in own[own["logits"] == logits].iterrows()
    ]


def _counted(one: pd.Series, rows: pd.DataFrame, words: str) -> str:
    """The headline row and the count with its chance."""
    named = ", ".join(
        f"{one[side]} in {one[f'{side}_rows']:.0f} (p = {one[f'p_{side}']:.2g})" for side in ("reference", "method")
    )
    said = f"of {one['rows']:.0f} rows {named}; chance alone reaches {one['percentile']:.0f} in 5 % of cases"
    found = rows[(rows["measure"] == one["headline"]) & (rows["loss"] == one["loss"])]
    if found.empty:
        return said
    first = found.iloc[0]
    name = first["flatter"] or first["more_robust"]
    return f"{first['title']}: {f'{name} {words}' if name else 'undecided'}; {said}"


def _accuracy(rows: pd.DataFrame) -> str:
    found = rows[rows["measure"] == "test_accuracy"]
    if found.empty:
        return "test accuracy was not measured"
    change, low, high = 100 * found[["difference", "low", "high"]].iloc[0].to_numpy(float)
    return f"test accuracy {change:+.2f} points ({low:.2f} … {high:.2f}), n = {found['n'].iloc[0]:.0f}"
