"""The reader of 40-bit events on files written event by event, on other bytes, and on real recordings."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.data.event_frames import EVENT
from models.data.nmnist import read_bin
from tests.event_files import atis, real_events

SLOW = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
ONE = st.tuples(st.integers(0, 2**23 - 1), st.integers(0, 255), st.integers(0, 239), st.sampled_from([-1, 1]))


@pytest.fixture
def read(tmp_path):
    def reading(content: bytes) -> np.ndarray:
        (tmp_path / "0.bin").write_bytes(content)
        return read_bin(tmp_path / "0.bin")

    return reading


@SLOW
@given(st.lists(st.tuples(ONE, st.booleans()), max_size=40))
def test_events_come_back_and_after_an_overflow_are_later(read, marked):
    """Event by event: a mark at y = 240 moves all that follows by 2^13 microseconds and is no event itself."""
    written, expected, late = [], [], 0
    for (t, x, y, p), overflow in marked:
        if overflow:
            written.append((t, 0, 240, 1))
            late += 8192
        written.append((t, x, y, p))
        expected.append((t + late, x, y, p))
    events = read(atis(written))
    assert events.dtype == EVENT
    assert events.tolist() == expected


@SLOW
@given(st.binary(max_size=60))
def test_any_bytes_give_events_or_a_message(read, content):
    if len(content) % 5:
        with pytest.raises(ValueError, match=r"0\.bin ends within an event.*expected 5"):
            read(content)
    else:
        assert len(read(content)) == sum(byte != 240 for byte in content[1::5])


def test_real_recordings_hold_what_is_known_of_them():
    """Number of events, first and last time, share of ON."""
    known = {
        "nmnist_bin/Train/1/00178.bin": (2948, 6792, 308169, 0.503),
        "nmnist_bin/Train/1/37344.bin": (2384, 1108, 307059, 0.518),
        "nmnist_bin/Train/1/44725.bin": (1704, 67, 310968, 0.535),
        "nmnist_bin/tonic/sample_nmnist.bin": (4325, 654, 311175, 0.496),
        "nmnist_slayer_bs2/1.bs2": (4681, 893, 305924, 0.497),
        "nmnist_slayer_bs2/26.bs2": (6261, 659, 311220, 0.492),
        "dvs128gesture_slayer_bs2/1.bs2": (63471, 28, 1449996, 0.507),
        "dvs128gesture_slayer_bs2/5.bs2": (181179, 8, 1449984, 0.515),
        "dvs128gesture_slayer_bs2/10.bs2": (85936, 24, 1449982, 0.552),
    }
    for name, (number, first, last, on) in known.items():
        events = read_bin(real_events() / name)
        side = 128 if name.startswith("dvs128") else 34
        assert len(events) == number
        assert (events["t"][0], events["t"][-1]) == (first, last)
        assert (np.diff(events["t"]) >= 0).all()
        assert (events["x"].min(), events["x"].max(), events["y"].max()) == (0, side - 1, side - 1)
        assert events["y"].min() == (1 if "37344" in name else 0)
        assert abs((events["p"] > 0).mean() - on) < 6e-4


def test_every_real_recording_lies_on_its_sensor():
    folder = real_events()
    files = sorted(folder.glob("nmnist*/**/*.b*")) + sorted(folder.glob("dvs128gesture*/*.bs2"))
    assert len(files) == 66
    for file in files:
        events = read_bin(file)
        side = 128 if "gesture" in file.parent.name else 34
        assert max(events["x"].max(), events["y"].max()) < side, file
        assert len(events) * 5 == file.stat().st_size
