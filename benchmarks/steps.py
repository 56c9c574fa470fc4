"""What the training benchmark times: steps of training in several variants, and a neuron alone.

A step is forward, TET loss, backward and Adam, on one batch of random numbers in memory: ResNet-19 (T = 4, batch 8,
32×32), VGGSNN (T = 10, batch 8, 48×48) and the digits network (T = 4, batch 50). ``spikes`` and ``gradient`` are a
neuron alone (T = 4, 128 maps of 32×32, the same batch), with for a floor what crosses memory as often and computes
nothing: a copy, and a sum of two tensors. Variants:

- ``ours``: as ``models.train`` does it on a CPU, channels last, keeping what it frees; so do all but ``bits``, peers
- ``bits``: the same with ``--keep-spikes bits``
- ``graph``: the same with ``--cuda-graph on``
- ``reference``: the same with ``--neuron reference``; ``separate``: the fused neuron, BatchNorm apart from it
- ``floor``: the step's convolutions alone, forward and backward, channels last, on the spikes they meet in the step
- ``spikingjelly``: the same layers and weights with SpikingJelly's multi-step LIFNode as it comes (on a CPU in torch),
  images repeated over time and the default layout, as its documentation has it
- ``peer``: FILE is Python that defines ``step(name, images, labels)``, which returns a function that does a step on the
  images' device
"""

import runpy
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from unittest import mock

import torch
from torch import Tensor, nn

from models.losses import tet_loss
from models.networks import build, layers
from models.networks.layers import Network
from models.neurons import bits
from models.neurons.lif import LIF
from models.neurons.selection import select
from models.training.cuda_graph import Graphs
from models.training.epoch import logits

VARIANTS = ("floor", "ours", "graph", "bits", "separate", "reference", "spikingjelly", "peer")
PEERS = ("spikingjelly", "peer")
NEURON = {"spikes": ("floor", "ours", "reference"), "gradient": ("floor", "ours", "reference")}


@dataclass(frozen=True)
class Setting:
    """What all variants share."""

    device: str = "cpu"
    precision: str = "float32"
    batch: int | None = None
    peer: str | None = None


def problem(name: str, setting: Setting) -> tuple[Network, Tensor, Tensor]:
    """Network, images and labels."""
    numbers = torch.Generator().manual_seed(0)
    batch = setting.batch or (50 if name == "digits" else 8)
    if name == "resnet19":
        network, images = build("resnet19", seed=0, timesteps=4), torch.randn(batch, 3, 32, 32, generator=numbers)
    elif name == "vggsnn":
        network, images = build("vggsnn", seed=0), torch.rand(10, batch, 2, 48, 48, generator=numbers)
    else:
        network, images = build("digits-cnn", seed=0, timesteps=4), torch.rand(batch, 1, 8, 8, generator=numbers)
    labels = torch.randint(10, (images.shape[-4],), generator=numbers)
    return network.to(setting.device).train(), images.to(setting.device), labels.to(setting.device)


def stepping(
    network: nn.Module, images: Tensor, labels: Tensor, precision: str, *, fused: bool = False, which: str = "ours"
) -> Callable[[], None]:
    """A step of training ``network``, with Adam as it comes or ``fused``; ``which`` may be "bits" or "graph"."""
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3, fused=fused)
    graphs = Graphs(network, always=True) if which == "graph" else None

    def compute(images: Tensor, labels: Tensor, _batch: int) -> Tensor:
        with bits.kept() if which == "bits" else nullcontext():
            loss = tet_loss(logits(network, images, precision), labels, mse_weight=0.05)
        loss.backward()
        return loss.detach()

    def step() -> None:
        optimizer.zero_grad()
        if graphs:
            graphs(compute, images, labels, len(labels))
        else:
            compute(images, labels, len(labels))
        optimizer.step()

    return step


def variant(name: str, which: str, setting: Setting) -> Callable[[], None]:
    """What a process runs."""
    if name in NEURON:
        return _neuron(name, which, setting)
    network, images, labels = problem(name, setting)
    if which == "peer":
        step: Callable[[], None] = runpy.run_path(str(setting.peer))["step"](name, images, labels)
        return step
    if which == "spikingjelly":
        return _spikingjelly(network, images, labels, setting.precision)
    network.to(memory_format=torch.channels_last)
    select(network, "reference" if which == "reference" else "auto", setting.device)
    images = _channels_last(images)
    if which == "floor":
        return _convolutions(network, images, setting.precision)
    step = stepping(network, images, labels, setting.precision, fused=True, which=which)
    return _separately(step) if which == "separate" else step


def _separately(step: Callable[[], None]) -> Callable[[], None]:
    """The step with BatchNorm apart from the neuron; between steps all is as it was."""

    def separate() -> None:
        with mock.patch.object(layers, "_one", return_value=None):
            step()

    return separate


def _channels_last(images: Tensor) -> Tensor:
    flat = images.flatten(0, -4).contiguous(memory_format=torch.channels_last)
    return flat.unflatten(0, images.shape[:-3])


def _convolutions(network: Network, images: Tensor, precision: str) -> Callable[[], None]:
    """Every convolution of a step, forward and backward, and nothing else."""
    calls: list[tuple[nn.Conv2d, Tensor, Tensor]] = []

    def note(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if isinstance(layer, nn.Conv2d):
            calls.append((layer, inputs[0].flatten(0, 1), torch.randn_like(output.flatten(0, 1))))

    hooks = [layer.register_forward_hook(note) for layer in network.modules()]
    with torch.no_grad():
        logits(network, images, precision)
    for hook in hooks:
        hook.remove()
    half = precision == "bfloat16"

    def step() -> None:
        for index, (layer, maps, upstream) in enumerate(calls):
            into = maps.detach().requires_grad_(index > 0)
            with torch.autocast(images.device.type, torch.bfloat16, enabled=half):
                output = nn.Conv2d.forward(layer, into)
            output.backward(upstream)
            layer.weight.grad = None

    return step


def _neuron(name: str, which: str, setting: Setting) -> Callable[[], None]:
    """A neuron's spikes, or the gradient of its currents, or what moves as many bytes."""
    dtype = torch.bfloat16 if setting.precision == "bfloat16" else torch.float32
    shape = (4, setting.batch or 8, 128, 32, 32)
    current, upstream, result = (torch.randn(shape, dtype=dtype, device=setting.device) for _ in range(3))
    neuron = LIF()
    neuron.implementation = "reference" if which == "reference" else "auto"
    fired = neuron(current.requires_grad_()) if name == "gradient" and which != "floor" else None

    @torch.no_grad()
    def step() -> None:
        if fired is not None:
            torch.autograd.grad(fired, current, upstream, retain_graph=True)
        elif which != "floor":
            neuron(current)
        elif name == "spikes":
            result.copy_(current)
        else:
            torch.add(current, upstream, out=result)

    return step


def _spikingjelly(network: Network, images: Tensor, labels: Tensor, precision: str) -> Callable[[], None]:
    from spikingjelly.activation_based import functional, neuron, surrogate

    for parent in list(network.modules()):
        for name, child in parent.named_children():
            if isinstance(child, LIF):
                pulse = surrogate.PiecewiseQuadratic(alpha=1.0)
                node = neuron.LIFNode(
                    tau=2.0, decay_input=False, v_threshold=1.0, v_reset=0.0, surrogate_function=pulse,
                    detach_reset=False, step_mode="m",
                )  # fmt: skip
                setattr(parent, name, node)
    if images.dim() == 4:
        images = images.unsqueeze(0).repeat(network.timesteps, 1, 1, 1, 1)
    step = stepping(network, images, labels, precision)

    def reset_too() -> None:
        step()
        functional.reset_net(network)

    return reset_too
