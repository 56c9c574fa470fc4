"""Networks by name, so that a checkpoint and a command line can say which one they mean."""

from collections.abc import Callable
from dataclasses import fields
from functools import partial
from inspect import signature
from typing import Any

import torch

from .cnn import CNN5, DigitsCNN
from .layers import Network
from .lif import Neuron
from .resnet import ResNet19, SEWResNet34, SpikingResNet34
from .vgg import VGGSNN

NETWORKS: dict[str, Callable[..., Network]] = {
    "vggsnn": VGGSNN,
    "vggsnn-stride": partial(VGGSNN, downsample="stride"),
    "resnet19": ResNet19,
    "spiking-resnet34": SpikingResNet34,
    "sew-resnet34": SEWResNet34,
    "cnn5": CNN5,
    "digits-cnn": DigitsCNN,
}

_NEURON = tuple(field.name for field in fields(Neuron))


def accepted(name: str) -> tuple[str, ...]:
    """The arguments that network ``name`` takes, the neuron's among them. ValueError for an unknown name."""
    if name not in NETWORKS:
        raise ValueError(f"no network named {name!r}; there are {', '.join(NETWORKS)}")
    own = (argument for argument in signature(NETWORKS[name]).parameters if argument != "neuron")
    return (*own, *_NEURON)


def build(name: str, *, seed: int, **arguments: Any) -> Network:
    """Network ``name`` on the CPU with weights drawn from ``seed``; torch's global generators stay as they were.

    ``arguments`` are the network's own and, beside them, those of :class:`~models.lif.Neuron`, all plain values:
    ``build(name, seed=seed, **network.arguments)`` is the same network again. ValueError for a name or an argument that
    does not exist, or a value that a network refuses.
    """
    known = accepted(name)
    unknown = [argument for argument in arguments if argument not in known]
    if unknown:
        raise ValueError(f"network {name!r} takes no argument {unknown[0]!r}; it takes {', '.join(known)}")
    neuron = Neuron(**{key: value for key, value in arguments.items() if key in _NEURON})
    own = {key: value for key, value in arguments.items() if key not in _NEURON}
    # The CPU's generator alone: torch.manual_seed would seed every CUDA device too.
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        torch.default_generator.manual_seed(seed)
        return NETWORKS[name](neuron=neuron, **own)
