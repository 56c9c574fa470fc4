"""Energy of inference: spikes, additions and multiplications, counted layer by layer, in joules per image.

    python -m analysis.energy runs/tet-0/ckpt.pt

**Model** (Deng et al. 2022, figure 4B; 45 nm CMOS, Horowitz 2014): an addition for each synapse that a spike reaches
(0.9 pJ), and where values are graded, as pixels in the first layer are, a multiplication for each synapse (4.6 pJ, the
addition after it included). Nothing else costs. What is executed counts, whatever module or function asks for it, and
whether an operand is spikes is looked at: :mod:`analysis.energy.meter`. BatchNorm is folded into the weights before
counting where that is proven on a batch (equation 6, :mod:`analysis.energy.folding`). The paper counts no membrane
updates: here they are counted, and cost what ``--update-pj`` says, which is nothing by default. Biases, memory and
pooling are left out.

**What can't be attributed** to synapses or neurons (normalisation that isn't folded, softmax, gates, foreign kernels)
is listed by module as "unattributed": one multiplication for each number that comes out, at the same price, and not in
the total (:mod:`analysis.energy.others`). ``share`` is a row's part of all additions and multiplications, listed ones
too: the total's says how much of the network it covers.

**Any network.** Each T has a pass of its own, so that nothing is assumed of where time lies; this project's own
networks need one in all. Where T can't be set there is only the one that the network takes, and a T that it can't be
given, which is tried on a few images, is left out, as a line on stderr and ``left_out`` in the table's record say.
Whose counts are whose is found out by passes of three images (:mod:`analysis.energy.places`); where that fails, as when
images are mixed, all have the mean and there is no standard error, which is said.

**Normaliser**: one image for T steps, as a mean over images. The first layer of a static image is the same at every
step; the paper's code repeats the image and multiplies T times, and so does the count; with ``--first-layer once`` it
multiplies once. (Where a single T can be had, what is executed counts.) The paper's own millijoules can't be per image.
Its ResNet-19 has 2.2165 G synapses a step (padding included), 1.77 M of them in the first layer. With *every* neuron
firing at *every* one of T = 2 steps that takes
2·(2.2147 G · 0.9 pJ + 1.77 M · 4.6 pJ) = 4.00 mJ, and figure 4B has 54.7 (TET) and 58.3 mJ (SDT). Over a batch of 128
images those are 11 % of that limit, a usual firing rate.

**The twin without spikes** multiplies at every one of its synapses, once: T = 1. ``twin_joules`` is the energy of the
same network with ReLUs for neurons, from its own multiplications; pooled maps are then smaller inputs, and not windows
of spikes. Where it can't be made (:mod:`analysis.energy.twin`) the column is empty, which is said.

**The other convention.** Papers multiply: firing rate × synapses × T × 0.9 pJ, with the synapses of the pooled map, as
in the twin's count (Rathi, Roy 2021, and others). That is right where a spike meets a synapse once, and
after average pooling it is not: each spike of a window of 4 reaches the synapses of the window's mean, so 4 times as
many additions happen. ``joules_by_rate`` is the energy so reckoned, with the mean rate of the neurons that feed the
layer (after max-pooling of the pooled map), all else equal. Which side of ``twin_joules`` a network falls on can depend
on it. Synapses leave padding out here, which papers count: by 9/4 for a 3×3 kernel on 2×2 pixels.

Table ``energy.csv``, after checkpoint, network, data, method, training, seed, a row for each T, layer and kind, then
"total", then what isn't attributed:

- split, timesteps T, trained_timesteps, layer (a module's name; "(forward)" outside of all), kind ("conv", "linear",
  "matmul": of two operands that both depend on the image, "neuron", "total", "unattributed")
- neurons: that feed the layer (0: it reads the image), or are in it; of the whole network for the total
- spikes: that reach the layer, or that its neurons fire; firing_rate: spikes per neuron and step. NaN where there are
  none
- additions, multiplications, updates (of membranes), joules, joules_by_rate, twin_joules; these and the spikes are per
  image, for T steps together, means over images with ``joules_stderr`` and ``joules_by_rate_stderr``
- window: of how many neurons' spikes a value that the layer reads is a mean, 1 without average pooling; the largest
- share; accuracy, accuracy_stderr: of the whole network at T, NaN where nothing counts as right, and at other T than
  its own where an output isn't finite; images
"""

import sys
from collections.abc import Mapping, Sequence
from math import nan
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from tables.result import Result

from ..command import LEFT_OUT, analyse
from ..subject import Askable, Spiking, Subject, Subjects, Unsuited, askable, check_answers, complex_weight
from ..subject.sources import Batch
from ..timesteps import horizon
from .counts import Counted, counted
from .flags import Config
from .folding import folded
from .meter import OPERATIONS, UNATTRIBUTED, Key, Tally
from .places import FEW
from .twin import twin

_BY_RATE = "additions_by_rate"
_ROUNDING = 1e-12  # of the largest


def measure(subject: Subject, config: Config) -> dict[str, pd.DataFrame]:
    """The energy table of one subject.

    Raises ValueError for a negative energy, where no T can be had, and where the network as it is has outputs that
    aren't finite; Unsuited for complex weights.
    """
    _check(config)
    if named := complex_weight(subject.network):
        raise Unsuited(
            f"{subject.title}: parameter {named!r} is complex, and operations are counted of real numbers: its energy "
            "can't be told"
        )
    (split, *_) = subject.splits((config.split,))
    batches, few = subject.batches(split, config.images, config.chunk), subject.batches(split, FEW, FEW)[:1]
    network, unfolded = folded(subject, few[0])
    asked = _asked(subject, config)
    left_out = asked.said(subject, quiet=config.quiet)
    found = counted(network, batches, asked.steps, once=config.first_layer == "once")
    for steps, right in zip(found.timesteps, found.accuracy, strict=True):
        if steps == subject.trained_timesteps:
            check_answers(subject, split, config.images, right=right, losses={})
    multiplied, why = _twin(subject, few, config)
    if not config.quiet:
        _say(subject, unfolded, found, why)
    table = _table(found, multiplied, config)
    for name, values in (("accuracy", found.accuracy.mean(1)), ("accuracy_stderr", _stderr(found.accuracy))):
        table[name] = table["timesteps"].map(dict(zip(found.timesteps, values.tolist(), strict=True)))
    table = table.sort_values("timesteps", kind="stable", ignore_index=True).assign(images=found.accuracy.shape[1])
    table.insert(0, "split", split)
    table.insert(2, "trained_timesteps", subject.trained_timesteps)
    table.attrs[LEFT_OUT] = left_out
    return {"energy": table}


def _check(config: Config) -> None:
    prices = {name: getattr(config, name) for name in ("add_pj", "multiply_pj", "update_pj")}
    for name, price in prices.items():
        if not 0 <= price < float("inf"):
            raise ValueError(f"--{name.replace('_', '-')} must be an energy of at least 0 pJ, got {price}")


def _asked(subject: Subject, config: Config) -> Askable:
    """Every T up to the largest that the network takes; only the largest where nothing sets it."""
    steps, spiking = horizon(subject, config.max_timesteps), subject.spiking or Spiking()
    return askable(subject, steps) if spiking.settable else Askable((steps,), {}, held=True)


def _twin(subject: Subject, few: Sequence[Batch], config: Config) -> tuple[dict[Key, float] | None, str]:
    """Joules of each layer of the twin for one image; None and the reason where there is no twin."""
    try:
        layers = counted(twin(subject), few, (1,)).layers
    except ValueError as error:
        return None, f"{error}"
    unlisted = {key: tally for key, tally in layers.items() if key[1] != UNATTRIBUTED}
    return {key: float(_joules(vars(tally), "additions", config).mean()) for key, tally in unlisted.items()}, ""


def _say(subject: Subject, unfolded: Sequence[str], found: Counted, twinless: str) -> None:
    """What couldn't be had, a line each."""
    said = []
    if unfolded:
        named = ", ".join(unfolded[:4]) + (", …" if unfolded[4:] else "")
        said.append(f"{len(unfolded)} BatchNorm not folded into a layer before it, and listed as unattributed: {named}")
    if found.unknown:
        said.append(f"joules without errors, for it isn't known which image costs how much: {found.unknown}")
    if twinless:
        said.append(f"no twin without spikes: {twinless}")
    for line in said:
        print(f"{subject.title}: {line}", file=sys.stderr)


def _table(found: Counted, twin_joules: Mapping[Key, float] | None, config: Config) -> pd.DataFrame:
    """The columns timesteps to twin_joules and share, of every layer, of the total, and of what isn't in it."""
    rated = {key: vars(tally) | {_BY_RATE: _by_rate(tally)} for key, tally in found.layers.items()}
    within = {key: spent for key, spent in rated.items() if key[1] != UNATTRIBUTED}
    neurons = {key: spent for key, spent in within.items() if key[1] == "neuron"}
    none = torch.zeros_like(found.accuracy)
    total = {
        name: sum((spent[name] for spent in (neurons if name == "spikes" else within).values()), none)
        for name in (*OPERATIONS, _BY_RATE)
    }
    count = sum(spent["neurons"] for spent in neurons.values())
    rows = [_rows(key, spent, found, config) for key, spent in within.items()]
    widest = max((spent["window"] for spent in within.values()), default=1)
    rows.append(_rows(("total", "total"), total | {"neurons": count, "image": False, "window": widest}, found, config))
    rows += [_rows(key, spent, found, config) for key, spent in rated.items() if key not in within]
    table = pd.concat(rows, ignore_index=True)
    made = table["additions"] + table["multiplications"]
    every = made.where(table["kind"] != "total", 0).groupby(table["timesteps"]).transform("sum")
    return table.assign(twin_joules=_twin_joules(table, twin_joules), share=made / every)


def _twin_joules(table: pd.DataFrame, found: Mapping[Key, float] | None) -> list[float]:
    """Of each row; nothing in neurons, which are ReLUs there, and nan without a twin and for what isn't attributed."""
    if found is None:
        return [nan] * len(table)
    joules = {**found, ("total", "total"): sum(found.values())}
    keys = zip(table["layer"], table["kind"], strict=True)
    return [nan if key[1] == UNATTRIBUTED else joules.get(key, 0.0) for key in keys]


def _by_rate(tally: Tally) -> Tensor:
    """The additions that rates times synapses would make."""
    return tally.spikes.nan_to_num() * tally.synapses / max(tally.neurons, 1)


def _rows(key: Key, spent: Mapping[str, Any], found: Counted, config: Config) -> pd.DataFrame:
    joules, by_rate = (_joules(spent, additions, config) for additions in ("additions", _BY_RATE))
    means = {each: spent[each].mean(1) for each in OPERATIONS}
    timesteps = torch.tensor(found.timesteps)
    neurons = 0 if spent["image"] else spent["neurons"]
    unknown = nan if found.unknown else 1.0
    columns = {
        "timesteps": timesteps.numpy(),
        "layer": key[0],
        "kind": key[1],
        "neurons": neurons,
        "spikes": means["spikes"].numpy(),
        "firing_rate": (means["spikes"] / (neurons * timesteps)).numpy(),
        **{each: means[each].numpy() for each in OPERATIONS[1:]},
        "joules": joules.mean(1).numpy(),
        "joules_stderr": (unknown * _stderr(joules)).numpy(),
        "joules_by_rate": by_rate.mean(1).numpy(),
        "joules_by_rate_stderr": (unknown * _stderr(by_rate)).numpy(),
        "window": spent["window"],
    }
    return pd.DataFrame(columns)


def _joules(spent: Mapping[str, Any], additions: str, config: Config) -> Tensor:
    """Up to each T, [time, image], with the ``additions`` of that name."""
    prices = {additions: config.add_pj, "multiplications": config.multiply_pj, "updates": config.update_pj}
    return 1e-12 * torch.stack([price * spent[name] for name, price in prices.items()]).sum(0)


def _stderr(values: Tensor) -> Tensor:
    """Of the mean over images, at each T; 0 where their spread is the rounding of one number, NaN of one image."""
    if values.shape[1] < 2:
        return torch.full((len(values),), nan, dtype=values.dtype)
    spread = values.std(1)
    rounding = spread <= _ROUNDING * values.abs().amax(1)
    return torch.zeros_like(spread).where(rounding, spread) / values.shape[1] ** 0.5


def run(config: Config, subjects: Subjects = ()) -> Result:
    """The table energy of every subject."""
    return analyse(config, measure, subjects)
