"""The analysis for reading at a terminal, and as a table of a paper."""

import numpy as np
import pandas as pd

from tables.latex import booktabs, interval, number

_SHOWN = ["title", "loss", "tau", "low", "high", "p_adjusted", "granulated", "granulated_low", "granulated_high"]
_SHOWN += ["information", "information_chance", "sign_error", "worst_error"]
_SHORT = {"granulated": "Ψ", "granulated_low": "Ψ low", "granulated_high": "Ψ high", "tau": "τ", "information": "K"}
_SHORT |= {"information_chance": "K by chance", "sign_error": "sign error", "worst_error": "worst"}


def whole(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows among all networks, given nothing: for each gap from the largest Ψ down, references among them."""
    rows = frame[(frame["among"] == "all") & (frame["given"] == "")]
    return rows.sort_values(["gap", "granulated"], ascending=[False, False], kind="stable")


def table(frame: pd.DataFrame) -> str:
    """Every measure among all networks, references marked by a star, and how many diverged or lack a number."""
    parts = []
    for (network, data, steps, gap), rows in whole(frame).groupby(["network", "data", "timesteps", "gap"], sort=False):
        first = rows.iloc[0]
        what = str(gap).replace("_", " ")
        head = f"{network} on {data}{f', T = {steps}' if steps else ''}: gap in {what}, {rows['n'].max()} networks, "
        head += (
            f"{first['combinations']} settings, {first['seeds']} seeds, sign errors weighted by {first['weighting']}"
        )
        marked = rows["title"] + np.where(rows["control"] != "", " *", "")
        body = rows.assign(title=marked)[_SHOWN].rename(columns=_SHORT)
        parts += [head, body.to_string(index=False, float_format=lambda value: f"{value:.3g}"), *_lost(rows)]
    return "\n".join([*parts, "* known for what it is. Intervals are over seeds, for these settings"])


def _lost(rows: pd.DataFrame) -> list[str]:
    """A line on networks that diverged: those with an infinite number, and those without one."""
    diverged, missing = int(rows["diverged"].max()), int(rows["missing"].max())
    said = [f"{diverged} with an infinite number, ranked so"] * (diverged > 0)
    said += [f"{missing} without a number, in no rank"] * (missing > 0)
    return [f"of the sweep's networks up to {' and '.join(said)}"] if said else []


def latex(frame: pd.DataFrame) -> str:
    """The same rows as a table for LaTeX."""
    parts = []
    for (network, data, steps, gap), rows in whole(frame).groupby(["network", "data", "timesteps", "gap"], sort=False):
        first = rows.iloc[0]
        lines = [
            [
                row["title"] + ("*" if row["control"] else ""), row["loss"],
                interval(row["tau"], row["low"], row["high"]),
                interval(row["granulated"], row["granulated_low"], row["granulated_high"]),
                number(row["information"]), number(row["worst_error"]),
            ]
            for _, row in rows.iterrows()
        ]  # fmt: skip
        what = str(gap).replace("_", " ")
        about = (
            f"Measures against the gap in {what} of {rows['n'].max()} networks ({network} on {data}"
            f"{f', T = {steps}' if steps else ''}; {first['combinations']} settings, {first['seeds']} seeds): "
            "Kendall's τ and Ψ with 95 % intervals over seeds, for these settings; K, which noise takes to "
            f"{number(first['information_chance'])} in 5 % of cases; the largest sign error of an environment. "
            "* reference measures"
        )
        header = ["measure", "loss", "τ", "Ψ", "K", "worst sign error"]
        parts.append(booktabs(header, lines, caption=about, left=2))
    return "\n".join(parts)
