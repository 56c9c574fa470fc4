"""Small spiking networks of other libraries, each with a loop of its own over the steps, and digits to show them."""

from collections.abc import Callable
from functools import cache
from typing import Any

import norse.torch as norse
import snntorch
import torch
from snntorch import surrogate as snn_surrogate
from spikingjelly.activation_based import functional, layer, neuron, surrogate
from torch import Tensor, nn

from analysis.subject import Spiking, Subject
from models.data import load

STEPS = 3


@cache
def images(count: int = 24) -> tuple[Tensor, Tensor]:
    """Digits [batch, 64] with their labels, the first three classes."""
    x, y = next(load("digits").train.batches(1000))
    few = y < 3
    return x[few][:count].flatten(1), y[few][:count]


def linear(before: int, after: int, kind: Callable[..., nn.Module] = nn.Linear) -> nn.Module:
    """A layer whose neurons fire often enough."""
    made = kind(before, after)
    nn.init.uniform_(made.get_parameter("weight"), -0.15, 0.25)
    return made


class JellyLoop(nn.Module):
    """SpikingJelly, one step at a time, T as an attribute."""

    def __init__(self, kind: Callable[..., nn.Module], **more: Any):
        super().__init__()
        self.T = STEPS
        self.net = nn.Sequential(
            linear(64, 6), kind(v_threshold=0.9, surrogate_function=surrogate.ATan(), **more), linear(6, 3)
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([self.net(x) for _ in range(self.T)])


class JellyMany(nn.Module):
    """SpikingJelly, many steps at once, T as a keyword; the output may be their mean."""

    def __init__(self, kind: Callable[..., nn.Module], mean: bool = False, **more: Any):
        super().__init__()
        self.mean = mean
        self.net = nn.Sequential(
            linear(64, 6, layer.Linear), kind(v_threshold=0.9, surrogate_function=surrogate.ATan(), **more),
            linear(6, 3, layer.Linear),
        )  # fmt: skip
        functional.set_step_mode(self.net, "m")

    def forward(self, x: Tensor, num_steps: int = STEPS) -> Tensor:
        output: Tensor = self.net(x.expand(num_steps, *x.shape))
        return output.mean(0) if self.mean else output


class Hidden(nn.Module):
    """snnTorch with states in the neurons."""

    def __init__(self, kind: Callable[..., nn.Module]):
        super().__init__()
        self.num_steps = STEPS
        slope = snn_surrogate.atan()
        self.net = nn.Sequential(
            linear(64, 6), kind(beta=0.7, threshold=0.9, spike_grad=slope, init_hidden=True), linear(6, 3)
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([self.net(x) for _ in range(self.num_steps)])


class Returned(nn.Module):
    """snnTorch's tutorial: states handed on, the records of spikes and membranes returned."""

    def __init__(self) -> None:
        super().__init__()
        slope = snn_surrogate.fast_sigmoid(slope=5)
        self.num_steps = STEPS
        self.fc1, self.lif1 = linear(64, 6), snntorch.Leaky(beta=0.7, threshold=0.9, spike_grad=slope)
        self.fc2, self.lif2 = linear(6, 3), snntorch.Synaptic(alpha=0.5, beta=0.7, threshold=0.8, spike_grad=slope)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mem1, (syn2, mem2) = self.lif1.init_leaky(), self.lif2.init_synaptic()
        spk_rec, mem_rec = [], []
        for _ in range(self.num_steps):
            spk1, mem1 = self.lif1(self.fc1(x), mem1)
            spk2, syn2, mem2 = self.lif2(self.fc2(spk1), syn2, mem2)
            spk_rec.append(spk2)
            mem_rec.append(mem2)
        return torch.stack(spk_rec), torch.stack(mem_rec)


class NorseCells(nn.Module):
    """Norse's cells with states handed on, read out by a leaky integrator."""

    def __init__(self) -> None:
        super().__init__()
        parameters = norse.LIFParameters(v_th=torch.as_tensor(0.1), alpha=torch.as_tensor(100.0))
        self.seq_length = STEPS + 2
        self.fc1, self.lif = linear(64, 6), norse.LIFCell(parameters)
        self.fc2, self.li = linear(6, 3), norse.LICell()

    def forward(self, x: Tensor) -> Tensor:
        first, second, outputs = None, None, []
        for _ in range(self.seq_length):
            spikes, first = self.lif(self.fc1(x), first)
            output, second = self.li(self.fc2(spikes), second)
            outputs.append(output)
        return torch.stack(outputs)


class NorseFrames(nn.Module):
    """Norse's layers over a sequence of frames [time, batch, feature]."""

    def __init__(self, recurrent: bool = False) -> None:
        super().__init__()
        parameters = norse.LIFParameters(v_th=torch.as_tensor(0.1))
        self.fc1 = linear(64, 6)
        self.lif = norse.LIFRecurrent(6, 6, parameters) if recurrent else norse.LIF(parameters)
        self.fc2 = linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        spikes, _ = self.lif(self.fc1(x))
        output: Tensor = self.fc2(spikes)
        return output


class _Fire(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, distance: Tensor) -> Tensor:
        ctx.save_for_backward(distance)
        return (distance > 0).to(distance.dtype)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (distance,) = ctx.saved_tensors
        return gradient * (1 - distance.abs()).clamp(min=0)


class Mine(nn.Module):
    """A neuron of one's own, over [batch, time, …]."""

    def __init__(self, thresh: float = 0.9, decay: float = 0.5):
        super().__init__()
        self.thresh, self.decay = thresh, decay

    def forward(self, x: Tensor) -> Tensor:
        membrane, spikes = torch.zeros_like(x[:, 0]), []
        for t in range(x.shape[1]):
            membrane = self.decay * membrane + x[:, t]
            spikes.append(_Fire.apply(membrane - self.thresh))
            membrane = membrane * (1 - spikes[-1])
        return torch.stack(spikes, 1)


class Own(nn.Module):
    """A network of such neurons, batch first, T as an attribute."""

    def __init__(self, kind: Callable[..., nn.Module] = Mine) -> None:
        super().__init__()
        self.T = STEPS
        self.fc1, self.neuron, self.fc2 = linear(64, 6), kind(), linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = self.fc2(self.neuron(self.fc1(x.unsqueeze(1).repeat(1, self.T, 1))))
        return output


def leaky(**more: Any) -> nn.Module:
    return snntorch.Leaky(**more)


def synaptic(**more: Any) -> nn.Module:
    return snntorch.Synaptic(alpha=0.5, **more)


def alpha(threshold: float, **more: Any) -> nn.Module:
    return snntorch.Alpha(alpha=0.9, threshold=threshold / 3, **more)


def frames(network: nn.Module) -> dict[str, Any]:
    """Digits shown for three steps, each brighter than the one before, time first."""
    x, y = images()
    stream = torch.stack([x * (1 + 0.3 * t) for t in range(STEPS)])
    return {"network": network, "train": [(stream[:, :12], y[:12]), (stream[:, 12:], y[12:])]}


def static(network: nn.Module, **more: Any) -> dict[str, Any]:
    x, y = images()
    return {"network": network, "train": [(x[:12], y[:12]), (x[12:], y[12:])]} | more


def _pick(returned: Any) -> Tensor:
    membranes: Tensor = returned[1]
    return membranes


MADE: dict[str, Callable[[], dict[str, Any]]] = {
    "jelly IF, looped": lambda: static(JellyLoop(neuron.IFNode)),
    "jelly LIF, looped": lambda: static(JellyLoop(neuron.LIFNode, tau=1.5)),
    "jelly PLIF, looped": lambda: static(JellyLoop(neuron.ParametricLIFNode, init_tau=1.5)),
    "jelly IF, many steps": lambda: static(JellyMany(neuron.IFNode)),
    "jelly LIF, many steps": lambda: static(JellyMany(neuron.LIFNode, tau=1.5, decay_input=False)),
    "jelly PLIF, many steps": lambda: static(JellyMany(neuron.ParametricLIFNode, init_tau=1.5)),
    "jelly LIF, mean": lambda: static(JellyMany(neuron.LIFNode, mean=True, tau=1.5)),
    "snntorch leaky": lambda: static(Hidden(leaky)),
    "snntorch synaptic": lambda: static(Hidden(synaptic)),
    "snntorch alpha": lambda: static(Hidden(alpha)),
    "snntorch returned": lambda: static(Returned(), output=_pick),
    "norse cells": lambda: static(NorseCells()),
    "norse frames": lambda: frames(NorseFrames()),
    "norse recurrent": lambda: frames(NorseFrames(recurrent=True)),
    "own": lambda: static(Own(), spiking=Spiking(neurons=(Mine,))),
}


def subject(name: str) -> Subject:
    """A network by that name, the same at every call, with digits as training data."""
    torch.manual_seed(sum(map(ord, name)))
    return Subject(**MADE[name](), name=name)
