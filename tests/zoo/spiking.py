"""Spiking networks of other libraries: snnTorch, SpikingJelly, Norse."""

from collections.abc import Callable
from typing import Any

import norse.torch as norse
import snntorch
import torch
from snntorch import surrogate as snn_surrogate
from spikingjelly.activation_based import functional, layer, neuron, surrogate
from torch import Tensor, nn

from .entry import Case, Entry, ce, images

STEPS = 3


def many(rates: Tensor, y: Tensor) -> Tensor:
    """The loss of the mean over time, of an output [time, batch, class]."""
    return ce(rates.mean(0), y)


class Returned(nn.Module):
    """snnTorch with states handed on by the user."""

    def __init__(self) -> None:
        super().__init__()
        slope = snn_surrogate.fast_sigmoid(slope=5)
        self.a, self.n = nn.Linear(5, 6), snntorch.Leaky(beta=0.8, threshold=0.5, spike_grad=slope, learn_beta=True)
        self.b, self.m = nn.Linear(6, 3), snntorch.Synaptic(alpha=0.5, beta=0.8, threshold=0.5, spike_grad=slope)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        first, (current, second) = self.n.init_leaky(), self.m.init_synaptic()
        spikes, membranes = [], []
        for _ in range(STEPS):
            spike, first = self.n(self.a(x), first)
            out, current, second = self.m(self.b(spike), current, second)
            spikes.append(out)
            membranes.append(second)
        return torch.stack(spikes), torch.stack(membranes)


def returned() -> Case:
    return Case(Returned(), lambda z, y: ce(z[1].mean(0), y) + 0.1 * z[0].mean((0, 2)), images(5))


class Hidden(nn.Module):
    """snnTorch with init_hidden: states in the neurons, inside nn.Sequential."""

    def __init__(self, kind: Callable[..., nn.Module]):
        super().__init__()
        slope = snn_surrogate.atan()
        self.net = nn.Sequential(
            nn.Linear(5, 6), kind(spike_grad=slope, init_hidden=True, threshold=0.5),
            nn.Linear(6, 3), kind(spike_grad=slope, init_hidden=True, output=True, threshold=0.5),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([self.net(x)[-1] for _ in range(STEPS)])


def at_rest(model: nn.Module) -> None:
    """snnTorch's own ``utils.reset`` clears the neurons of every network there is, those under test too."""
    for module in model.modules():
        if isinstance(module, snntorch.SpikingNeuron):
            module.reset_mem()


def hidden(kind: Callable[..., nn.Module]) -> Callable[[], Case]:
    return lambda: Case(Hidden(kind), many, images(5), fresh=at_rest)


def one_step() -> Case:
    """A Sequential asked for a single step: its state would leak from batch to batch."""
    slope = snn_surrogate.fast_sigmoid()
    model = nn.Sequential(nn.Linear(5, 6), snntorch.Leaky(beta=0.8, spike_grad=slope, init_hidden=True, threshold=0.3),
                          nn.Linear(6, 3))  # fmt: skip
    return Case(model, ce, images(5), fresh=at_rest)


class Looped(nn.Module):
    """SpikingJelly, one step at a time."""

    def __init__(self, *layers: nn.Module):
        super().__init__()
        self.net = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([self.net(x) for _ in range(STEPS)])


def jelly(kind: Any, mode: str = "s", **more: Any) -> Callable[[], Case]:
    def make() -> Case:
        more.setdefault("surrogate_function", surrogate.ATan())
        layers = [
            layer.Linear(5, 6), kind(v_threshold=0.5, **more),
            layer.Linear(6, 3), kind(v_threshold=0.5, **more),
        ]  # fmt: skip
        model, batches = Looped(*layers) if mode == "s" else nn.Sequential(*layers), images(5)
        if mode == "m":
            batches = [(x.transpose(0, 1), y) for x, y in images(STEPS, 5)]
            functional.set_step_mode(model, "m")
        for module in model.modules():
            if isinstance(module, nn.Linear):
                nn.init.uniform_(module.weight, -0.5, 1)
        return Case(model, many, batches, fresh=functional.reset_net)

    return make


def jelly_conv() -> Case:
    """Convolutions with norms, many steps at once, statistics of its own."""
    model = nn.Sequential(
        layer.Conv2d(1, 4, 2, bias=False), layer.BatchNorm2d(4),
        neuron.IFNode(v_threshold=0.3, surrogate_function=surrogate.Sigmoid()),
        layer.Flatten(), layer.Linear(16, 3),
    )  # fmt: skip
    functional.set_step_mode(model, "m")
    batches = [(x.transpose(0, 1).contiguous(), y) for x, y in images(STEPS, 1, 3, 3)]
    return Case(model, many, batches, fresh=functional.reset_net)


class Spikformer(nn.Module):
    """A block of spiking self-attention without softmax, after a convolution that makes patches."""

    def __init__(self, width: int = 4):
        super().__init__()
        self.patch, self.patched = layer.Conv2d(1, width, 2, 2, step_mode="m"), self.spike()
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.q, self.k, self.v, self.mixed = self.spike(), self.spike(), self.spike(), self.spike()
        self.norm, self.out = nn.BatchNorm1d(width), nn.Linear(width, 3)

    @staticmethod
    def spike() -> nn.Module:
        return neuron.LIFNode(tau=1.5, v_threshold=0.3, surrogate_function=surrogate.Sigmoid(), step_mode="m",
                              detach_reset=True)  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        patches = self.patched(self.patch(x.expand(STEPS, *x.shape))).flatten(3).transpose(2, 3)
        query, key, value = self.q(self.query(patches)), self.k(self.key(patches)), self.v(self.value(patches))
        mixed = self.mixed(query @ key.transpose(2, 3) @ value * 0.5) + patches
        return self.out(self.norm(mixed.mean(2).flatten(0, 1)).unflatten(0, (STEPS, len(x))))


def spikformer() -> Case:
    return Case(Spikformer(), many, images(1, 4, 4), fresh=functional.reset_net)


class NorseLoop(nn.Module):
    """Norse cells with states handed on."""

    def __init__(self) -> None:
        super().__init__()
        parameters = norse.LIFParameters(v_th=torch.as_tensor(0.05), alpha=torch.as_tensor(100.0), method="super")
        self.a, self.n = nn.Linear(5, 6), norse.LIFCell(parameters)
        self.b, self.m = nn.Linear(6, 3), norse.LICell()

    def forward(self, x: Tensor) -> Tensor:
        first: Any = None
        second: Any = None
        outputs = []
        for _ in range(2 * STEPS):
            spikes, first = self.n(self.a(x), first)
            out, second = self.m(self.b(spikes), second)
            outputs.append(out)
        return torch.stack(outputs)


class NorseSequence(nn.Module):
    """Norse's SequentialState, whose output is a pair of outputs and states."""

    def __init__(self) -> None:
        super().__init__()
        parameters = norse.LIFParameters(v_th=torch.as_tensor(0.05))
        self.net = norse.SequentialState(nn.Linear(5, 6), norse.LIFCell(parameters), nn.Linear(6, 3), norse.LICell())

    def forward(self, x: Tensor) -> Tensor:
        state: Any = None
        outputs = []
        for _ in range(2 * STEPS):
            out, state = self.net(x, state)
            outputs.append(out)
        return torch.stack(outputs)


def recurrent_norse() -> Case:
    """A recurrent layer over a whole sequence, [time, batch, feature]."""

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = norse.LIFRecurrent(5, 4, p=norse.LIFParameters(v_th=torch.as_tensor(0.05)))
            self.out = nn.Linear(4, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.out(self.layer(x)[0])

    return Case(Model(), many, [(3 * x.transpose(0, 1), y) for x, y in images(STEPS, 5)])


def leaky(**more: Any) -> nn.Module:
    return snntorch.Leaky(beta=0.8, **more)


def synaptic(**more: Any) -> nn.Module:
    return snntorch.Synaptic(alpha=0.5, beta=0.8, **more)


def alpha(**more: Any) -> nn.Module:
    return snntorch.RLeaky(beta=0.8, linear_features=more.pop("width", None), all_to_all=False, V=0.3, **more)


S = "spiking"
SINGLE: dict[str, Any] = {"dtype": torch.float32, "double": False, "tolerance": 5e-3}
ENTRIES = (
    Entry("snntorch, states returned", S, returned, **SINGLE, half=True),
    Entry("snntorch, states hidden", S, hidden(leaky), **SINGLE, dirty=True, half=True),
    Entry("snntorch, synaptic hidden", S, hidden(synaptic), **SINGLE),
    Entry("snntorch, recurrent hidden", S, hidden(alpha), **SINGLE, dirty=True),
    Entry("snntorch, one step", S, one_step, **SINGLE, dirty=True),
    Entry("spikingjelly LIF, looped", S, jelly(neuron.LIFNode), dirty=True, half=True),
    Entry("spikingjelly IF, many steps", S, jelly(neuron.IFNode, "m"), dirty=True, half=True),
    Entry("spikingjelly PLIF, many steps", S, jelly(neuron.ParametricLIFNode, "m")),
    Entry("spikingjelly LIF, soft reset", S, jelly(neuron.LIFNode, "m", v_reset=None, detach_reset=True), dirty=True),
    Entry("spikingjelly conv", S, jelly_conv, dirty=True),
    Entry("spikformer block", S, spikformer, dirty=True, half=True),
    Entry("norse cells", S, lambda: Case(NorseLoop(), many, images(5)), half=True),
    Entry("norse sequence", S, lambda: Case(NorseSequence(), many, images(5))),
    Entry("norse recurrent", S, recurrent_norse),
)  # fmt: skip
