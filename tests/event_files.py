"""Small event files in the documented formats, written event by event, and the folder with real recordings."""

import os
import struct
from pathlib import Path

import numpy as np
import pytest

Event = tuple[int, int, int, int]  # t, x, y, p (1 or -1), pixels from the top left

HEADER_2 = b"#!AER-DAT2.0\r\n# This is a raw AE data file - do not edit\r\n# Timestamps tick is 1 us\r\n"
HEADER_3 = b"#!AER-DAT3.1\r\n#Format: RAW\r\n#Source 1: DVS128\r\n#Start-Time: 2016-01-01 00:00:00 (TZ+0000)\r\n"


def real_events() -> Path:
    """The folder of real recordings; skips where there is none."""
    folder = Path(os.environ.get("SNN_LANDSCAPE_EVENTS", "data/events"))
    if not (folder / "nmnist_bin").is_dir():
        pytest.skip(f"no recordings in {folder.resolve()}: SNN_LANDSCAPE_EVENTS may name the folder that holds them")
    return folder


def random_events(number: int, side: int, seed: int, duration: int = 100_000) -> list[Event]:
    random = np.random.default_rng(seed)
    times = np.sort(random.integers(1, duration, number))
    x, y = random.integers(side, size=(2, number))
    p = random.choice([-1, 1], number)
    return list(zip(times.tolist(), x.tolist(), y.tolist(), p.tolist(), strict=True))


def dvs128(events: list[Event], *, chip: bytes = b"", extra: bytes = b"") -> bytes:
    """AEDAT 2.0 of a DVS128: x counted from the right, y from the bottom, ON is 0."""
    header = HEADER_2 + (b"# AEChip: ch.unizh.ini.jaer.chip.retina." + chip + b"\r\n" if chip else b"")
    words = [struct.pack(">II", (127 - y) << 8 | (127 - x) << 1 | (p < 0), t % 2**32) for t, x, y, p in events]
    return header + b"".join(words) + extra


def davis240(events: list[Event], *, extra: bytes = b"") -> bytes:
    """AEDAT 2.0 of a DAVIS240: x counted from the right, y from the bottom, ON is 1."""
    header = HEADER_2 + b"# AEChip: eu.seebetter.ini.chips.davis.DAVIS240C\r\n"
    words = [struct.pack(">II", (179 - y) << 22 | (239 - x) << 12 | (p > 0) << 11, t) for t, x, y, p in events]
    return header + b"".join(words) + extra


def packet(
    events: list[Event], *, valid: list[int] | None = None, overflows: int = 0, counted: int | None = None
) -> bytes:
    """A packet of polarity events of AEDAT 3.1, with their valid bits and the number that the header counts."""
    bits = valid or [1] * len(events)
    stated = sum(bits) if counted is None else counted
    header = struct.pack("<hhiiiiii", 1, 1, 8, 4, overflows, len(events), len(events), stated)
    words = (x << 17 | y << 2 | (p > 0) << 1 | bit for (t, x, y, p), bit in zip(events, bits, strict=True))
    times = (t for t, *_ in events)
    return header + b"".join(struct.pack("<II", word, t) for word, t in zip(words, times, strict=True))


def aedat3(*packets: bytes) -> bytes:
    return HEADER_3 + b"#!END-HEADER\r\n" + b"".join(packets)


def atis(events: list[Event]) -> bytes:
    """N-MNIST's five bytes an event; ON is 1."""
    return b"".join(bytes([x, y, (p > 0) << 7 | t >> 16 & 127, t >> 8 & 255, t & 255]) for t, x, y, p in events)


def write_cifar10_dvs(root: Path, per_class: int = 20, events: int = 60) -> None:
    names = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
    for label, name in enumerate(names):
        (root / name).mkdir(parents=True)
        for number in range(per_class):
            content = dvs128(random_events(events, 128, seed=1000 * label + number))
            (root / name / f"cifar10_{name}_{number}.aedat").write_bytes(content)


def write_n_mnist(root: Path, train: int = 2, test: int = 1, events: int = 80) -> None:
    for part, number in (("Train", train), ("Test", test)):
        for label in range(10):
            (root / part / str(label)).mkdir(parents=True)
            for i in range(number):
                seed = 1000 * label + 10 * i + (part == "Test")
                (root / part / str(label) / f"{seed:05d}.bin").write_bytes(atis(random_events(events, 34, seed)))


def gesture_stream(user: int) -> list[Event]:
    """Eleven gestures of 1 ms every 2 ms, with an event at each start and each end."""
    ends = [(1000 * i, 3, 4, 1) for i in range(22)]
    return sorted(random_events(900, 128, seed=user, duration=23_000) + ends)


def write_gesture(root: Path) -> None:
    """Three people's eleven gestures; the third person is for testing."""
    root.mkdir(parents=True)
    for user in (1, 2, 3):
        name = f"user{user:02d}_led"
        stream = gesture_stream(user)
        (root / f"{name}.aedat").write_bytes(aedat3(packet(stream[:400]), packet(stream[400:])))
        lines = [f"{1 + i},{2000 * i},{2000 * i + 1000}" for i in range(11)]
        (root / f"{name}_labels.csv").write_text("\n".join(["class,startTime_usec,endTime_usec", *lines, ""]))
    (root / "trials_to_train.txt").write_text("user01_led.aedat\nuser02_led.aedat\n")
    (root / "trials_to_test.txt").write_text("user03_led.aedat\n\n")
