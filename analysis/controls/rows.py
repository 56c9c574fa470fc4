"""Table controls: every measure put to every control, a row for each level."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pandas as pd

from tables.controls import UNDECIDED

from .answers import FLATNESS, Answer, Measured, generalization, measured
from .compared import flatter, follows, memorised
from .forced import falls, followed
from .halves import of_one_method
from .moved import moved
from .networks import Networks
from .plan import Cells

Asked = tuple[str, str, Callable[[Measured], Answer]]
"""A control, its level, and what it says of a measure."""


def rows(found: Networks, controls: tuple[str, ...], cells: Cells | None, gap: str, loss: str) -> list[dict[str, Any]]:
    """All rows, network by network; ``cells`` are None where networks were given."""
    every = []
    for (network, data), values in found.values.groupby(["network", "data"], sort=False):
        for method in [cells.base] if cells else list(dict.fromkeys(values["method"])):
            own = values if cells else values[values["method"] == method]
            head = {"network": network, "data": data, "method": method}
            every += [head | row for row in _rows(own, found, controls, cells, gap, loss, str(method))]
    return every


def _rows(
    values: pd.DataFrame,
    found: Networks,
    controls: tuple[str, ...],
    cells: Cells | None,
    gap: str,
    loss: str,
    method: str,
) -> Iterator[dict[str, Any]]:
    asked = list(_trained(values, cells, f"gap_in_{gap}", loss)) if cells else []
    if "halves" in controls:
        asked.append(("halves", "halves", lambda one: of_one_method(one, method)))
    for one in measured(values, FLATNESS):
        yield from (_row(one, control, level, answer(one)) for control, level, answer in asked)
    yield from _copied(values[values["method"] == method], found)


def _trained(values: pd.DataFrame, cells: Cells, gap_in: str, loss: str) -> Iterator[Asked]:
    base, gap = cells.base, generalization(values, gap_in, loss)
    right = generalization(values, "train_accuracy", loss)
    for level, label in cells.sam.items():
        yield "sam", level, partial(flatter, base=base, other=label)
    if other := cells.random_labels:
        yield "random-labels", "all labels", lambda one: memorised(one, base, other, gap, right)
    for level, (less, more) in cells.counter.items():
        yield "counter", level, partial(follows, gap=gap, less=less, more=more)
    if radii := dict(cells.forced):
        yield "forced", "falls with ρ", lambda one: falls(one, radii)
        yield "forced", "gap follows", lambda one: followed(one, gap, radii)


def _copied(values: pd.DataFrame, found: Networks) -> Iterator[dict[str, Any]]:
    for control, level in dict.fromkeys([*found.copies, *found.lost]):
        after = found.copies.get((control, level))
        told = f"by {level}" if control == "rescaled" else f"logits × {level}"
        for one in measured(values):
            if after is None:
                answer = Answer(UNDECIDED, unit="factor", why=found.lost[control, level])
            else:
                claims = str(one.head["rescaling"])
                answer = moved(
                    _by(values, one, "checkpoint"), _by(after, one, "source"), control=control, claims=claims
                )
            yield _row(one, control, told, answer)


def _by(values: pd.DataFrame, one: Measured, index: str) -> "pd.Series[float]":
    same = (values["measure"] == one.head["measure"]) & (values["loss"] == one.head["loss"])
    return values[same].set_index(index)["value"]


def _row(one: Measured, control: str, level: str, answer: Answer) -> dict[str, Any]:
    head = {name: one.head[name] for name in ("measure", "title", "loss", "side")}
    return head | {"control": control, "level": level} | answer.row
