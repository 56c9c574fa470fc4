"""What a loss is measured in: nats where it is a cross-entropy of this project's, else units of its own."""

from collections.abc import Iterable

ENTROPIES = frozenset({"sdt", "tet", "lts", "ce", "bce"})
"""Losses that are a mean cross-entropy. TMC and TRT add terms that are none; a loss of the user's may be anything."""


def loss_unit(names: Iterable[str]) -> str:
    """The unit of values of these losses: "nats", "units of NAME", or "each loss's own units" where they differ."""
    own = list(dict.fromkeys(names))
    if set(own) <= ENTROPIES:
        return "nats"
    return f"units of {own[0]}" if len(own) == 1 else "each loss's own units"
