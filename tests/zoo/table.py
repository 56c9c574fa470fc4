"""All rows."""

from . import (
    adapters,
    aliases,
    attention,
    layers,
    odd,
    recurrent,
    refused,
    runtime,
    science,
    spiking,
    targets,
    vision,
    vision_whole,
)  # fmt: skip
from .entry import Entry

_ROOMS = (
    layers, recurrent, attention, vision, vision_whole, adapters, aliases, science, runtime, targets, refused, spiking,
    odd,
)  # fmt: skip
ENTRIES: tuple[Entry, ...] = tuple(entry for room in _ROOMS for entry in room.ENTRIES)
HALF = tuple(entry for entry in ENTRIES if entry.half)

assert len({entry.name for entry in ENTRIES}) == len(ENTRIES), "two rows of one name"
