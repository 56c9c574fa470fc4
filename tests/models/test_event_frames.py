"""Frames against a loop over events, and interpolation against a loop over pixels and against PIL."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from models.data.event_frames import EVENT, frames, resized, stream
from models.data.nmnist import read_bin
from tests.event_files import real_events


def stream_of(rows) -> np.ndarray:
    return np.array(rows, dtype=EVENT)


def looped(events: np.ndarray, timesteps: int, by: str, size: tuple[int, int]) -> torch.Tensor:
    """Frames by a loop over events, the part that an event falls in found by comparing with each bound."""
    ordered = sorted(events.tolist(), key=lambda event: event[0])
    counts = torch.zeros(timesteps, 2, *size)
    for n, (t, x, y, p) in enumerate(ordered):
        first, last = ordered[0][0], ordered[-1][0]
        done, whole = (n, len(ordered)) if by == "count" else (t - first, last - first)
        step = max(k for k in range(timesteps) if k * whole <= done * timesteps) if whole else 0
        counts[step, 1 if p > 0 else 0, y, x] += 1
    return counts


events_strategy = st.lists(
    st.tuples(st.integers(0, 1000), st.integers(0, 4), st.integers(0, 2), st.sampled_from([-1, 1])), max_size=60
).map(stream_of)


@given(events_strategy, st.integers(1, 7), st.sampled_from(["count", "time"]))
def test_frames_are_those_of_a_loop_over_events(events, timesteps, by):
    expected = looped(events, timesteps, by, (3, 5))
    assert torch.equal(frames(events, timesteps, by=by, size=(3, 5)), expected)
    assert torch.equal(frames(events, timesteps, by=by, size=(3, 5), binary=True), expected.clamp(max=1))


@given(events_strategy, st.integers(1, 7), st.sampled_from(["count", "time"]))
def test_every_event_is_in_one_frame(events, timesteps, by):
    counts = frames(events, timesteps, by=by, size=(3, 5))
    assert counts.shape == (timesteps, 2, 3, 5)
    assert counts[:, 1].sum() == (events["p"] > 0).sum()
    assert counts[:, 0].sum() == (events["p"] < 0).sum()
    if by == "count":
        sizes = counts.sum((1, 2, 3))
        assert sizes.max() - sizes.min() <= 1


@given(events_strategy, st.integers(0, 10**12), st.integers(1, 1000), st.sampled_from(["count", "time"]))
def test_frames_do_not_depend_on_the_unit_or_the_start_of_time(events, start, unit, by):
    other = events.copy()
    other["t"] = start + unit * events["t"]
    assert torch.equal(frames(events, 4, by=by, size=(3, 5)), frames(other, 4, by=by, size=(3, 5)))


def test_repeated_pixels_are_counted_not_overwritten():
    events = stream_of([(t, 2, 1, 1) for t in range(12)])
    assert frames(events, 4, size=(3, 5))[:, 1, 1, 2].tolist() == [3, 3, 3, 3]


def test_by_count_and_by_time_differ_for_a_burst():
    burst = stream_of([(0, 0, 0, 1), (1, 0, 0, 1), (2, 0, 0, 1), (100, 0, 0, 1)])
    assert frames(burst, 2, by="count", size=(1, 1)).flatten(1)[:, 1].tolist() == [2, 2]
    assert frames(burst, 2, by="time", size=(1, 1)).flatten(1)[:, 1].tolist() == [3, 1]


@pytest.mark.parametrize(("on", "dtype"), [(1, "u1"), (True, "?"), (1, "i1")])
def test_polarity_may_be_zero_and_one_or_a_sign_and_times_unsigned(on, dtype):
    off = -1 if dtype == "i1" else 0
    events = np.array([(7, 1, 0, off), (9, 0, 1, on)], dtype=[("t", np.uint32), ("x", "u2"), ("y", "u2"), ("p", dtype)])
    counts = frames(events, 2, size=(2, 2))
    assert counts.nonzero().tolist() == [[0, 0, 0, 1], [1, 1, 1, 0]]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"timesteps": 0}, "timesteps must be at least 1, got 0"),
        ({"timesteps": 2, "by": "duration"}, "'count' or 'time', got 'duration'"),
        ({"timesteps": 2, "size": (3, 3)}, "off the sensor of height 3 and width 3"),
    ],
)
def test_frames_that_cannot_be_cut_are_refused(arguments, words):
    with pytest.raises(ValueError, match=words):
        frames(stream_of([(0, 4, 2, 1)]), **({"size": (3, 5)} | arguments))


def test_negative_coordinates_are_refused():
    with pytest.raises(ValueError, match="off the sensor"):
        frames(stream_of([(0, -1, 2, 1)]), 1, size=(3, 5))


def test_times_in_fractions_of_a_second_are_refused():
    events = np.array([(0.1, 0, 0, 1)], dtype=[("t", float), ("x", int), ("y", int), ("p", int)])
    with pytest.raises(ValueError, match="integers"):
        frames(events, 1, size=(1, 1))


def test_columns_become_a_stream_with_signs():
    events = stream([5, 6], [1, 2], [3, 4], [True, False])
    assert events.dtype == EVENT
    assert events.tolist() == [(5, 1, 3, 1), (6, 2, 4, -1)]


@pytest.mark.parametrize("by", ["count", "time"])
def test_frames_of_a_real_recording_hold_all_of_its_events(by):
    events = read_bin(real_events() / "dvs128gesture_slayer_bs2/1.bs2")
    counts = frames(events, 10, by=by, size=(128, 128))
    assert counts.sum() == 63471
    assert counts[:, 1].sum() == (events["p"] > 0).sum()
    sizes = counts.sum((1, 2, 3))
    assert (sizes.max() - sizes.min() <= 1) == (by == "count")


# Interpolation


def triangles(pixels: int, size: int) -> np.ndarray:
    """Weights [size, pixels] by a loop: triangles as wide as two of the larger pixels, normalised to sum to 1."""
    weights, scale = np.zeros((size, pixels)), pixels / size
    for i in range(size):
        for j in range(pixels):
            distance = abs((j + 0.5) - (i + 0.5) * scale) / max(scale, 1)
            weights[i, j] = max(0.0, 1 - distance)
    return weights / weights.sum(1, keepdims=True)


@given(st.integers(2, 20), st.integers(1, 24), st.integers(0, 1000))
def test_interpolation_is_that_of_triangles_channel_by_channel(pixels, size, seed):
    counts = torch.from_numpy(np.random.default_rng(seed).poisson(2.0, (3, 2, pixels, pixels)).astype(np.float32))
    rows = triangles(pixels, size)
    expected = rows @ counts.double().numpy() @ rows.T
    np.testing.assert_allclose(resized(counts, size), expected, atol=1e-5)


def test_interpolation_is_pils_for_a_channel_alone():
    counts = torch.from_numpy(np.random.default_rng(0).poisson(0.5, (2, 2, 128, 128)).astype(np.float32))
    smaller = resized(counts, 48)
    for time in range(2):
        for channel in range(2):
            picture = Image.fromarray(counts[time, channel].numpy()).resize((48, 48), Image.Resampling.BILINEAR)
            np.testing.assert_allclose(smaller[time, channel], np.asarray(picture), atol=1e-5)


def test_off_events_survive_where_there_is_no_on_event_and_uniform_counts_stay():
    counts = torch.zeros(1, 2, 128, 128)
    counts[:, 0] = 3
    smaller = resized(counts, 48)
    assert smaller[:, 1].abs().max() == 0
    torch.testing.assert_close(smaller[:, 0], torch.full((1, 48, 48), 3.0))


def test_frames_of_the_right_size_are_left_alone():
    counts = torch.rand(2, 2, 5, 5)
    assert resized(counts, 5) is counts
