"""BatchNorm and neuron in one on CUDA, in Triton; :mod:`models.neurons.normalized` has the formulas.

Crossings of memory, T steps each: once for the statistics, once for the spikes (x in, spikes out). Back, one kernel
recomputes the currents and their gradient d from x, the shortcut and the spikes' gradient, and is run twice: for the
sums by channels, which must be there before the first ∂x can, and to write ∂x (and ∂plus). So d is never stored, nor
rounded to what maps are stored in. A static image is read once, whatever the steps, and its ∂x is summed in registers.

Any layout: a step of maps is taken as [outer, channel, inner] in the order of memory, where inner is 1 with channels
last and height × width without. A program takes tiles of rows (outer and inner) by channels, one channel wide where
rows are neighbours. Its sums are its own, in the precision of the state, and are added in float64 afterwards: nothing
depends on the order in which programs run.
"""

# mypy: disable-error-code="no-untyped-def, assignment, possibly-undefined, var-annotated"

from dataclasses import dataclass
from math import prod
from typing import Any

import torch
import triton
import triton.language as tl
from jaxtyping import Float
from torch import Tensor

from . import triton_lif
from .flat import flattened, memory_order, restored
from .sweep import Dynamics
from .triton_lif import OPTIONS, constants, fires, kernel, load, pulse, store

Maps = Float[Tensor, "time batch channel height width"]
Given = Float[Tensor, "given batch channel height width"]
Channels = Float[Tensor, "channel"]

_WIDEST = 64  # channels a tile: 128 bytes of half precision, a line of the cache
_PROGRAMS = 2048  # at most about so many, some for each multiprocessor; more would write more sums


def takes(maps: Tensor, steps: int) -> bool:
    """Whether the kernels take these maps; of one number a channel torch makes an error."""
    return triton_lif.takes(maps) and steps <= triton_lif.MOST_STEPS and maps.numel() > maps.shape[2]


def norms_plus(maps: Tensor, plus: Tensor) -> bool:
    """Whether they take a BatchNorm of ``plus`` too: no."""
    return False


@dataclass(frozen=True)
class _Tiles:
    """How maps are cut for a kernel: what it is compiled for beside the neuron, what it is told, and its programs."""

    order: list[int]
    fixed: dict[str, int]
    counts: tuple[int, int, int, int]
    grid: tuple[int, int]


def _tiles(maps: Tensor, block: int) -> _Tiles:
    order, channels = memory_order(maps), maps.shape[2]
    inner = prod(maps.shape[axis] for axis in order[order.index(2) + 1 :])
    wide = min(_WIDEST, triton.next_power_of_2(channels)) if inner == 1 else 1
    rows, columns = maps[0].numel() // channels, triton.cdiv(channels, wide)
    tiles = triton.cdiv(rows, block // wide)
    rounds = triton.cdiv(tiles * columns, _PROGRAMS)
    fixed = {"ROWS": block // wide, "CHANNELS": wide}
    return _Tiles(order, fixed, (rows, channels, inner, rounds), (triton.cdiv(tiles, rounds), columns))


def statistics(maps: Given) -> tuple[Channels, Channels]:
    """Mean and biased variance in float64, summed about the first number, so that a large mean costs no digits."""
    tiles = _tiles(maps, 2048 // maps.dtype.itemsize)
    about, sums = maps[0, 0, :, 0, 0].to(_state(maps)).contiguous(), _sums(maps, tiles)
    fixed = {"STEPS": len(maps), "STATE": _constant(maps)} | tiles.fixed
    with torch.cuda.device_of(maps):
        _moments[tiles.grid](*_places(tiles, maps), about, sums, *tiles.counts, **fixed, **OPTIONS)
    first, second = sums.sum(0, dtype=torch.float64) / (maps.numel() // maps.shape[2])
    return about + first, second - first.square()


def spikes(
    maps: Given, plus: Maps | None, scale: Channels, shift: Channels, plus_scale: None, steps: int, neuron: Dynamics
) -> Maps:
    """Those of ``scale`` · maps + ``shift`` (+ ``plus``)."""
    fixed, tiles = _compiled(maps, plus, steps, neuron, 0)
    result = maps.new_empty(steps, maps[0].numel())
    line = [each.to(_state(maps)) for each in (scale, shift)]
    with torch.cuda.device_of(maps):
        places = (*_places(tiles, maps, plus), result, result.stride(0))
        _spikes[tiles.grid](*places, *line, *tiles.counts, **fixed, **OPTIONS)
    return restored(result, tiles.order, maps)


def gradients(
    maps: Given, plus: Maps | None, upstream: Maps, scale: Channels, shift: Channels, mean: Channels,
    inverse: Channels, plus_line: None, neuron: Dynamics,
) -> tuple[Given, Maps | None, Channels, Channels, None]:  # fmt: skip
    """∂maps, ∂plus, and by channels Σ d and Σ d (maps − mean)."""
    fixed, tiles = _compiled(maps, plus, len(upstream), neuron, 2)
    found, more = maps.new_empty(len(maps), maps[0].numel()), None
    if plus is not None:
        more = plus.new_empty(len(plus), plus[0].numel())
    sums, count = _sums(maps, tiles), maps.numel() // maps.shape[2]
    results = [place for each in (found, found if more is None else more) for place in (each, each.stride(0))]
    places = (*_places(tiles, maps, plus, upstream), *results)
    line = [each.to(_state(maps)) for each in (scale, shift, mean)]
    with torch.cuda.device_of(maps):
        _gradient[tiles.grid](*places, *line, *line[:2], sums, *tiles.counts, **fixed, WRITES=False, **OPTIONS)
        total, product = sums.sum(0, dtype=torch.float64)
        less = [each.to(_state(maps)) for each in (total / count, product * inverse**2 / count)]
        _gradient[tiles.grid](*places, *line, *less, sums, *tiles.counts, **fixed, WRITES=True, **OPTIONS)
    back = None if more is None else restored(more, tiles.order, maps)
    return restored(found, tiles.order, maps), back, total, product, None


def _compiled(maps: Tensor, plus: Tensor | None, steps: int, neuron: Dynamics, order: int) -> tuple[Any, _Tiles]:
    fixed = constants(steps, maps.dtype, neuron, order)
    tiles = _tiles(maps, fixed.pop("BLOCK"))
    return fixed | tiles.fixed | {"PLUS": plus is not None, "STATIC": len(maps) < steps}, tiles


def _places(tiles: _Tiles, maps: Tensor, *others: Tensor | None) -> list[Any]:
    """Each tensor's data and its stride from step to step, laid out as the maps are; the maps' own for None."""
    flats = [flattened(maps if each is None else each, tiles.order) for each in (maps, *others)]
    return [place for flat in flats for place in (flat, flat.stride(0))]


def _sums(maps: Tensor, tiles: _Tiles) -> Tensor:
    return maps.new_empty(tiles.grid[0], 2, maps.shape[2], dtype=_state(maps))


def _state(maps: Tensor) -> torch.dtype:
    return torch.float64 if maps.dtype == torch.float64 else torch.float32


def _constant(maps: Tensor) -> Any:
    return tl.float64 if maps.dtype == torch.float64 else tl.float32


@kernel
def _tile(turn, rows, channels, inner, rounds, ROWS: tl.constexpr, CHANNELS: tl.constexpr):
    """Where the numbers of a program's tile lie in a step, and which of them there are."""
    row = (tl.program_id(0) * rounds + turn) * ROWS + tl.arange(0, ROWS)
    channel = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    index = (row // inner).to(tl.int64) * (channels * inner) + row % inner
    return index[:, None] + (channel * inner)[None, :], (row < rows)[:, None] & (channel < channels)[None, :]


@kernel
def _by_channel(numbers, channels, CHANNELS: tl.constexpr):
    channel = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    return tl.load(numbers + channel, mask=channel < channels, other=0.0)[None, :]


@kernel
def _keep(sums, row: tl.constexpr, found, channels, CHANNELS: tl.constexpr):
    """This program's sums over the rows of its tiles."""
    channel = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    place = sums + (tl.program_id(0) * 2 + row) * channels + channel
    tl.store(place, tl.sum(found, 0), mask=channel < channels)


@kernel
def _moments(
    x, x_stride, about, sums, rows, channels, inner, rounds,
    STEPS: tl.constexpr, STATE: tl.constexpr, ROWS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    centre = _by_channel(about, channels, CHANNELS)
    first = tl.zeros((ROWS, CHANNELS), STATE)
    second = tl.zeros((ROWS, CHANNELS), STATE)
    for turn in range(rounds):
        index, inside = _tile(turn, rows, channels, inner, rounds, ROWS, CHANNELS)
        for t in tl.static_range(STEPS):
            apart = tl.where(inside, load(x, x_stride, t, index, inside, STATE) - centre, 0.0)
            first += apart
            second += apart * apart
    _keep(sums, 0, first, channels, CHANNELS)
    _keep(sums, 1, second, channels, CHANNELS)


# ruff: noqa: ARG001 - the neuron's kernels are launched with the same constants


@kernel
def _spikes(
    x, x_stride, plus, plus_stride, result, result_stride, scale, shift, rows, channels, inner, rounds,
    STEPS: tl.constexpr, STATE: tl.constexpr, PULSE: tl.constexpr, DETACHED: tl.constexpr, DECAY: tl.constexpr,
    CARRIED: tl.constexpr, THRESHOLD: tl.constexpr, A: tl.constexpr, B: tl.constexpr, ROWS: tl.constexpr,
    CHANNELS: tl.constexpr, PLUS: tl.constexpr, STATIC: tl.constexpr,
):  # fmt: skip
    slope, offset = _by_channel(scale, channels, CHANNELS), _by_channel(shift, channels, CHANNELS)
    for turn in range(rounds):
        index, inside = _tile(turn, rows, channels, inner, rounds, ROWS, CHANNELS)
        after = tl.zeros((ROWS, CHANNELS), STATE)
        for t in tl.static_range(STEPS):
            if t == 0 or not STATIC:
                line = slope * load(x, x_stride, t, index, inside, STATE) + offset
            current = line
            if PLUS:
                current = line + load(plus, plus_stride, t, index, inside, STATE)
            membrane = DECAY * after + current
            fired = fires(membrane - THRESHOLD, PULSE, A)
            store(result, result_stride, t, index, inside, fired)
            after = membrane * (1.0 - fired)


@kernel
def _gradient(
    x, x_stride, plus, plus_stride, upstream, upstream_stride, found, found_stride, more, more_stride,
    scale, shift, mean, first, second, sums, rows, channels, inner, rounds,
    STEPS: tl.constexpr, STATE: tl.constexpr, PULSE: tl.constexpr, DETACHED: tl.constexpr, DECAY: tl.constexpr,
    CARRIED: tl.constexpr, THRESHOLD: tl.constexpr, A: tl.constexpr, B: tl.constexpr, ROWS: tl.constexpr,
    CHANNELS: tl.constexpr, PLUS: tl.constexpr, STATIC: tl.constexpr, WRITES: tl.constexpr,
):  # fmt: skip
    slope, offset = _by_channel(scale, channels, CHANNELS), _by_channel(shift, channels, CHANNELS)
    centre = _by_channel(mean, channels, CHANNELS)
    less, tilt = _by_channel(first, channels, CHANNELS), _by_channel(second, channels, CHANNELS)
    total = tl.zeros((ROWS, CHANNELS), STATE)
    product = tl.zeros((ROWS, CHANNELS), STATE)
    for turn in range(rounds):
        index, inside = _tile(turn, rows, channels, inner, rounds, ROWS, CHANNELS)
        after = tl.zeros((ROWS, CHANNELS), STATE)
        apart = ()
        membranes = ()
        for t in tl.static_range(STEPS):
            if t == 0 or not STATIC:
                value = load(x, x_stride, t, index, inside, STATE)
                line = slope * value + offset
                apart = apart + (value - centre,)  # noqa: RUF005 - what Triton knows of tuples
            current = line
            if PLUS:
                current = line + load(plus, plus_stride, t, index, inside, STATE)
            membrane = DECAY * after + current
            membranes = membranes + (membrane,)  # noqa: RUF005
            after = membrane * (1.0 - fires(membrane - THRESHOLD, PULSE, A))
        ahead = tl.zeros((ROWS, CHANNELS), STATE)
        over = tl.zeros((ROWS, CHANNELS), STATE)
        for t in tl.static_range(STEPS - 1, -1, -1):
            u = membranes[t]
            pulled = load(upstream, upstream_stride, t, index, inside, STATE)
            if not DETACHED:
                pulled = pulled - ahead * u
            d = pulled * pulse(u - THRESHOLD, PULSE, A, B) + ahead * (1.0 - fires(u - THRESHOLD, PULSE, A))
            ahead = CARRIED * d
            over += d
            if WRITES and PLUS:
                store(more, more_stride, t, index, inside, d)
            if t == 0 or not STATIC:
                if WRITES:
                    store(found, found_stride, t, index, inside, slope * (over - less - tilt * apart[t]))
                else:
                    total += over
                    product += over * apart[t]
                over = tl.zeros((ROWS, CHANNELS), STATE)
    if not WRITES:
        _keep(sums, 0, total, channels, CHANNELS)
        _keep(sums, 1, product, channels, CHANNELS)
