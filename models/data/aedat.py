"""Recordings in the formats AEDAT 2.0 and 3.1, as iniVation documents them.

**2.0** (jAER; CIFAR10-DVS): header lines that start with ``#``, then pairs of big-endian 32-bit words, an address and a
time in microseconds. What an address means depends on the chip, which the header names, or not: then it is taken for a
DVS128. Bits counted from 0:

=============  ====================  ==========================================
               DVS128                DAVIS240
=============  ====================  ==========================================
x, y           1–7, 8–14             12–21, 22–30
ON             bit 0 is 0            bit 11 is 1
not an event   bit 15 or 31 is 1     bit 10 or 31 is 1 (frames, inertia, input)
=============  ====================  ==========================================

What is not an event is dropped. Both chips count x from the right and y from the bottom; what is returned counts from
the top left, so that pictures stand upright. (That 0 is ON in a DVS128 is how jAER reads it, and the ``dat2mat`` that
CIFAR10-DVS refers to; iniVation's page says the opposite.) Times are documented as signed but used up to 2³², and wrap
there after 71 minutes: a step back by more than half of that is a step on.

**3.1** (cAER; DVS128 Gesture): header lines to ``#!END-HEADER``, then packets of events of one type, little-endian.
Polarity events are a word of bit 0 valid, bit 1 ON, bits 2–16 y, 17–31 x from the top left, and 31 bits of time, to
which the packet's header adds its number of overflows. Other types are skipped. An event whose valid bit is 0 is
dropped; a packet whose header counts another number of valid events is refused, since some writers never set the bit.
"""

import re
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from .event_frames import EVENT, stream

_HEADER = re.compile(rb"(?:#[\t\x20-\x7e\x80-\xff]*\r?\n)*")  # a line of text, which events of a DAVIS are not
_CHIP = re.compile(rb"^# ?AEChip: *(?:[\w.]*\.)?(\w+)", re.MULTILINE)
_END = re.compile(rb"#!END-HEADER\r?\n")
_PACKET = struct.Struct("<hhiiiiii")
_POLARITY = 1


def read_aedat(path: Path, *, keep_invalid: bool = False) -> np.ndarray:
    """The events of one file, an array of dtype ``EVENT`` in the order of the file.

    ``keep_invalid`` (3.1 only) reads all events, whatever their valid bits say.

    Raises OSError where the file can't be read, and ValueError, naming file and place, for another format or version,
    an unknown chip, a file that ends within an event, or what no such recording can hold.
    """
    content = path.read_bytes()
    version = content[:12]
    if version == b"#!AER-DAT2.0":
        return _version_2(path, content)
    if version == b"#!AER-DAT3.1":
        return _version_3(path, content, keep_invalid)
    raise ValueError(f"{path} starts with {version!r}, expected '#!AER-DAT2.0' or '#!AER-DAT3.1'")


def _version_2(path: Path, content: bytes) -> np.ndarray:
    start = _header_end(content)
    named = _CHIP.search(content, 0, start)
    chip = named.group(1).decode() if named else "DVS128"
    if chip != "DVS128" and not re.fullmatch("DAVIS240[ABC]?", chip):
        raise ValueError(f"{path} was recorded with the chip {chip}, expected DVS128 or DAVIS240")
    if (len(content) - start) % 8:
        raise ValueError(f"{path} ends within an event: {len(content) - start} bytes of events, expected 8 for each")
    words = np.frombuffer(content, ">u4", offset=start).reshape(-1, 2).astype(np.uint32)
    address, t = words[:, 0], _unwrapped(words[:, 1])
    if chip == "DVS128":
        _refuse(path, (address & 0x7FFF0000) != 0, "an address of more than the 15 bits of a DVS128")
        event = (address & 0x80008000) == 0
        x, y, on = 127 - (address >> 1 & 127), 127 - (address >> 8 & 127), address & 1 == 0
    else:
        event = (address & 0x80000400) == 0
        x, y = address >> 12 & 0x3FF, address >> 22 & 0x1FF
        _refuse(path, event & ((x > 239) | (y > 179)), "a pixel outside the 240×180 of a DAVIS240")
        x, y, on = 239 - x, 179 - y, address >> 11 & 1 == 1
    return stream(t, x, y, on)[event]


def _header_end(content: bytes) -> int:
    found = _HEADER.match(content)
    return found.end() if found else 0


def _refuse(path: Path, wrong: np.ndarray, what: str) -> None:
    if wrong.any():
        raise ValueError(f"{path} is damaged or of another sensor: event {int(wrong.argmax())} has {what}")


def _unwrapped(t: np.ndarray) -> np.ndarray:
    steps = np.diff(t).view(np.int32)  # modulo 2³², the shorter way round
    return np.concatenate([t[:1].astype(np.int64), int(t[0]) + np.cumsum(steps, dtype=np.int64)]) if len(t) else t


def _version_3(path: Path, content: bytes, keep_invalid: bool) -> np.ndarray:
    end = _END.search(content, 0, _header_end(content))
    if not end:
        raise ValueError(f"{path} has no line '#!END-HEADER' at the end of its header")
    found = [_polarity_events(path, *packet, keep_invalid) for packet in _packets(path, content, end.end())]
    return np.concatenate([np.empty(0, EVENT), *found])


def _packets(path: Path, content: bytes, at: int) -> Iterator[tuple[int, np.ndarray, int, int]]:
    """Place, words, overflows and stated number of valid events of each packet of polarity events."""
    while at < len(content):
        if len(content) - at < _PACKET.size:
            raise ValueError(f"{path} ends within a packet's header, at byte {at}")
        kind, _, size, offset, overflows, capacity, number, valid = _PACKET.unpack_from(content, at)
        if min(kind, size, overflows) < 0 or not 0 <= valid <= number <= capacity:
            counts = f"{number} events of {size} bytes, {valid} valid, {overflows} overflows"
            raise ValueError(f"{path} is damaged: the packet at byte {at} counts {counts}")
        if kind == _POLARITY and (size, offset) != (8, 4):
            raise ValueError(f"{path} is damaged: polarity events of {size} bytes at byte {at}, expected 8")
        start, at = at, at + _PACKET.size + size * number
        if at > len(content):
            raise ValueError(f"{path} ends within the packet at byte {start}, {at - len(content)} bytes too early")
        if kind == _POLARITY:
            words = np.frombuffer(content, "<u4", count=2 * number, offset=start + _PACKET.size)
            yield start, words.reshape(-1, 2), overflows, valid


def _polarity_events(
    path: Path, at: int, words: np.ndarray, overflows: int, valid: int, keep_invalid: bool
) -> np.ndarray:
    data, t = words[:, 0], words[:, 1].astype(np.int64) + (overflows << 31)
    marked = data & 1 == 1
    events = stream(t, data >> 17, data >> 2 & 0x7FFF, data >> 1 & 1 == 1)
    if keep_invalid:
        return events
    if marked.sum() != valid:
        raise ValueError(
            f"{path}: the packet at byte {at} counts {valid} valid events and marks {marked.sum()}; if its writer never"
            f" marks them, keep_invalid=True reads all {len(data)}"
        )
    return events[marked]
