"""Networks by name, so that a checkpoint and a command line can say which one they mean."""

from collections.abc import Callable, Mapping
from dataclasses import fields
from functools import partial
from inspect import signature
from typing import Any

import torch

from .. import code
from ..neurons.lif import Neuron
from ..validation import check
from .cnn import CNN5, DigitsCNN
from .deep_resnet import (
    SEWResNet18,
    SEWResNet50,
    SEWResNet101,
    SEWResNet152,
    SpikingResNet18,
    SpikingResNet50,
    SpikingResNet101,
    SpikingResNet152,
)
from .layers import Network
from .resnet import ResNet19, SEWResNet34, SpikingResNet34
from .spiking_vgg import SpikingVGG
from .vgg import VGGSNN

NETWORKS: dict[str, Callable[..., Network]] = {
    "vggsnn": VGGSNN,
    "vggsnn-stride": partial(VGGSNN, downsample="stride"),
    "resnet19": ResNet19,
    "spiking-resnet18": SpikingResNet18,
    "spiking-resnet34": SpikingResNet34,
    "spiking-resnet50": SpikingResNet50,
    "spiking-resnet101": SpikingResNet101,
    "spiking-resnet152": SpikingResNet152,
    "sew-resnet18": SEWResNet18,
    "sew-resnet34": SEWResNet34,
    "sew-resnet50": SEWResNet50,
    "sew-resnet101": SEWResNet101,
    "sew-resnet152": SEWResNet152,
    "spiking-vgg11": partial(SpikingVGG, depth=11),
    "spiking-vgg13": partial(SpikingVGG, depth=13),
    "spiking-vgg16": partial(SpikingVGG, depth=16),
    "spiking-vgg19": partial(SpikingVGG, depth=19),
    "cnn5": CNN5,
    "digits-cnn": DigitsCNN,
}

_NEURON = {field.name: field.type for field in fields(Neuron)}


def accepted(name: str) -> dict[str, Any]:
    """The arguments that network ``name`` takes, the neuron's among them, and their types.

    ValueError for an unknown name.
    """
    if name not in NETWORKS:
        raise ValueError(f"no network named {name!r}; there are {', '.join(NETWORKS)}")
    own = {key: argument.annotation for key, argument in signature(NETWORKS[name]).parameters.items()}
    del own["neuron"]
    return own | _NEURON


def parse(word: str) -> tuple[str, dict[str, Any]]:
    """The name and the arguments in ``NAME`` or ``NAME?key=value&…``, as in ``digits-cnn?channels=24``.

    ValueError for an unknown name, and for arguments that can't be read.
    """
    name, _, text = word.partition("?")
    accepted(name)
    return name, code.arguments(text, word)


def check_arguments(name: str, arguments: Mapping[str, Any]) -> None:
    """Raise ValueError for an argument that network ``name`` does not take, or of another type."""
    known = accepted(name)
    for key, value in arguments.items():
        if key not in known:
            raise ValueError(f"network {name!r} takes no argument {key!r}; it takes {', '.join(known)}")
        check(value, known[key], f"the argument {key} of network {name!r}")


def build(name: str, *, seed: int, device: str = "cpu", **arguments: Any) -> Network:
    """Network ``name`` on the CPU with weights drawn from ``seed``; torch's global generators stay as they were.

    ``arguments`` are the network's own and, beside them, those of :class:`~models.neurons.lif.Neuron`, all plain
    values: ``build(name, seed=seed, **network.arguments)`` is the same network again. ``device="meta"`` gives the
    network's shapes without weights. ValueError for a name or an argument that does not exist, or a value that a
    network refuses.
    """
    check_arguments(name, arguments)
    settings: dict[str, Any] = {key: value for key, value in arguments.items() if key in _NEURON}
    settings |= {key: float(value) for key, value in settings.items() if _NEURON[key] is float}
    neuron = Neuron(**settings)
    own = {key: value for key, value in arguments.items() if key not in _NEURON}
    # The CPU's generator alone: torch.manual_seed would seed every CUDA device too.
    with torch.random.fork_rng(devices=[]), torch.device(device):
        torch.default_generator.manual_seed(seed)
        return NETWORKS[name](neuron=neuron, **own)
