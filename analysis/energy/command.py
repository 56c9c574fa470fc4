"""Energy of inference: spikes, additions and multiplications, counted layer by layer, in joules per image.

    python -m analysis.energy runs/tet-0/ckpt.pt

**Model** (Deng et al. 2022, figure 4B; 45 nm CMOS, Horowitz 2014): an addition for each synapse that a spike reaches
(0.9 pJ), and in the first layer, which reads graded pixels, a multiplication for each synapse (4.6 pJ, the addition
after it included). Nothing else costs. What exactly is counted: :mod:`analysis.energy.operations`. BatchNorm is folded
into the weights before counting (equation 6, :mod:`analysis.energy.folding`). The paper counts no membrane updates:
here they are counted, and cost what ``--update-pj`` says, which is nothing by default. Biases, memory and pooling are
left out.

**Normaliser**: one image for T steps, as a mean over images. The first layer of a static image is the same at every
step; the paper's code repeats the image and multiplies T times, and so does the count; with ``--first-layer once`` it
multiplies once. The paper's own millijoules can't be per image. Its ResNet-19 has 2.2165 G synapses a step (padding
included), 1.77 M of them in the first layer. With *every* neuron firing at *every* one of T = 2 steps that takes
2·(2.2147 G · 0.9 pJ + 1.77 M · 4.6 pJ) = 4.00 mJ, and figure 4B has 54.7 (TET) and 58.3 mJ (SDT). Over a batch of 128
images those are 11 % of that limit, a usual firing rate.

**The twin without spikes** multiplies at every one of its synapses, once: T = 1. ``twin_joules`` is the energy of the
same network with ReLUs for neurons, from its own multiplications; pooled maps are then smaller inputs, and not windows
of spikes.

**The other convention.** Papers multiply: firing rate × synapses × T × 0.9 pJ, with the synapses of the pooled map, as
in the twin's count (Rathi, Roy 2021, and others). That is right where a spike meets a synapse once, and
after average pooling it is not: each spike of a window of 4 reaches the synapses of the window's mean, so 4 times as
many additions happen. ``joules_by_rate`` is the energy so reckoned, with the mean rate of the neurons that feed the
layer (after max-pooling of the pooled map), all else equal. Which side of ``twin_joules`` a network falls on can depend
on it. Synapses leave padding out here, which papers count: by 9/4 for a 3×3 kernel on 2×2 pixels.

Table ``energy.csv``, after checkpoint, network, data, method, training, seed, a row for each T and layer, "total" the
last:

- split, timesteps T, trained_timesteps, layer, kind ("conv", "linear", "neuron", "total")
- neurons: that feed the layer (0: it reads the image), or are in it; of the whole network for the total
- spikes: that reach the layer, or that its neurons fire; firing_rate: spikes per neuron and step. NaN where there are
  none
- additions, multiplications, updates (of membranes), joules, joules_by_rate, twin_joules; these and the spikes are per
  image, for T steps together, means over images with ``joules_stderr`` and ``joules_by_rate_stderr``
- accuracy, accuracy_stderr: of the whole network at T; images
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, cast

import pandas as pd
import torch
from torch import Tensor

from models.data import Data
from models.networks import build
from models.networks.layers import Network
from tables.result import Result

from .. import command
from ..command import analyse
from ..subject import Subject
from ..timesteps import horizon
from ..timesteps.curves import curve
from .folding import folded
from .operations import OPERATIONS, Layer, Meter

_BY_RATE = "additions_by_rate"


@dataclass(frozen=True)
class Config(command.Config):
    """Spikes, additions, multiplications and joules per image, for every T up to the largest."""

    split: Literal["train", "test"] = "test"
    """Images to measure on."""
    images: int | None = 500
    """How many of them, the first ones; None takes all."""
    max_timesteps: int | None = None
    """The largest T; by default twice the trained one, for events the stream's, and 1 without spikes."""
    add_pj: float = 0.9
    """Energy of an addition in picojoules."""
    multiply_pj: float = 4.6
    """Energy of a multiplication, with the addition after it, in picojoules."""
    update_pj: float = 0.0
    """Energy of a membrane update in picojoules: 0 as in the paper; a multiplication and an addition would be 4.6."""
    first_layer: Literal["every-step", "once"] = "every-step"
    """Whether a static image costs the first layer's multiplications at every step, or once."""


@torch.no_grad()
def measure(subject: Subject, config: Config) -> dict[str, pd.DataFrame]:
    """The energy table of one checkpoint.

    Raises ValueError for a negative energy.
    """
    _check(config)
    subject.trained("energy")
    steps, network, right = horizon(subject, config.max_timesteps), folded(subject.network), []
    meter = Meter(cast(Network, network))
    with meter.attached():
        for inputs, labels in subject.batches(config.split, config.images, config.chunk):
            right.append(curve(network(inputs, timesteps=steps), labels)["accuracy_cumulative"].cpu())
    table = _table(meter.layers, twin(subject), steps, config)
    accuracy = torch.cat(right, 1)
    for name, values in (("accuracy", accuracy.mean(1)), ("accuracy_stderr", _stderr(accuracy))):
        table[name] = table["timesteps"].map(dict(enumerate(values.tolist(), 1)))
    table = table.sort_values("timesteps", kind="stable", ignore_index=True).assign(images=accuracy.shape[1])
    table.insert(0, "split", config.split)
    table.insert(2, "trained_timesteps", subject.trained_timesteps)
    return {"energy": table}


def _check(config: Config) -> None:
    prices = {name: getattr(config, name) for name in ("add_pj", "multiply_pj", "update_pj")}
    for name, price in prices.items():
        if not 0 <= price < float("inf"):
            raise ValueError(f"--{name.replace('_', '-')} must be an energy of at least 0 pJ, got {price}")


def twin(subject: Subject) -> dict[str, float]:
    """How often each layer of the network's twin without spikes multiplies for one image.

    No weights are involved: only shapes.
    """
    model, data = subject.trained("energy").model, cast(Data, subject.dataset)
    arguments = model["arguments"] | {"spiking": False, "timesteps": 1}
    network = build(model["name"], seed=0, device="meta", **arguments).eval()
    meter = Meter(network)
    with meter.attached():
        network(torch.empty(1, data.in_channels, data.image_size, data.image_size, device="meta"))
    return {name: float(layer.multiplications.sum()) for name, layer in meter.layers.items()}


def _table(layers: Mapping[str, Layer], multiplied: Mapping[str, float], steps: int, config: Config) -> pd.DataFrame:
    """The columns timesteps to twin_joules of every layer and of the total."""
    spent = {name: _spent(layer, steps, config) for name, layer in layers.items()}
    neurons = [name for name, layer in layers.items() if layer.kind == "neuron"]
    total = {
        name: torch.stack([spent[one][name] for one in (neurons if name == "spikes" else layers)]).sum(0)
        for name in (*OPERATIONS, _BY_RATE)
    }
    rows = [_rows(name, layers[name].kind, layers[name].neurons, spent[name], config) for name in layers]
    rows.append(_rows("total", "total", sum(layers[name].neurons for name in neurons), total, config))
    table = pd.concat(rows)
    joules = {name: 1e-12 * config.multiply_pj * count for name, count in multiplied.items()}
    return table.assign(twin_joules=table["layer"].map(joules | {"total": sum(joules.values())}))


def _spent(layer: Layer, steps: int, config: Config) -> dict[str, Tensor]:
    """Each operation up to each T, [time, image], and the additions that rates times synapses would make."""
    spent = {name: getattr(layer, name).expand(steps, -1) for name in OPERATIONS}
    spent[_BY_RATE] = spent["spikes"].nan_to_num() * layer.synapses / max(layer.neurons, 1)
    if len(layer.multiplications) < steps and config.first_layer == "once":
        once = torch.arange(steps) == 0
        spent["multiplications"] = spent["multiplications"] * once[:, None]
    return {name: values.cumsum(0) for name, values in spent.items()}


def _rows(name: str, kind: str, neurons: int, spent: Mapping[str, Tensor], config: Config) -> pd.DataFrame:
    joules, by_rate = (_joules(spent, additions, config) for additions in ("additions", _BY_RATE))
    means = {each: values.mean(1) for each, values in spent.items()}
    timesteps = torch.arange(1, len(joules) + 1)
    columns = {
        "timesteps": timesteps.numpy(),
        "layer": name,
        "kind": kind,
        "neurons": neurons,
        "spikes": means["spikes"].numpy(),
        "firing_rate": (means["spikes"] / (neurons * timesteps)).numpy(),
        **{each: means[each].numpy() for each in OPERATIONS[1:]},
        "joules": joules.mean(1).numpy(),
        "joules_stderr": _stderr(joules).numpy(),
        "joules_by_rate": by_rate.mean(1).numpy(),
        "joules_by_rate_stderr": _stderr(by_rate).numpy(),
    }
    return pd.DataFrame(columns)


def _joules(spent: Mapping[str, Tensor], additions: str, config: Config) -> Tensor:
    """Up to each T, [time, image], with the ``additions`` of that name."""
    prices = {additions: config.add_pj, "multiplications": config.multiply_pj, "updates": config.update_pj}
    return 1e-12 * torch.stack([price * spent[name] for name, price in prices.items()]).sum(0)


def _stderr(values: Tensor) -> Tensor:
    """Of the mean over images, at each T."""
    return values.std(1) / values.shape[1] ** 0.5


def run(config: Config, subjects: Sequence[Subject] = ()) -> Result:
    """The table energy of every subject."""
    return analyse(config, measure, subjects)


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    return command.main(Config, run, argv, "python -m analysis.energy")
