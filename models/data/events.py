"""A simulated event camera watching digits.

A digit moves before a 16×16 sensor along three straight micro-saccades of 100 ms that end where they began, after
N-MNIST, where the camera moved instead (Orchard, Jayawant, Cohen, Thakor 2015). A pixel sees

    L = log(I + 0.1),   I in [0, 1] interpolated bilinearly, 0 outside the digit,

and emits an event of polarity ±1 whenever L has moved by ±θ since its last event: θ is the contrast threshold, and one
step along the path may emit several. Between the 60 steps L is taken as linear, which gives each event its time, in
microseconds. The path is closed, so without noise every pixel ends with as many ON as OFF events.

This is a model and not a recording. Background activity is optional and uniform; a real sensor also has a refractory
period, thresholds that differ from pixel to pixel and between ON and OFF, latency and timestamp jitter that grow in
the dark, a limited bandwidth, and hot pixels. None of these is here, so accuracies say nothing about a real camera.
"""

from itertools import pairwise

import numpy as np
from jaxtyping import Float

from .event_frames import EVENT, stream

SENSOR = (16, 16)  # height, width
DURATION = 300_000  # microseconds

_CORNERS = np.array([(-2.0, -2.0), (0.0, 2.0), (2.0, -2.0), (-2.0, -2.0)])  # shifts (x, y) in sensor pixels
_STEPS_PER_SACCADE = 20
_ZOOM = 1.5  # sensor pixels per digit pixel: the digit's 12 leave a margin of 2, as wide as the shifts
_DARK = 0.1


def simulate(
    images: Float[np.ndarray, "image height width"], *, contrast: float = 0.3, noise: float = 0.0, seed: int = 0
) -> list[np.ndarray]:
    """Let the sensor watch each image; give one stream an image, an array of dtype ``EVENT`` in order of time.

    ``images`` hold intensities in [0, 1], 8×8 for a digit that fills the sensor. ``contrast`` is θ in units of log
    intensity: at 0.3 an edge from black to white makes seven events a pixel. ``noise`` is background activity in
    events per pixel and second, drawn from ``seed`` and the image's index alone, so that no image's noise depends on
    another's.
    """
    if not np.isfinite(contrast) or contrast <= 0:
        raise ValueError(f"contrast is a change of log intensity and must be positive, got {contrast}")
    if not np.isfinite(noise) or noise < 0:
        raise ValueError(f"noise is a rate in events per pixel and second and cannot be {noise}")
    if not ((images >= 0) & (images <= 1)).all():
        raise ValueError("image intensities must lie in [0, 1]; divide by the largest possible value")
    image, t, x, y, p = _watch(images, contrast)
    events = stream(t, x, y, p > 0)
    order = np.lexsort((t, image))
    bounds = np.searchsorted(image[order], np.arange(len(images) + 1))
    streams = [events[order[start:end]] for start, end in pairwise(bounds)]
    if noise == 0:
        return streams
    return [_with_noise(stream, noise, np.random.default_rng((seed, i))) for i, stream in enumerate(streams)]


def _watch(images: np.ndarray, contrast: float) -> tuple[np.ndarray, ...]:
    path = _path()
    start = _log_intensity(images, path[0])
    # Levels are integers, in units of the threshold above the start: a pixel that comes back to its first intensity
    # comes back to level 0 whatever rounding did on the way.
    level = np.zeros(start.shape, dtype=np.int64)
    before = np.zeros_like(start)
    found = []
    for step, shift in enumerate(path[1:]):
        now = (_log_intensity(images, shift) - start) / contrast
        crossed = np.trunc(now - level).astype(np.int64)
        found.append(_crossings(step, before, now, level, crossed))
        level += crossed
        before = now
    image, time, x, y, p = (np.concatenate(column) for column in zip(*found, strict=True))
    return image, np.rint(time * DURATION / (len(path) - 1)).astype(np.int64), x, y, p


def _crossings(
    step: int, before: np.ndarray, now: np.ndarray, level: np.ndarray, crossed: np.ndarray
) -> tuple[np.ndarray, ...]:
    where = crossed.nonzero()
    many = np.abs(crossed[where])
    pixel = np.repeat(np.arange(len(many)), many)
    nth = np.arange(1, len(pixel) + 1) - np.repeat(many.cumsum() - many, many)
    sign = np.sign(crossed[where])[pixel]
    reached = level[where][pixel] + sign * nth
    time = step + (reached - before[where][pixel]) / (now - before)[where][pixel]
    image, y, x = (axis[pixel] for axis in where)
    return image, time, x, y, sign


def _path() -> Float[np.ndarray, "step 2"]:
    saccades = len(_CORNERS) - 1
    at = np.linspace(0, saccades, saccades * _STEPS_PER_SACCADE + 1)
    return np.stack([np.interp(at, np.arange(saccades + 1), corner) for corner in _CORNERS.T], axis=1)


def _log_intensity(images: np.ndarray, shift: np.ndarray) -> np.ndarray:
    rows = _interpolation(SENSOR[0], images.shape[1], shift[1])
    columns = _interpolation(SENSOR[1], images.shape[2], shift[0])
    return np.log(rows @ images @ columns.T + _DARK)


def _interpolation(pixels: int, samples: int, shift: float) -> np.ndarray:
    # Bilinear interpolation is separable: hat functions around the samples, black outside.
    at = (np.arange(pixels) + 0.5 - pixels / 2 - shift) / _ZOOM + (samples - 1) / 2
    return np.maximum(0, 1 - np.abs(at[:, None] - np.arange(samples)))


def _with_noise(stream: np.ndarray, rate: float, generator: np.random.Generator) -> np.ndarray:
    height, width = SENSOR
    count = generator.poisson(rate * height * width * DURATION / 1e6)
    noise = np.empty(count, EVENT)
    noise["t"] = generator.integers(DURATION, size=count)
    noise["x"] = generator.integers(width, size=count)
    noise["y"] = generator.integers(height, size=count)
    noise["p"] = 2 * generator.integers(2, size=count) - 1
    both = np.concatenate([stream, noise])
    return both[np.argsort(both["t"], kind="stable")]
