"""Which implementation a network's neurons are computed by; :mod:`models.neurons.lif` says what there is.

A choice of how and not of what: it is no part of a network's arguments, and results differ by rounding at most.
"""

from typing import Literal, get_args

import torch
from torch import nn

from . import fused
from .lif import LIF, triton_kernels

Implementation = Literal["auto", "reference", "fused", "triton"]


def select(network: nn.Module, implementation: str = "auto", device: str = "cpu") -> str:
    """Have every neuron of ``network`` computed by ``implementation``; returns the one that "auto" stands for there.

    What the kernels can't take (half precision on a CPU, transforms of torch.func) is done by the reference all the
    same. ValueError for an unknown one, or one that can't run on ``device``.
    """
    if implementation not in get_args(Implementation):
        raise ValueError(f"no neuron named {implementation!r}; there are {', '.join(get_args(Implementation))}")
    found = implementation if implementation != "auto" else _fitting(device)
    like = torch.empty(0, device=device)
    if found == "fused" and not fused.takes(like):
        raise ValueError(f"--neuron fused needs a CPU and a C compiler (CC, or cc), and --device is {device}")
    if found == "triton" and triton_kernels(like) is None:
        raise ValueError(f"--neuron triton needs Triton and a CUDA device, and --device is {device}")
    for module in network.modules():
        if isinstance(module, LIF):
            module.implementation = implementation
    return found


def cut(network: nn.Module) -> None:
    """Have no gradient go from step to step in any neuron of ``network``: SLTT, as :mod:`models.neurons.lif` says.

    ValueError where there is no neuron that it could be cut in.
    """
    neurons = [module for module in network.modules() if isinstance(module, LIF)]
    if not neurons:
        raise ValueError(
            f"--detach-state cuts the gradient in this project's LIF neurons, and {type(network).__name__} has none:"
            " leave it out"
        )
    for neuron in neurons:
        neuron.detach_state = True


def _fitting(device: str) -> str:
    like = torch.empty(0, device=device)
    if fused.takes(like):
        return "fused"
    return "triton" if like.is_cuda and triton_kernels(like) else "reference"
