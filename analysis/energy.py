"""Energy of inference: spikes, additions and multiplications, counted layer by layer, in joules per image.

    python -m analysis.energy runs/tet-0/ckpt.pt

**Model** (Deng et al. 2022, figure 4B; 45 nm CMOS, Horowitz 2014): a spike costs each synapse that it reaches one
addition (0.9 pJ); the first layer reads graded pixels and costs each synapse one multiplication (4.6 pJ, the addition
after it included). Nothing else costs: BatchNorm folds into the weights (equation 6), and biases, membranes, memory and
pooling are left out. What neurons hand on counts as graded too where it isn't spikes: without spikes, or with smooth
ones, every layer multiplies.

**Exact where it is easy to be rough.** A synapse is a weight that meets an input: at the border a pixel feeds fewer,
and padding has none. (Usual MAC counts include padding: by 9/4 for a 3×3 kernel on 2×2 pixels.) Average pooling is
linear and its factor folds into the next weights, so each spike of a window costs an addition at every synapse of the
window's mean (with a window of 4 and every neuron firing, 4 times the synapses); after max-pooling it is the pooled
spikes that count. Where spikes are summed before a layer (SEW blocks), each is an addition.

**Normaliser**: one image for T steps, as a mean over images. The first layer of a static image is the same at every
step; the paper's code repeats the image and multiplies T times, and so does the count; with ``--first-layer once`` it
multiplies once. The paper's own millijoules can't be per image. Its ResNet-19 has 2.2165 G synapses a step (padding
included), 1.77 M of them in the first layer. With *every* neuron firing at *every* one of T = 2 steps that takes
2·(2.2147 G · 0.9 pJ + 1.77 M · 4.6 pJ) = 4.00 mJ, and figure 4B has 54.7 (TET) and 58.3 mJ (SDT). Over a batch of 128
images those are 11 % of that limit, a usual firing rate.

Table ``energy.csv``, after checkpoint, network, data, training, seed, a row for each T and layer, "total" the last:

- split, timesteps T, trained_timesteps, layer, kind ("conv", "linear", "total")
- neurons: that feed the layer (0: it reads the image); of the whole network for the total
- firing_rate: spikes per neuron and step of those neurons, over T steps; NaN where there are none, and for the total
- additions, multiplications, joules: per image, for T steps together
- accuracy: of the whole network at T; images
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from typing import Any, Literal

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import conv2d

from models.layers import GlobalAvgPool, Network
from models.lif import LIF, Rate
from models.surrogate import Smooth

from . import command
from .command import analyse
from .result import Result
from .subject import Subject
from .timesteps import curve, horizon


@dataclass(frozen=True)
class Config(command.OneSplit):
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
    first_layer: Literal["every-step", "once"] = "every-step"
    """Whether a static image costs the first layer's multiplications at every step, or once."""


@dataclass
class Layer:
    """What one convolution or linear layer did, over all images so far; arrays are [time]."""

    kind: str
    neurons: int
    spikes: Tensor
    additions: Tensor
    multiplications: Tensor


class Meter:
    """Counts the operations of a network's passes in ``layers``, by name in the order of execution, with forward hooks.

    Pools are taken to lie in line between a neuron and the layers that read it. ValueError during the pass where they
    do not, that is, where a layer gets values that are no counts of spikes.
    """

    def __init__(self, network: Network):
        self.layers: dict[str, Layer] = {}
        self.neurons: dict[str, int] = {}
        self._network = network
        self._source: Literal["image", "graded", "spikes"] = "image"
        self._window = 1

    @contextmanager
    def attached(self) -> Iterator[None]:
        """Count while the block lasts."""
        handles = [self._network.register_forward_pre_hook(self._begin)]
        for name, module in self._network.named_modules():
            hook = self._hook(name, module)
            if hook is not None:
                handles.append(module.register_forward_hook(hook))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _hook(self, name: str, module: nn.Module) -> Callable[..., None] | None:
        if isinstance(module, (LIF, Rate)):
            return lambda _module, _inputs, output: self._fire(name, module, output)
        if isinstance(module, (nn.AvgPool2d, GlobalAvgPool)):
            return lambda _module, inputs, _output: self._pool(module, inputs[0])
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            return lambda _module, inputs, _output: self._count(name, module, inputs[0])
        return None

    def _begin(self, _module: nn.Module, _inputs: Any) -> None:
        self._source, self._window = "image", 1

    def _fire(self, name: str, neuron: nn.Module, output: Tensor) -> None:
        spiking = isinstance(neuron, LIF) and not isinstance(neuron.surrogate, Smooth)
        self._source, self._window = "spikes" if spiking else "graded", 1
        self.neurons[name] = output[0, 0].numel()

    def _pool(self, pool: nn.Module, maps: Tensor) -> None:
        if isinstance(pool, nn.AvgPool2d):
            size = pool.kernel_size
            self._window *= prod(size) if isinstance(size, tuple) else size**2
        else:
            self._window *= prod(maps.shape[-2:])

    def _count(self, name: str, layer: nn.Conv2d | nn.Linear, inputs: Tensor) -> None:
        synapses = fan_out(layer, inputs.shape[2:]).to(inputs.device)
        none = torch.zeros(len(inputs), dtype=torch.float64)
        if self._source == "spikes":
            received = self._whole(name, inputs.double().sum(1) * self._window)
            found = [received.flatten(1).sum(1).cpu(), (received * synapses).flatten(1).sum(1).cpu(), none]
        else:
            found = [none * torch.nan, none, none + inputs.shape[1] * float(synapses.sum())]
        if name in self.layers:
            past = self.layers[name]
            found = [a + b for a, b in zip(found, (past.spikes, past.additions, past.multiplications), strict=True)]
        neurons = 0 if self._source == "image" else inputs[0, 0].numel() * self._window
        self.layers[name] = Layer("linear" if isinstance(layer, nn.Linear) else "conv", neurons, *found)

    def _whole(self, name: str, received: Tensor) -> Tensor:
        counts = received.round()
        if (received - counts).abs().max() > 0.01:
            raise ValueError(f"{name} gets values that are no counts of spikes: its operations can't be told apart")
        return counts


def fan_out(layer: nn.Conv2d | nn.Linear, shape: Sequence[int]) -> Float[Tensor, "..."]:
    """How many synapses each input of one image feeds: [channel, height, width], or [feature]. Padding has none."""
    if isinstance(layer, nn.Linear):
        return torch.full(tuple(shape), float(layer.out_features), dtype=torch.float64)
    # The gradient of the sum of a convolution with ones counts, for each pixel, the places of the kernel that cover it.
    pixels = torch.zeros(1, 1, *shape[1:], dtype=torch.float64, requires_grad=True)
    kernel = torch.ones(1, 1, *layer.kernel_size, dtype=torch.float64)
    with torch.enable_grad():
        covered = conv2d(pixels, kernel, None, layer.stride, layer.padding, layer.dilation).sum()
    (places,) = torch.autograd.grad(covered, pixels)
    return places[0].expand(*shape) * (layer.out_channels // layer.groups)


@torch.no_grad()
def measure(subject: Subject, config: Config) -> dict[str, pd.DataFrame]:
    """The energy table of one checkpoint."""
    steps = horizon(subject, config.max_timesteps)
    meter, images = Meter(subject.network), 0
    hits = torch.zeros(steps, dtype=torch.float64)
    with meter.attached():
        for inputs, labels in subject.batches(config.split, config.images, config.chunk):
            logits = subject.network(inputs, timesteps=steps)
            hits += curve(logits, labels)["accuracy_cumulative"].sum(1).double().cpu()
            images += len(labels)
    tables = [_layer(name, layer, steps, images, config) for name, layer in meter.layers.items()]
    table = pd.concat([*tables, _total(tables, sum(meter.neurons.values()))])
    table["joules"] = 1e-12 * (config.add_pj * table["additions"] + config.multiply_pj * table["multiplications"])
    table["accuracy"] = table["timesteps"].map(dict(enumerate((hits / images).tolist(), 1)))
    table = table.sort_values("timesteps", kind="stable", ignore_index=True).assign(images=images)
    table.insert(0, "split", config.split)
    table.insert(2, "trained_timesteps", subject.trained_timesteps)
    return {"energy": table}


def _layer(name: str, layer: Layer, steps: int, images: int, config: Config) -> pd.DataFrame:
    """The columns timesteps to multiplications of one layer: sums over the steps, means over the images."""
    per_step = layer.multiplications.expand(steps).clone()
    if len(layer.multiplications) < steps and config.first_layer == "once":
        per_step[1:] = 0
    timesteps = torch.arange(1, steps + 1)
    rate = layer.spikes.expand(steps).cumsum(0) / (images * layer.neurons * timesteps)
    return pd.DataFrame(
        {
            "timesteps": timesteps.numpy(),
            "layer": name,
            "kind": layer.kind,
            "neurons": layer.neurons,
            "firing_rate": rate.numpy(),
            "additions": (layer.additions.expand(steps).cumsum(0) / images).numpy(),
            "multiplications": (per_step.cumsum(0) / images).numpy(),
        }
    )


def _total(tables: Sequence[pd.DataFrame], neurons: int) -> pd.DataFrame:
    total = pd.concat(tables).groupby("timesteps", as_index=False)[["additions", "multiplications"]].sum()
    return total.assign(layer="total", kind="total", neurons=neurons, firing_rate=float("nan"))


def run(config: Config) -> Result:
    """The table energy of every checkpoint."""
    return analyse(config, measure)


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    return command.main(Config, run, argv, "python -m analysis.energy")


if __name__ == "__main__":
    sys.exit(main())
