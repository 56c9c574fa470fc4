"""Pages of tables, from the schema, and of measures, from their catalogue."""

from itertools import groupby

from tables.measures import MEASURES, Measure
from tables.schema import SCHEMA, page_of

from .markdown import code, page, table, toctree

_INVARIANCE = {"invariant": "no", "changes": "**yes**", "": ""}


def tables() -> dict[str, str]:
    """A page for each table, and one that lists them."""
    rows = [
        (f"[{one.name}]({one.name}.md)", f"[{one.command}](../commands/{one.command}.md)", one.about)
        for one in SCHEMA.values()
    ]
    index = page(
        "# Tables",
        "One observation a row. Beside NAME.csv lies NAME.json, which says where it comes from: settings, hashes of "
        "checkpoints and tables, versions, seconds. What may lack, earlier versions wrote not, or a flag asks for it.",
        table(["table", "written by", "what it holds"], rows),
        toctree(*SCHEMA, hidden=True),
    )
    return {"index": index} | {name: page_of(one, heading="#") for name, one in SCHEMA.items()}


def measures() -> str:
    """All measures on one page, side by side."""
    parts = []
    by_side = sorted(MEASURES.values(), key=lambda one: one.side == "")
    for side, some in groupby(sorted(by_side, key=lambda one: one.side or "~"), key=lambda one: one.side):
        parts += [f"## {(side or 'of no side').capitalize()}", _table(list(some))]
    return page(
        "# Measures",
        "One number for each subject and loss that a comparison compares. The id never changes: tables are joined by "
        "it. The title is for readers; {0}, {1} … in it stand for what a member of the family was asked with, as the "
        "0.05 of `average_rise[0.05]`.",
        "**Rescaling**: whether the value changes when weights before a BatchNorm are rescaled, which leaves the "
        "network's function alone. Two minima that differ in such a measure may differ in nothing but the scale of "
        "their weights (Dinh, Pascanu, Bengio, Bengio 2017), and a row of it carries that doubt.",
        "**Better** says which values are the flatter, the more robust, the better ones; nothing where neither is.",
        *parts,
    )


def _table(some: list[Measure]) -> str:
    rows = [
        (
            code(one.id),
            one.title,
            one.unit,
            one.better,
            _INVARIANCE[one.invariance],
            f"[{one.table}](tables/{one.table}.md)",
        )
        for one in some
    ]
    return table(["id", "title", "unit", "better", "rescaling", "table"], rows)
