"""AEDAT readers on files written event by event, on bytes that are none, and on real recordings."""

import re
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.data.aedat import read_aedat
from models.data.event_frames import EVENT
from tests.event_files import HEADER_2, HEADER_3, aedat3, davis240, dvs128, packet, random_events, real_events


@pytest.fixture
def read(tmp_path):
    """Read bytes as if they were a file."""

    def reading(content: bytes, **options) -> np.ndarray:
        (tmp_path / "recording.aedat").write_bytes(content)
        return read_aedat(tmp_path / "recording.aedat", **options)

    return reading


def rows(events: np.ndarray) -> list[tuple[int, ...]]:
    assert events.dtype == EVENT
    return [tuple(map(int, event)) for event in events.tolist()]


def events_on(width: int, height: int):
    return st.lists(
        st.tuples(
            st.integers(0, 2**31 - 1), st.integers(0, width - 1), st.integers(0, height - 1), st.sampled_from([-1, 1])
        ),
        max_size=30,
    )


SLOW = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@SLOW
@given(events_on(128, 128), st.sampled_from([b"", b"DVS128"]))
def test_a_dvs128_s_events_come_back(read, events, chip):
    events = sorted(events)
    assert rows(read(dvs128(events, chip=chip))) == events


@SLOW
@given(events_on(240, 180))
def test_a_davis240_s_events_come_back(read, events):
    events = sorted(events)
    assert rows(read(davis240(events))) == events


@SLOW
@given(st.lists(events_on(2**15, 2**15), max_size=3), st.integers(0, 5))
def test_polarity_events_of_3_1_come_back_with_their_overflows(read, packets, overflows):
    content = aedat3(*(packet(events, overflows=overflows) for events in packets))
    assert rows(read(content)) == [(t + overflows * 2**31, x, y, p) for events in packets for t, x, y, p in events]


def test_only_what_a_dvs128_saw_is_an_event(read):
    marks = struct.pack(">IIII", 1 << 15, 7, 1 << 31, 8)
    assert rows(read(dvs128([(5, 1, 2, 1)], extra=marks))) == [(5, 1, 2, 1)]


def test_frames_inertia_and_inputs_of_a_davis240_are_no_events(read):
    others = struct.pack(">IIII", 1 << 31, 7, 1 << 10, 8)
    assert rows(read(davis240([(5, 239, 179, -1)], extra=others))) == [(5, 239, 179, -1)]


def test_a_davis240_s_address_that_begins_like_a_header_line_is_an_event(read):
    events = [(3, 9, 179 - 141, 1), (0x0A0A0A0A, 9, 179 - 141, -1)]
    content = davis240(events)
    assert content[content.index(b"DAVIS240C\r\n") + 11] == ord("#")
    assert rows(read(content)) == events


def test_times_are_unsigned_and_go_on_after_they_wrap(read):
    times = [2**31 + 5, 2**32 - 1, 2**32 + 4, 2**32 + 3]
    assert read(dvs128([(t, 0, 0, 1) for t in times]))["t"].tolist() == times


def test_packets_of_other_types_are_skipped(read):
    special = struct.pack("<hhiiiiii", 0, 1, 8, 4, 0, 2, 2, 2) + bytes(16)
    frame = struct.pack("<hhiiiiii", 2, 1, 40, 12, 0, 1, 1, 1) + bytes(40)
    content = aedat3(special, packet([(1, 2, 3, 1)]), frame, packet([(4, 5, 6, -1)]))
    assert rows(read(content)) == [(1, 2, 3, 1), (4, 5, 6, -1)]


def test_invalid_events_are_dropped_or_kept_as_asked(read):
    content = aedat3(packet([(1, 2, 3, 1), (4, 5, 6, -1), (7, 8, 9, 1)], valid=[1, 0, 1]))
    assert [t for t, *_ in rows(read(content))] == [1, 7]
    assert [t for t, *_ in rows(read(content, keep_invalid=True))] == [1, 4, 7]


def test_a_writer_that_never_marks_valid_events_is_noticed(read):
    content = aedat3(packet([(1, 2, 3, 1), (4, 5, 6, -1)], valid=[0, 0], counted=2))
    with pytest.raises(ValueError, match=r"recording.aedat: the packet .* counts 2 valid .* marks 0; .*keep_invalid"):
        read(content)
    assert len(read(content, keep_invalid=True)) == 2


SECOND = len(aedat3(packet(random_events(20, 128, seed=0))))
GOOD_3 = aedat3(packet(random_events(20, 128, seed=0)), packet(random_events(9, 128, seed=1)))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "starts with b'', expected '#!AER-DAT2.0' or '#!AER-DAT3.1'"),
        (b"#!AER-DAT4.0\r\n", "starts with b'#!AER-DAT4.0'"),
        (b"PK\x03\x04 an archive", "starts with b'PK"),
        (dvs128([(1, 2, 3, 1)])[:-1], "ends within an event: 7 bytes of events, expected 8 for each"),
        (dvs128([(1, 2, 3, 1)], extra=b"\x00\x01\x00\x00" * 2), "event 1 has an address of more than the 15 bits"),
        (davis240([], extra=struct.pack(">II", 240 << 12, 1)), "event 0 has a pixel outside the 240×180"),
        (HEADER_2 + b"# AEChip: ini.Davis346red\r\n", "the chip Davis346red, expected DVS128 or DAVIS240"),
        (HEADER_3, "no line '#!END-HEADER'"),
        (GOOD_3[:-1], f"ends within the packet at byte {SECOND}, 1 bytes too early"),
        (GOOD_3[: SECOND + 20], f"ends within a packet's header, at byte {SECOND}"),
        (aedat3(struct.pack("<hhiiiiii", 1, 1, 8, 4, 0, 1, -1, 0)), "counts -1 events"),
        (aedat3(struct.pack("<hhiiiiii", 1, 1, 8, 4, -1, 0, 0, 0)), "-1 overflows"),
        (aedat3(struct.pack("<hhiiiiii", 1, 1, 12, 4, 0, 0, 0, 0)), "polarity events of 12 bytes"),
    ],
)
def test_what_is_no_recording_is_refused_in_one_line_that_names_it(read, content, words):
    with pytest.raises(ValueError, match=re.escape(words)) as failure:
        read(content)
    assert "recording.aedat" in str(failure.value)
    assert "\n" not in str(failure.value)


def check_answer(read, content: bytes) -> None:
    """Events, or one line that names the file; anything else is a traceback."""
    try:
        answer = read(content)
    except ValueError as failure:
        answer = str(failure)
    assert "recording.aedat" in answer if isinstance(answer, str) else answer.dtype == EVENT


@SLOW
@given(
    st.sampled_from([b"", HEADER_2, HEADER_2 + b"# AEChip: DAVIS240B\n", HEADER_3, aedat3(), GOOD_3]),
    st.binary(max_size=200),
)
def test_any_bytes_give_events_or_a_message(read, start, rest):
    check_answer(read, start + rest)


@SLOW
@given(
    st.sampled_from([GOOD_3, dvs128(random_events(20, 128, seed=0)), davis240(random_events(20, 128, seed=0))]),
    st.integers(0, 600),
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=4),
)
def test_a_damaged_recording_gives_events_or_a_message(read, content, cut, flips):
    damaged = bytearray(content[: len(content) - cut])
    for place, value in flips:
        if damaged:
            damaged[place % len(damaged)] = value
    check_answer(read, bytes(damaged))


# Real recordings: number of events, first and last time, share of raw 1 bits

REAL = {
    "dvs128_aedat2/Lapiseira": (126164, 3799644735, 3818152388, 0.416),
    "dvs128_aedat2/Tesoura": (143655, 2890272251, 2909034948, 0.415),
    "dvs128_aedat2/alex_walking_again": (19182, 41306606, 48193156, 0.630),
    "dvs128_aedat2/alex_walking_for_10secs": (125028, 262847757, 270891631, 0.552),
    "dvs128_aedat2/foam90": (1575, 2693326797, 2698248407, 0.208),
    "dvs128_aedat2/neal_walking": (70304, 135707767, 144951371, 0.516),
    "dvs128_aedat2/video_chave_fenda": (127186, 187421131, 192188787, 0.475),
    "davis240_aedat2/IMU_translBoxes": (162771, 294976755, 297049406, 0.510),
    "aedat31_synthetic/aedat1_for_testing": (12, 10, 2178812, 0.667),
    "aedat31_synthetic/aedat2_for_testing": (18, 10, 2178812, 0.611),
    "aedat31_synthetic/aedat2_led": (18, 10, 2178812, 0.611),
    "aedat31_synthetic/aedat3_fluorescent": (5, 15, 1288, 0.8),
    "aedat31_synthetic/aedat3_for_testing": (5, 15, 1288, 0.8),
}


@pytest.mark.parametrize("name", REAL)
def test_real_recordings_hold_what_is_known_of_them(name):
    number, first, last, ones = REAL[name]
    events = read_aedat(real_events() / f"{name}.aedat", keep_invalid=name.startswith("aedat31"))
    assert len(events) == number
    assert (events["t"][0], events["t"][-1]) == (first, last)
    assert (np.diff(events["t"]) >= 0).all()
    width, height = (240, 180) if "davis" in name else (128, 128)
    assert events["x"].min() >= 0
    assert events["x"].max() < width
    assert events["y"].min() >= 0
    assert events["y"].max() < height
    if number > 1000:
        assert (np.ptp(events["x"]), np.ptp(events["y"])) == (width - 1, height - 1)
    on = 1 - ones if "dvs128" in name else ones
    assert abs((events["p"] > 0).mean() - on) < 6e-4


def test_a_man_walks_upright():
    """His arms, in the upper half of the picture, reach farther out than his legs in the lower half."""
    events = read_aedat(real_events() / "dvs128_aedat2/alex_walking_again.aedat")[:6000]
    arms, legs = (events["x"][(events["y"] >= top) & (events["y"] < top + 30)].std() for top in (30, 90))
    assert arms > 1.2 * legs


def test_real_files_of_an_unknown_chip_or_without_valid_events_are_refused():
    folder = real_events()
    with pytest.raises(ValueError, match="Davis346red"):
        read_aedat(folder / "davis240_aedat2/sample_aedat_header.aedat")
    with pytest.raises(ValueError, match="counts 2 valid events and marks 0"):
        read_aedat(folder / "aedat31_synthetic/aedat3_for_testing.aedat")
    with pytest.raises(ValueError, match="#!AER-DAT4"):
        read_aedat(next(folder.glob("aedat4/*.aedat4")))


def test_a_missing_file_is_an_oserror(tmp_path):
    with pytest.raises(OSError, match=r"gone\.aedat"):
        read_aedat(Path(tmp_path / "gone.aedat"))
