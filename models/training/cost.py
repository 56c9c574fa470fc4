"""What a training run costs before it is begun, from the network's shapes alone: no data, no GPU, no memory.

    python -m models.train --recipe imagenet-spiking-resnet34-tet --dry-run

**MACs** of convolutions and linear layers, of an image at all its T steps, forward; a static image passes the stem
once. A training step costs three times that (outputs, gradients of inputs, gradients of weights), an evaluation once.

**Memory** of a step: weights, gradients, what the optimizer keeps, and what the graph of one piece of a batch holds on
to, summed over the distinct tensors that autograd saves when the network runs on tensors without content. That is when
the forward ends; the backward frees more than it takes. Within 6 % of the peak that torch's allocator counts on a CPU,
for CNN-5, VGGSNN and ResNet-19 with the neuron's reference implementation and torch's means, which are what is traced:
kernels keep less. With ``--keep-spikes bits`` what the neurons hand on counts one bit a spike.
Not in it: what allocators and convolutions take besides (on CUDA its context, workspaces, fragments).
"""

from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor, nn

from ..losses import tet_loss
from ..networks.layers import Network
from ..neurons.lif import LIF
from ..neurons.surrogate import Smooth
from . import phases
from .epoch import DTYPES
from .recipe import Config, network, timeline
from .usual import EVENTS

SHAPES = {
    "digits": (200, 1597, 10, 1, 8),
    "digit-events": (200, 1597, 10, 2, 16),
    "cifar10": (50_000, 10_000, 10, 3, 32),
    "cifar100": (50_000, 10_000, 100, 3, 32),
    "cifar10-dvs": (9_000, 1_000, 10, 2, 48),
    "dvs128-gesture": (1_176, 288, 11, 2, 48),
    "n-mnist": (60_000, 10_000, 10, 2, 32),
    "imagenet": (1_281_167, 50_000, 1000, 3, 224),
}
"""Images for training and testing, classes, channels, and pixels a side."""
_MOMENTS = {"adam": 2, "sgd": 1}


@dataclass(frozen=True)
class Cost:
    """What one T costs: MACs of an image and of an epoch, bytes of an image's graph and of a whole step."""

    timesteps: int
    parameters: int
    macs: int
    graph_bytes: int
    step_bytes: int
    epoch_macs: int

    def __str__(self) -> str:
        return (
            f"T = {self.timesteps}: {self.parameters:,} parameters, {self.macs / 1e9:.4g} GMAC an image forward; a step"
            f" takes about {self.step_bytes / 2**30:.3g} GiB (its graph {self.graph_bytes / 2**20:.3g} MiB an image),"
            f" an epoch {self.epoch_macs / 1e15:.3g} PMAC, {self.epoch_macs / 36e15:.3g} h at 10 TMAC/s"
        )


def estimate(config: Config) -> str:
    """The costs of a resolved ``config``: a line for every T, then the phases and their time steps."""
    plan = timeline(config)
    lines = [str(cost(config, timesteps)) for timesteps in dict.fromkeys(phase.timesteps for phase in plan)]
    return "\n".join([*lines, phases.described(plan)])


def cost(config: Config, timesteps: int) -> Cost:
    """The cost at ``timesteps`` of a resolved ``config``."""
    train, test, classes, channels, size = SHAPES[config.data]
    size, train = config.image_size or size, config.train_images or train
    net = network(config, num_classes=classes, in_channels=channels, image_size=size, device="meta")
    net.timesteps = timesteps
    net.to(torch.bfloat16 if config.precision == "bfloat16" else DTYPES[config.precision])
    shape = (timesteps, 2, channels, size, size) if config.data in EVENTS else (2, channels, size, size)
    macs, graph = (count // 2 for count in _traced(net, shape, config.keep_spikes == "bits"))
    parameters = sum(weight.numel() for weight in net.parameters())
    evaluated = (min(config.evaluate_train or train, train) + test) / config.evaluate_every  # the mean epoch
    kept = parameters * DTYPES[config.precision].itemsize * (2 + _MOMENTS[config.optimizer])
    step = kept + config.batch_size // config.accumulate * graph
    return Cost(timesteps, parameters, macs, graph, step, macs * round(3 * train + evaluated))


def _traced(net: Network, shape: tuple[int, ...], as_bits: bool) -> tuple[int, int]:
    """MACs of images of ``shape``, and the bytes that their graph holds on to, with spikes ``as_bits`` or not."""
    macs: list[int] = []
    saved: dict[int, torch.UntypedStorage] = {}
    spikes: dict[int, Tensor] = {}

    def count(module: nn.Module, _inputs: object, output: Tensor) -> None:
        if isinstance(module, nn.Conv2d | nn.Linear):
            macs.append(output.numel() * prod(module.weight.shape[1:]))
        if as_bits and isinstance(module, LIF) and not isinstance(module.surrogate, Smooth):
            spikes[output.untyped_storage()._cdata] = output

    def keep(tensor: Tensor) -> Tensor:
        saved[tensor.untyped_storage()._cdata] = tensor.untyped_storage()
        return tensor.detach()  # the tensor itself, in its own graph, would be a circle that nothing frees

    for module in net.modules():
        module.register_forward_hook(count)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        labels = torch.empty(2, dtype=torch.int64, device="meta")
        tet_loss(net(torch.empty(shape, device="meta", dtype=next(net.parameters()).dtype)), labels)
    for weight in net.parameters():
        saved.pop(weight.untyped_storage()._cdata, None)
    sizes = (spikes[at].numel() // 8 if at in spikes else storage.nbytes() for at, storage in saved.items())
    return sum(macs), sum(sizes)
