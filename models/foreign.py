"""State dicts of other projects: renamed, and held against the network they are to fit.

======================================  ==============================================================================
official TET code (Deng et al. 2022)    ``vggsnn``, ``vggsnn-stride``, ``resnet19``
SpikingJelly (``activation_based``)     ``spiking-resnet18`` … ``152``, ``sew-resnet18`` … ``152`` (ADD),
                                        ``spiking-vgg11`` … ``19``, and the same with ``-bn``
torchvision                             ``resnet18`` … ``152``: this project's spiking ones with ReLUs, at T = 1
======================================  ==============================================================================

The TET code keeps its layers twice and more, as ``conv1`` and as ``conv1_s.layer.module``, so that a state dict of
ResNet-19 has 415 keys for 124 tensors. All names of a tensor must hold the same values, and one of them has to be
there. ``num_batches_tracked``, which older files lack, counts as 0; numbers in other precisions become float32.

Number of classes, channels, image size (VGGSNN) and hidden width (VGG) are read off the shapes. What neurons are is in
no state dict: :mod:`models.nodes`.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from math import isqrt
from typing import Any

import torch
from torch import Tensor

from .fitting import Complaint, State, hint, kind, listed
from .networks.spiking_vgg import STAGES
from .reading import CheckpointError

Names = Callable[[str], tuple[str, ...]]
_TORCHVISION = (
    (r"^stem\.conv\.", "conv1."), (r"^stem\.norm\.", "bn1."), (r"^body\.head\.", "fc."), (r"^body\.stage", "layer"),
    (r"\.norm(\d)\.", r".bn\1."), (r"\.shortcut\.conv\.", ".downsample.0."), (r"\.shortcut\.norm\.", ".downsample.1."),
)  # fmt: skip


@dataclass(frozen=True)
class Source:
    """An architecture of another project: whose, which network of this one it is, and what its tensors are called.

    ``names`` gives for a key of this project's state dict all that it may have there, the usual one first.
    """

    project: str
    network: str
    names: Names
    arguments: dict[str, Any] = field(default_factory=dict)


def arguments(source: Source, state: State) -> dict[str, Any]:
    """What the shapes in ``state`` say of the network; what they don't say is left out."""
    found: dict[str, Any] = {}
    head = _shape(state, source.names("body.head.weight"))
    stem = _shape(state, source.names(f"stem.conv{'' if 'resnet' in source.network else 1}.weight"))
    if len(head) == 2:
        found["num_classes"] = head[0]
        if source.network.startswith("vggsnn"):
            found["image_size"] = 16 * isqrt(head[1] // 512)
        if source.network.startswith("spiking-vgg"):
            found["hidden"] = head[1]
    if len(stem) == 4:
        found["in_channels"] = stem[1]
    return found | source.arguments


def fitted(state: State, expected: State, names: Names) -> State:
    """``state`` under the names of ``expected``, whose shapes it has to have.

    Raises CheckpointError with every key that is missing, unknown, of another shape, or unlike its other names.
    """
    complaints: list[Complaint] = []
    taken: State = {}
    known: set[str] = set()
    for key, want in expected.items():
        known.update(names(key))
        there = [name for name in names(key) if name in state]
        if not there and key.endswith("num_batches_tracked"):
            taken[key] = torch.zeros((), dtype=torch.int64)
        elif not there:
            complaints.append((names(key)[0], kind(want), "nothing"))
        for name in there:
            if kind(state[name]) != kind(want):
                complaints.append((name, kind(want), kind(state[name])))
                continue
            value = state[name].to(want.dtype)
            if not torch.allclose(value, taken.setdefault(key, value.clone()), rtol=0, atol=0, equal_nan=True):
                complaints.append((name, f"what {there[0]} holds", "other values"))
    complaints += [(name, "nothing", _unknown(name, value)) for name, value in state.items() if name not in known]
    if complaints:
        raise CheckpointError(f"the state dict doesn't fit: {listed(complaints)}{hint(state, known)}")
    return taken


def _shape(state: State, names: Iterable[str]) -> tuple[int, ...]:
    """Of the tensor with one of ``names``; () where there is none."""
    return next((tuple(state[name].shape) for name in names if name in state), ())


def _unknown(name: str, value: Tensor) -> str:
    if name.endswith(".w") and value.numel() == 1 and value.is_floating_point():
        return f"a ParametricLIFNode's learned tau of {float(1 + torch.exp(-value)):.4g}"
    return kind(value)


def _torchvision(key: str) -> tuple[str, ...]:
    """SpikingJelly's names too."""
    for pattern, name in _TORCHVISION:
        key = re.sub(pattern, name, key)
    return (key,)


def _tet_resnet(key: str) -> tuple[str, ...]:
    (plain,) = _torchvision(key.replace("body.head.", "fc2.").replace("body.hidden.", "fc1."))
    place, leaf = plain.rsplit(".", 1)
    if place.endswith(".downsample.0"):
        block = place.removesuffix(".0")
        return f"{block}.layer.module.{leaf}", f"{block}.0.layer.module.{leaf}"
    norms: tuple[str, ...]
    if place.endswith(".downsample.1"):
        block = place.removesuffix(".1")
        norms = (f"{block}.bn", f"{block}.0.bn", f"{block}.1")
    elif "bn" in place:
        norms = (place, f"{place.replace('bn', 'conv')}_s.bn")
    else:
        return plain, f"{place}_s.layer.module.{leaf}"
    return tuple(f"{norm}{kept}.{leaf}" for norm in norms for kept in (".bn", ".seqbn.module"))


def _tet_vgg(pooled: bool, key: str) -> tuple[str, ...]:
    if key.startswith("body.head."):
        return (key.replace("body.head.", "classifier.module."),)
    layer, leaf = key.split(".", 1)[1].split(".")
    index = int(layer[4:]) - 1
    place = index + index // 2 if pooled else index  # a pool after every second layer
    return (f"features.{place}.fwd.module.{int(layer.startswith('norm'))}.{leaf}",)


def _jelly_vgg(depth: int, normed: bool, key: str) -> tuple[str, ...]:
    layer, leaf = key.split(".", 1)[1].split(".")
    heads = {"hidden1": 0, "hidden2": 3, "head": 6}
    if layer in heads:
        return (f"classifier.{heads[layer]}.{leaf}",)
    stages = [stage for stage, count in enumerate(STAGES[depth]) for _ in range(count)]
    index = int(layer[4:]) - 1
    place = index * (3 if normed else 2) + stages[index]  # convolution, BatchNorm, neuron; and a pool after each stage
    return (f"features.{place + layer.startswith('norm')}.{leaf}",)


def _vggs() -> dict[str, Source]:
    return {
        f"spiking-vgg{depth}{'-bn' if normed else ''}": Source(
            "SpikingJelly",
            f"spiking-vgg{depth}",
            partial(_jelly_vgg, depth, normed),
            {"norm": "batch" if normed else "none"},
        )
        for depth in STAGES
        for normed in (False, True)
    }


_DEPTHS = (18, 34, 50, 101, 152)
SOURCES: dict[str, Source] = {
    "vggsnn": Source("TET", "vggsnn", partial(_tet_vgg, True)),
    "vggsnn-stride": Source("TET", "vggsnn-stride", partial(_tet_vgg, False)),
    "resnet19": Source("TET", "resnet19", _tet_resnet),
    **{
        f"{kind}-resnet{depth}": Source("SpikingJelly", f"{kind}-resnet{depth}", _torchvision)
        for kind in ("spiking", "sew")
        for depth in _DEPTHS
    },
    **_vggs(),
    **{f"resnet{depth}": Source("torchvision", f"spiking-resnet{depth}", _torchvision) for depth in _DEPTHS},
}
