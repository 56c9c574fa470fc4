"""The eight rows of the comparison that speak first, as a table of the page: a column for each method."""

import pandas as pd

from tables.answer import at_one_t
from tables.headlines import headlines

from ..style.methods import label, loss_label
from ..words.gaps import of_row
from ..words.prose import number
from .finding import finding, interval
from .markup import lines, prose, table, text

_QUESTIONS = {
    "generalizes": "Which generalizes better?",
    "trained alike": "Trained alike?",
    "flatter": "Which is flatter?",
    "survives": "Which survives more?",
    "costs": "What does it cost?",
    "moves": "How do gradients go?",
}


def spoken(compare: pd.DataFrame) -> str:
    """The table; empty where the comparison has no such row."""
    rows = headlines(at_one_t(compare))
    if rows.empty:
        return ""
    methods = list(dict.fromkeys(rows["method"]))
    reference = label(str(rows["reference"].iloc[0]))
    header = ["measure", "question", reference, *(f"{label(str(name))} − {reference}" for name in methods)]
    made = []
    for (question, *_), own in rows.groupby(["question", "measure", "loss"], sort=False):
        first, by = own.iloc[0], own.set_index("method", drop=False)
        title = first["title"] + (f", {loss_label(first['loss'])}" if first["loss"] else "")
        unit = f" {first['unit']}" if first["unit"] not in ("", "1") else ""
        cells = [_cell(by.loc[name]) if name in by.index else "–" for name in methods]
        mean = f"{number(first['reference_mean'], 4)}{unit}"
        made.append([prose(title), text(_QUESTIONS.get(str(question), question)), prose(mean), *cells])
    return table(f"{len(made)} rows that were chosen beforehand, means over seeds", header, made, "cards")


def _cell(row: pd.Series) -> str:
    """Difference, interval, what may be said, and why to doubt it."""
    doubts = of_row(row).doubts
    said = lines([f"{number(row['difference'])} ({interval(row)})", finding(row)])
    return said + (f'<span class="line quiet">in doubt: {prose(", ".join(doubts))}</span>' if doubts else "")
