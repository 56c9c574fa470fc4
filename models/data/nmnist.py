"""Recordings of an ATIS sensor in 40-bit events: N-MNIST's ``.bin`` (Orchard et al. 2015), SLAYER's ``.bs2``.

Five bytes an event, no header: x, y, then 1 bit of polarity (1: ON) and 23 bits of time in microseconds, big-endian,
both coordinates from the top left. An event at y = 240, which no such sensor has, says that the sensor's own clock of
13 bits ran over: it is dropped, and all times from there on are 2¹³ later.
"""

from pathlib import Path

import numpy as np

from .event_frames import stream

_OVERFLOW = 240


def read_bin(path: Path) -> np.ndarray:
    """The events of one file in its order, an array of dtype ``EVENT`` (see :mod:`models.data.event_frames`).

    Raises OSError where the file can't be read, and ValueError for one that ends within an event.
    """
    content = np.frombuffer(path.read_bytes(), np.uint8)
    if len(content) % 5:
        raise ValueError(f"{path} ends within an event, or is no such file: {len(content)} bytes, expected 5 an event")
    x, y, high, middle, low = content.reshape(-1, 5).T.astype(np.int64)
    overflow = y == _OVERFLOW
    t = ((high & 127) << 16 | middle << 8 | low) + (overflow.cumsum() << 13)
    return stream(t, x, y, high >> 7)[~overflow]
