"""Whether an operand is spikes: its numbers are looked at, and counted where they are.

Spikes are whole numbers of one value: binary, sums of binaries (SEW's addition), means of binaries (pooled, averaged
over time), and each of these times one number. Where the value of a spike was followed (:mod:`analysis.energy.flow`),
the numbers have to be whole multiples of it. Where it couldn't be, the first of these that fits is taken: 1, one of a
window's averages met in this pass, the only number there is beside 0. Graded values are spikes after all where all
are 0 or 1 (a surrogate written as arithmetic); not the network's input, which is looked at as a whole, nor the whole
numbers that products of spikes with spikes give.
"""

from dataclasses import dataclass

from jaxtyping import Float64
from torch import Tensor

from .flow import UNKNOWN, Flow, Values

_OFF = 0.01
"""How far from a whole number a count of spikes may lie, which rounding in half precision leaves room for."""


@dataclass(frozen=True)
class Seen:
    """An operand: how often each of its neurons fired, None for graded ones; what else is known of it."""

    spikes: Float64[Tensor, "*shape"] | None
    window: int
    image: bool


def looked_at(operand: Tensor, flow: Flow) -> Seen:
    """What ``operand`` is in a pass of which ``flow`` is known."""
    values = flow.of(operand) or UNKNOWN
    found, window = _counts(operand, values, flow.windows)
    return Seen(found, window, values.image)


def _counts(operand: Tensor, values: Values, windows: set[int]) -> tuple[Tensor | None, int]:
    size = operand.detach().abs().double()
    if values.kind == "spikes":
        return _whole(size / values.unit), values.window
    if values.kind == "graded":
        found = None if values.image or values.sums else _whole(size)
        return (found if found is not None and found.max() == 1 else None), values.window
    for window in (1, *sorted(windows)):
        found = _whole(size * window)
        if found is not None:
            return found, max(window, values.window)
    top = size.max()
    return (size / top if bool(((size == 0) | (size == top)).all()) else None), values.window


def _whole(counts: Tensor) -> Tensor | None:
    found = counts.round()
    return found if bool(((counts - found).abs() <= _OFF).all()) else None
