"""The rows of the comparison that a sentence is about, joined by the measure's id; titles are for display."""

from collections.abc import Callable, Mapping

import pandas as pd

from tables.measures import family
from tables.reading import TableError

from ..style.methods import alone, label, loss_label, losses, sides
from .gaps import Gap, gap, of_row
from .prose import ALONE, sentence
from .verdicts import tally, told

Tables = Mapping[str, pd.DataFrame]
Reading = Callable[[Tables], str]
RESCALED = "changes when weights are rescaled"
_FAR = ("training accuracies differ", "training losses differ", "training loss asked for not reached")
_UNKNOWN = "whether the minima are comparable is unknown without the comparison"


def needed(tables: Tables, name: str) -> pd.DataFrame:
    """The table ``name``, or TableError."""
    if name not in tables:
        raise TableError(f"needs the table {name}, which isn't there")
    return tables[name]


def comparison(tables: Tables) -> pd.DataFrame:
    """The rows of the two that are faced, at the T of most where there are several: different T, different networks.

    Raises TableError where there is none of them, or one method alone.
    """
    if alone():
        raise TableError(ALONE)
    rows, (reference, method) = needed(tables, "compare"), sides()
    if method:
        rows = rows[(rows["reference"] == reference) & (rows["method"] == method)]
        if rows.empty:
            raise TableError(f"the comparison has no row of {label(method)} against {label(reference)}")
    if "timesteps" in rows and rows["timesteps"].nunique() > 1:
        rows = rows[rows["timesteps"] == rows["timesteps"].mode().iloc[0]]
    return rows


def row_of(tables: Tables, measure: str, loss: str) -> Gap | None:
    """The comparison's row of the two that are faced, with its doubts; None without it, or where they are several."""
    try:
        rows = comparison(tables)
    except TableError:
        return None
    rows = rows[(rows["measure"] == measure) & (rows["loss"] == loss)]
    return of_row(rows.iloc[0]) if len(rows) == 1 else None


def incomparable(tables: Tables) -> tuple[str, ...]:
    """Doubts about whether the two sides' minima may be compared at all."""
    if alone():
        return ()
    try:
        trust = comparison(tables)["trust"]
    except TableError:
        return (_UNKNOWN,)
    return tuple(doubt for doubt in _FAR if trust.str.contains(doubt, regex=False).any())


def on_each_loss(tables: Tables, what: str, measures: Mapping[str, str]) -> str:
    """A sentence on rows of the comparison: of the measures with these ids, by what tells them apart, on every loss."""
    rows, claims = comparison(tables), {}
    for where, measure in measures.items():
        for _, row in rows[rows["measure"] == measure].iterrows():
            loss = f"under the {loss_label(row['loss'])}" if row["loss"] else ""
            claims[f"{where} {loss}".strip()] = of_row(row)
    if not claims:
        raise TableError(f"the comparison has no row {' or '.join(measures.values())}")
    return sentence(told(what, claims))


def of_one_on_each_loss(what: str, column: str, parts: Mapping[str, pd.DataFrame], *doubts: str) -> str:
    """The same of one method alone, which no comparison has: means of ``column`` over rows by what tells them apart."""
    claims = {}
    for where, rows in parts.items():
        for loss, words in losses(rows["loss"]).items():
            own = rows[rows["loss"] == loss]
            lost = "converged" in own and bool(own["converged"].eq(False).any())
            reasons = (*doubts, *("not converged",) * lost)
            claims[f"{where} under the {words}".strip()] = gap(own, column, doubts=reasons)
    if not claims:
        raise TableError(f"no row says {what}")
    return sentence(told(what, claims))


def counted_rows(rows: pd.DataFrame, words: str) -> str:
    """A sentence that counts the verdicts of these rows of the comparison, of which ``words`` say what they are."""
    if rows.empty:
        raise TableError("the comparison has no such row")
    return sentence(tally(words, [of_row(row) for _, row in rows.iterrows()]))


def asked(measure: str) -> tuple[str, ...]:
    """What the measure of this id was asked with: the words in its brackets."""
    inside = measure.removeprefix(family(measure)).strip("[]")
    return tuple(inside.split(",")) if inside else ()


def at_radius(measure: str) -> tuple[str, tuple[str, ...]] | None:
    """Family and other words of a measure whose last word is a radius; None for one that has none."""
    *others, last = asked(measure) or ("",)
    try:
        float(last)
    except ValueError:
        return None
    return family(measure), tuple(others)
