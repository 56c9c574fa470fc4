"""Counting what a spiking network does: spikes, additions, multiplications and membrane updates of each pass.

A spike costs each synapse that it reaches one addition; a graded value costs each of its synapses one multiplication
and the addition after it. Graded are pixels and frames, and what neurons hand on where it isn't spikes: without spikes,
or with smooth ones. A neuron updates its membrane once a step.

**Exact where it is easy to be rough.** A synapse is a weight that meets an input: at the border a pixel feeds fewer,
and padding has none. (Usual MAC counts include padding: by 9/4 for a 3×3 kernel on 2×2 pixels.) Average pooling is
linear and its factor folds into the next weights, so each spike of a window costs an addition at every synapse of the
window's mean (with a window of 4 and every neuron firing, 4 times the synapses); after max-pooling it is the pooled
spikes that count. Where spikes are summed before a layer (SEW blocks), each is an addition.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import nan, prod
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import conv2d

from models.networks.layers import GlobalAvgPool, Network
from models.neurons.lif import LIF, Rate
from models.neurons.surrogate import Smooth

OPERATIONS = ("spikes", "additions", "multiplications", "updates")


@dataclass(frozen=True)
class Layer:
    """What one layer of synapses, or of neurons, did at each step for each image so far; tensors are [time, image].

    ``kind`` is "conv", "linear" or "neuron". ``neurons`` is how many feed the layer (0: it reads the image), or are in
    it; ``synapses`` how many meet an input of the layer (of the pooled map, where it is pooled), 0 for neurons;
    ``spikes`` those that arrive, or that it fires, nan where values are graded. Time is 1 where every step is the same.
    """

    kind: str
    neurons: int
    synapses: int
    spikes: Tensor
    additions: Tensor
    multiplications: Tensor
    updates: Tensor


class Meter:
    """Counts the operations of a network's passes in ``layers``, by name in the order of execution, with forward hooks.

    Pools are taken to lie in line between a neuron and the layers that read it. ValueError during the pass where they
    do not, that is, where a layer gets values that are no counts of spikes.
    """

    def __init__(self, network: Network):
        self.layers: dict[str, Layer] = {}
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
        none, neurons = _nothing(output), output[0, 0].numel()
        fired = output.double().flatten(2).sum(2).cpu() if spiking else none * nan
        self._add(name, Layer("neuron", neurons, 0, fired, none, none, none + neurons * isinstance(neuron, LIF)))

    def _pool(self, pool: nn.Module, maps: Tensor) -> None:
        if isinstance(pool, nn.AvgPool2d):
            size = pool.kernel_size
            self._window *= prod(size) if isinstance(size, tuple) else size**2
        else:
            self._window *= prod(maps.shape[-2:])

    def _count(self, name: str, layer: nn.Conv2d | nn.Linear, inputs: Tensor) -> None:
        fans, none = fan_out(layer, inputs.shape[2:]), _nothing(inputs)
        synapses = int(fans.sum())
        kind = "linear" if isinstance(layer, nn.Linear) else "conv"
        neurons = 0 if self._source == "image" else inputs[0, 0].numel() * self._window
        if self._source == "spikes":
            received = self._whole(name, inputs.double() * self._window)
            reached = (received * fans.to(inputs.device)).flatten(2).sum(2).cpu()
            self._add(name, Layer(kind, neurons, synapses, received.flatten(2).sum(2).cpu(), reached, none, none))
        else:
            self._add(name, Layer(kind, neurons, synapses, none * nan, none, none + synapses, none))

    def _whole(self, name: str, received: Tensor) -> Tensor:
        counts = received.round()
        if (received - counts).abs().max() > 0.01:
            raise ValueError(f"{name} gets values that are no counts of spikes: its operations can't be told apart")
        return counts

    def _add(self, name: str, found: Layer) -> None:
        """Take in the images of one more pass."""
        past = self.layers.get(name)
        if past is not None:
            both = (torch.cat([getattr(past, each), getattr(found, each)], 1) for each in OPERATIONS)
            found = Layer(found.kind, found.neurons, found.synapses, *both)
        self.layers[name] = found


def _nothing(values: Tensor) -> Float[Tensor, "time image"]:
    """Zeros for every step and image of ``values``."""
    return torch.zeros(values.shape[:2], dtype=torch.float64)


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
