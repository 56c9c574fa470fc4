"""The simulated sensor against a pixel that is watched by hand."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch.nn.functional import grid_sample

from models.data.event_frames import EVENT
from models.data.events import DURATION, SENSOR, simulate

CORNERS = [(-2, -2), (0, 2), (2, -2), (-2, -2)]
DIGITS = load_digits().images / 16


def film(image: np.ndarray) -> np.ndarray:
    """Log intensity [step, y, x] of one image along the path, by torch's own interpolation."""
    shifts = []
    for (x0, y0), (x1, y1) in pairwise(CORNERS):
        shifts += [(x0 + (x1 - x0) * k / 20, y0 + (y1 - y0) * k / 20) for k in range(20)]
    centre = torch.arange(16, dtype=torch.float64) + 0.5 - 8
    pictures = []
    for x, y in [*shifts, CORNERS[-1]]:
        rows, columns = torch.meshgrid(
            (centre - y) / 6, (centre - x) / 6, indexing="ij"
        )  # a half-width of 6 pixels is 1
        picture = torch.from_numpy(image)[None, None]
        pictures.append(grid_sample(picture, torch.stack([columns, rows], -1)[None], align_corners=False)[0, 0])
    return np.log(torch.stack(pictures).numpy() + 0.1)


def watched(image: np.ndarray, contrast: float) -> list[tuple[int, int, int, int]]:
    """Events of one image, pixel by pixel and event by event; sorted."""
    light = film(image)
    events = []
    for y in range(16):
        for x in range(16):
            last = light[0, y, x]
            for step in range(60):
                before, after = light[step, y, x], light[step + 1, y, x]
                sign = 1 if after > before else -1
                while sign * (after - last) >= contrast - 1e-9:
                    last += sign * contrast
                    moment = (step + (last - before) / (after - before)) * DURATION / 60
                    events.append((round(moment), x, y, sign))
    return sorted(events)


@pytest.mark.parametrize("contrast", [0.23, 0.6])
def test_events_are_those_of_a_loop_over_pixels_steps_and_thresholds(contrast):
    streams = simulate(DIGITS[:3], contrast=contrast)
    for image, stream in zip(DIGITS, streams, strict=False):
        expected = watched(image, contrast)
        assert len(expected) > 300
        found = sorted((int(e["t"]), int(e["x"]), int(e["y"]), int(e["p"])) for e in stream)
        assert found == expected


def test_a_closed_path_gives_every_pixel_as_many_on_as_off_events():
    for stream in simulate(DIGITS[:200], contrast=0.17):
        balance = np.zeros(SENSOR, dtype=int)
        np.add.at(balance, (stream["y"], stream["x"]), stream["p"])
        assert (balance == 0).all()
        assert len(stream) > 500


def test_a_uniform_scene_is_dark_to_the_sensor_and_noise_alone_is_seen():
    blank = np.zeros((40, 8, 8))
    assert [len(stream) for stream in simulate(blank)] == [0] * 40
    counts = np.array([len(stream) for stream in simulate(blank, noise=50.0, seed=3)])
    expected = 50.0 * 256 * 0.3
    assert abs(counts.mean() - expected) < 4 * np.sqrt(expected / 40)
    assert counts.std() > 0


def test_streams_are_in_order_of_time_within_the_recording_and_on_the_sensor():
    for stream in simulate(DIGITS[:20], noise=20.0):
        assert stream.dtype == EVENT
        assert (np.diff(stream["t"]) >= 0).all()
        assert stream["t"][0] >= 0
        assert stream["t"][-1] <= DURATION
        assert {*np.unique(stream["x"]), *np.unique(stream["y"])} <= set(range(16))
        assert set(np.unique(stream["p"])) == {-1, 1}


def test_an_image_gives_the_same_stream_in_any_company_and_its_noise_comes_from_the_seed():
    alone, together = simulate(DIGITS[:1], noise=30.0, seed=5), simulate(DIGITS[:7], noise=30.0, seed=5)
    assert np.array_equal(alone[0], together[0])
    assert not np.array_equal(alone[0], simulate(DIGITS[:1], noise=30.0, seed=6)[0])
    clean = simulate(DIGITS[:1])[0]
    assert len(clean) < len(alone[0])
    assert set(clean.tolist()) <= set(alone[0].tolist())


def test_a_smaller_threshold_gives_more_events():
    counts = [sum(map(len, simulate(DIGITS[:10], contrast=contrast))) for contrast in (0.15, 0.3, 0.6)]
    assert counts[0] > counts[1] > counts[2] > 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"contrast": 0.0}, "contrast"),
        ({"contrast": float("nan")}, "contrast"),
        ({"noise": -1.0}, "noise"),
    ],
)
def test_a_sensor_that_cannot_be_is_refused(change, words):
    with pytest.raises(ValueError, match=words):
        simulate(DIGITS[:1], **change)


@pytest.mark.parametrize("value", [16.0, -0.1, float("nan")])
def test_intensities_outside_zero_to_one_are_refused(value):
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        simulate(np.full((1, 8, 8), value))
