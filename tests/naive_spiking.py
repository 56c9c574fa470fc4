"""The networks of :mod:`tests.spiking_networks` written out, one step after the other, from their weights alone."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

Change = Callable[[int, int, Tensor], Tensor]
State = tuple[Tensor, Tensor]


class Naive:
    """A layer of neurons by its formula: its threshold, its decays, and one step of it."""

    def __init__(self, module: Any):
        kind = type(module).__name__
        self.module, self.step = module, getattr(self, f"_{kind.lower()}")
        self.threshold, self.decays = self._settings(kind)

    def _settings(self, kind: str) -> tuple[Any, list[Any]]:
        module = self.module
        if kind in ("IFNode", "LIFNode"):
            return module.v_threshold, [1 - 1 / module.tau] if kind == "LIFNode" else []
        if kind == "ParametricLIFNode":
            return module.v_threshold, [1 - module.w.detach().sigmoid()]
        if kind in ("Leaky", "Synaptic"):
            return module.threshold, [module.beta, *([module.alpha] if kind == "Synaptic" else [])]
        if kind == "Alpha":
            return module.threshold, []
        if kind in ("LIFCell", "LIF", "LIFRecurrent"):
            p = module.p
            return p.v_th, [1 - module.dt * p.tau_mem_inv, 1 - module.dt * p.tau_syn_inv]
        return module.thresh, [module.decay]

    def _ifnode(self, x: Tensor, v: Tensor, i: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        fires = (v + x >= self.threshold).to(x)
        return fires, (v + x) * (1 - fires), i

    def _lifnode(self, x: Tensor, v: Tensor, i: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        (decay,) = self.decays
        h = decay * v + (x * (1 - decay) if self.module.decay_input else x)
        fires = (h >= self.threshold).to(x)
        return fires, h * (1 - fires), i

    _parametriclifnode = _lifnode

    def _leaky(self, x: Tensor, v: Tensor, i: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The reset of a spike comes at the next step."""
        v = self.decays[0] * v + x - (v > self.threshold).to(x) * self.threshold
        return (v > self.threshold).to(x), v, i

    def _synaptic(self, x: Tensor, v: Tensor, i: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        i = self.decays[1] * i + x
        v = self.decays[0] * v + i - (v > self.threshold).to(x) * self.threshold
        return (v > self.threshold).to(x), v, i

    def _lifcell(self, x: Tensor, v: Tensor, i: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        v = self.decays[0] * v + (1 - self.decays[0]) * (i + x)
        fires = (v > self.threshold).to(x)
        return fires, v * (1 - fires), self.decays[1] * (i + x)

    _lif = _lifcell

    def _lifrecurrent(self, x: Tensor, v: Tensor, i: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Its state is the current beside the spikes of the step before, which come back by weights of their own."""
        i, fired = i.chunk(2, 1) if i.shape != x.shape else (i, torch.zeros_like(i))
        i = i + x @ self.module.input_weights.T + fired @ self.module.recurrent_weights.T
        v = self.decays[0] * v + (1 - self.decays[0]) * i
        fires = (v > self.threshold).to(x)
        return fires, v * (1 - fires), torch.cat([self.decays[1] * i, fires], 1)

    def _alpha(self, x: Tensor, v: Tensor, i: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Its state is an exciting current beside an inhibiting one; a spike sets all to 0 at the next step."""
        excited, inhibited = i.chunk(2, 1) if i.shape != x.shape else (i, torch.zeros_like(i))
        alpha, beta = self.module.alpha, self.module.beta
        scale = alpha.log() / (beta.log() - alpha.log()) + 1
        kept = (v <= self.threshold).to(x)
        rising, falling = alpha * excited + x, beta * inhibited - x
        v = scale * (rising + falling) * kept
        return (v > self.threshold).to(x), v, torch.cat([rising * kept, falling * kept], 1)

    def _mine(self, x: Tensor, v: Tensor, i: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        v = self.decays[0] * v + x
        fires = (v > self.threshold).to(x)
        return fires, v * (1 - fires), i


def layers(network: nn.Module) -> list[Any]:
    """Its layers with weights, and between them what is in the way of neurons."""
    neurons = ("IFNode", "LIFNode", "ParametricLIFNode", "Leaky", "Synaptic", "Alpha", "LIFCell", "LIF", "LIFRecurrent")
    kinds = (*neurons, "LICell", "Mine")
    found = [one for one in network.modules() if isinstance(one, nn.Linear) or type(one).__name__ in kinds]
    return [one if isinstance(one, nn.Linear) or type(one).__name__ == "LICell" else Naive(one) for one in found]


@torch.no_grad()
def outputs(made: list[Any], x: Tensor, steps: int, change: Change = lambda _t, _layer, spikes: spikes) -> Tensor:
    """What the network says at each step, [time, batch, class]; of a last layer of neurons its membranes.

    ``x`` is static, or [time, batch, feature]; ``change(t, layer, spikes)`` is what arrives of a layer's spikes.
    """
    states: dict[int, State] = {}
    said = []
    for t in range(steps):
        now = x[t] if x.dim() == 3 else x
        count = 0
        for place, layer in enumerate(made):
            if isinstance(layer, nn.Linear):
                now = layer(now)
                continue
            v, i = states.get(place, (torch.zeros_like(now), torch.zeros_like(now)))
            if isinstance(layer, Naive):
                spikes, v, i = layer.step(now, v, i)
                now, count = change(t, count, spikes), count + 1
            else:  # Norse's leaky integrator
                membrane, synapse = layer.dt * layer.p.tau_mem_inv, layer.dt * layer.p.tau_syn_inv
                v = v + membrane * (i + now - v)
                i, now = (i + now) * (1 - synapse), v
            states[place] = v, i
        said.append(states[len(made) - 1][0] if isinstance(made[-1], Naive) else now)
    return torch.stack(said)
