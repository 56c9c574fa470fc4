"""Event streams cut into frames of counts.

An event is (t, x, y, p): a time in microseconds, a pixel counted from the top left, and +1 where it became brighter
(ON) or −1 where darker (OFF). T frames of two channels hold the number of events at each pixel, OFF in channel 0 and ON
in channel 1, or with ``binary`` whether there was any.

The official code of temporal efficient training (Deng et al. 2022) cuts by equal event count, drops the remainder, and
produces binary frames because its indexed addition counts a repeated pixel once. Here nothing is dropped: cut by count,
frames differ by one event at most.

Another image size comes from interpolation of each channel by itself: bilinear with antialiasing, that is a triangle as
wide as two of the larger pixels, its weights normalised to sum to 1. Values are then mean counts per sensor pixel and
no longer integers; a uniform count stays what it is, and the sum of a frame shrinks with its number of pixels. (The
official code resizes with PIL, by the same triangle, but as a picture of grey and opacity of 8 bits, which loses OFF
events wherever there is no ON event.)
"""

from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import interpolate

EVENT = np.dtype([("t", np.int64), ("x", np.int16), ("y", np.int16), ("p", np.int8)])


def stream(t: Any, x: Any, y: Any, on: Any) -> np.ndarray:
    """Columns as one stream, an array of dtype ``EVENT``; ``on`` is true for ON events."""
    events = np.empty(len(t), EVENT)
    events["t"], events["x"], events["y"], events["p"] = t, x, y, np.where(on, 1, -1)
    return events


def frames(
    events: np.ndarray, timesteps: int, *, by: str = "count", binary: bool = False, size: tuple[int, int]
) -> Float[Tensor, "time 2 height width"]:
    """Cut one stream into ``timesteps`` frames of event counts, OFF events in channel 0 and ON events in channel 1.

    ``events`` is a structured array with integer fields t (any unit), x, y (pixels) and p (ON where positive, so 0/1
    and ±1 both do); it is put in order of time first, keeping the order of equal times. ``size`` is the sensor's
    (height, width). ``by="count"`` gives each frame the same number of events to within one: the n-th of N is in
    frame ⌊nT/N⌋. ``by="time"`` gives each frame the same share of the time between the first and the last event.
    ``binary`` marks where there was any event. A stream without events gives frames of zeros.

    Raises ValueError for fewer than one timestep, another ``by``, timestamps that are not integers, or events off the
    sensor.
    """
    if timesteps < 1:
        raise ValueError(f"timesteps must be at least 1, got {timesteps}")
    if by not in ("count", "time"):
        raise ValueError(f"by must be 'count' or 'time', got {by!r}")
    if not np.issubdtype(events["t"].dtype, np.integer):
        raise ValueError(f"timestamps must be integers, for example microseconds, got {events['t'].dtype}")
    height, width = size
    x, y = events["x"], events["y"]
    if ((x < 0) | (x >= width) | (y < 0) | (y >= height)).any():
        raise ValueError(f"events lie off the sensor of height {height} and width {width}: check size, and which is x")
    events = events[np.argsort(events["t"], kind="stable")]
    step = _step(events["t"].astype(np.int64), timesteps, by)
    shape = (timesteps, 2, height, width)
    index = np.ravel_multi_index((step, (events["p"] > 0).astype(np.int64), events["y"], events["x"]), shape)
    counts = torch.from_numpy(np.bincount(index, minlength=timesteps * 2 * height * width)).view(shape)
    return (counts > 0).float() if binary else counts.float()


def _step(t: Int[np.ndarray, " event"], timesteps: int, by: str) -> Int[np.ndarray, " event"]:
    if by == "count":
        return np.arange(len(t)) * timesteps // max(len(t), 1)
    span = max(int(t[-1] - t[0]), 1) if len(t) else 1
    return np.minimum((t - t[:1]) * timesteps // span, timesteps - 1)


def resized(counts: Float[Tensor, "time 2 height width"], size: int) -> Float[Tensor, "time 2 size size"]:
    """Frames of ``size`` × ``size`` by interpolation, each channel by itself; the same where that is their size."""
    if counts.shape[2:] == (size, size):
        return counts
    return interpolate(counts, size=(size, size), mode="bilinear", antialias=True)
